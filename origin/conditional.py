"""Preconditions (RFC 9110 §13): whether a request is to be answered in full."""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from enum import StrEnum

from multidict import CIMultiDict, CIMultiDictProxy

Fields = CIMultiDict[str] | CIMultiDictProxy[str]

_entity_tag = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\uffff]*"')


class Verdict(StrEnum):
    """What the preconditions of a request ask for."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not-modified"
    PRECONDITION_FAILED = "precondition-failed"


@dataclass(frozen=True, slots=True)
class Validators:
    """An entity tag as it stands in ETag, and a modification time in whole seconds; None for one that is not sent."""

    etag: str | None = None
    last_modified: int | None = None


def evaluate(fields: Fields, validators: Validators) -> Verdict:
    """Return the verdict on the preconditions of a GET or HEAD request, in the order of RFC 9110 §13.2.2 (without If-Range)."""
    if_match, if_none_match = _combined(fields, "If-Match"), _combined(fields, "If-None-Match")
    if if_match is not None:
        if not _matches(if_match, validators.etag, weak=False):
            return Verdict.PRECONDITION_FAILED
    elif _is_modified_since(fields.get("If-Unmodified-Since"), validators) is True:
        return Verdict.PRECONDITION_FAILED
    if if_none_match is not None:
        if _matches(if_none_match, validators.etag, weak=True):
            return Verdict.NOT_MODIFIED
    elif _is_modified_since(fields.get("If-Modified-Since"), validators) is False:
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def range_applies(fields: Fields, validators: Validators, *, now: float) -> bool:
    """Return whether the Range field is to be honoured: there is no If-Range, or it names this representation."""
    value = fields.get("If-Range")
    if value is None:
        return True
    if value.startswith(('"', "W/")):
        return value == validators.etag and not value.startswith("W/")
    # RFC 9110 §8.8.2.2: a time is a strong validator only when it is at least a second older than the response.
    modified = validators.last_modified
    return modified is not None and value == format_date(modified) and modified < int(now)


def format_date(seconds: int) -> str:
    """Return an IMF-fixdate."""
    return formatdate(seconds, usegmt=True)


def parse_date(value: str | None) -> int | None:
    """Return the seconds of an HTTP-date, or None when there is none or it is not one (RFC 9110 §5.6.7)."""
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
        return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _is_modified_since(value: str | None, validators: Validators) -> bool | None:
    """Return whether the modification time is later than the HTTP-date `value`, None when there is nothing to compare."""
    date, modified = parse_date(value), validators.last_modified
    return None if date is None or modified is None else modified > date


def _combined(fields: Fields, name: str) -> str | None:
    values = fields.getall(name, [])
    return ", ".join(values) if values else None


def _matches(value: str, etag: str | None, *, weak: bool) -> bool:
    """Return whether the list of entity tags `value` holds `etag`, by weak or strong comparison (RFC 9110 §8.8.3.2)."""
    if value.strip() == "*":
        return True
    if etag is None or (not weak and etag.startswith("W/")):
        return False
    tags = _entity_tag.findall(value)
    return etag.removeprefix("W/") in [tag.removeprefix("W/") if weak else tag for tag in tags]
