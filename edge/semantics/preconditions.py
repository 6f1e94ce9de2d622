"""Preconditions and the order in which they are evaluated (RFC 9110 §13).

The caller evaluates them against the selected representation, and only where the response without them would be
successful (§13.2.1).  Nothing else reads If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since and If-Range.
"""

from collections.abc import Callable, Sequence
from enum import Enum

from edge.errors import ParseError
from edge.semantics.dates import parse_date
from edge.semantics.entity_tags import EntityTag, parse_entity_tag, parse_entity_tags, strong_match, weak_match
from edge.semantics.fields import FieldSection

# RFC 9110 §13.2.1: these select no representation.
_UNCONDITIONAL_METHODS = frozenset({b"CONNECT", b"OPTIONS", b"TRACE"})


class Outcome(Enum):
    """What the preconditions make of a request."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not-modified"
    FAILED = "failed"


def evaluate(
    method: bytes,
    fields: FieldSection,
    *,
    entity_tag: EntityTag | None,
    modified: int | None,
    exists: bool,
    now: float,
) -> Outcome:
    """Return whether to answer as usual, with 304 or with 412 (RFC 9110 §13.2.2); If-Range is `range_applies`'s.

    Args:
        method: the method of the request.
        fields: its fields.
        entity_tag: the entity tag of the selected representation, None if it has none.
        modified: its last modification date in seconds, None if it has none.
        exists: whether there is a selected representation at all.
        now: the wall clock in seconds.
    """
    if method in _UNCONDITIONAL_METHODS:
        return Outcome.PROCEED
    if b"if-match" in fields:
        if not _matches(fields.values(b"if-match"), entity_tag, strong_match, exists=exists):
            return Outcome.FAILED
    elif modified is not None and (date := _date(fields, b"if-unmodified-since", now)) is not None and modified > date:
        return Outcome.FAILED
    may_be_unmodified = method in {b"GET", b"HEAD"}
    if b"if-none-match" in fields:
        if _matches(fields.values(b"if-none-match"), entity_tag, weak_match, exists=exists):
            return Outcome.NOT_MODIFIED if may_be_unmodified else Outcome.FAILED
    elif may_be_unmodified and modified is not None:
        date = _date(fields, b"if-modified-since", now)
        # A date still to come is no time at which the client can have asked, unless it is the one it was given.
        if date is not None and (date == modified or modified < date <= now):
            return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def range_applies(
    fields: FieldSection, *, entity_tag: EntityTag | None, modified: int | None, date: int | None, now: float
) -> bool:
    """Return whether If-Range, if there is one, lets the Range field stand (RFC 9110 §13.1.5).

    `modified` and `date` are the Last-Modified and Date of the selected representation in seconds, None for unknown.
    """
    if (value := fields.combined(b"if-range")) is None:
        return True
    try:
        if value.startswith((b'"', b"W/")):
            return entity_tag is not None and strong_match(parse_entity_tag(value), entity_tag)
        # RFC 9110 §8.8.2.2: a date is strong once a second has passed in which the representation did not change.
        return modified is not None and date is not None and date > modified and parse_date(value, now) == modified
    except ParseError:
        return False


def _matches(
    values: Sequence[bytes],
    entity_tag: EntityTag | None,
    match: Callable[[EntityTag, EntityTag], bool],
    *,
    exists: bool,
) -> bool:
    try:
        tags = parse_entity_tags(values)
    except ParseError:
        return False
    if tags is None:
        return exists
    return entity_tag is not None and any(match(tag, entity_tag) for tag in tags)


def _date(fields: FieldSection, name: bytes, now: float) -> int | None:
    """Return the date of the field, or None when it is absent, or repeated or malformed and so to be ignored."""
    if (value := fields.combined(name)) is None:
        return None
    try:
        return parse_date(value, now)
    except ParseError:
        return None
