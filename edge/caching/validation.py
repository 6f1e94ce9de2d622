"""Validating stored responses and freshening them (RFC 9111 §4.3, §3.2)."""

from dataclasses import replace

from edge.caching.directives import response_directives
from edge.caching.freshness import FreshnessRules
from edge.caching.stored import StoredResponse
from edge.caching.storing import storable_fields
from edge.errors import ParseError
from edge.semantics.entity_tags import EntityTag, parse_entity_tag, strong_match, weak_match
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response

#: Request preconditions; a cache that validates replaces them by its own (RFC 9111 §4.3.1).
PRECONDITIONS = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range")
# RFC 9111 §3.2: what describes the octets that are stored does not change while they stay.
_BOUND_TO_CONTENT = frozenset({
    b"content-encoding", b"content-length", b"content-md5", b"content-range", b"content-digest", b"repr-digest",
    b"digest", b"etag",
})  # fmt: skip


def entity_tag(fields: FieldSection) -> EntityTag | None:
    """Return the ETag of a response, None when it is absent or malformed."""
    value = fields.get(b"etag")
    try:
        return None if value is None else parse_entity_tag(value)
    except ParseError:
        return None


def has_validator(stored: StoredResponse) -> bool:
    """Return whether a conditional request can be made for `stored`."""
    return b"etag" in stored.fields or b"last-modified" in stored.fields


def conditional_fields(fields: FieldSection, stored: StoredResponse) -> FieldSection:
    """Return request `fields` with the preconditions that validate `stored` in place of the client's own."""
    result = fields.without(*PRECONDITIONS, b"range")
    etag = stored.fields.get(b"etag")
    if etag is not None:
        result = result.with_lines((b"if-none-match", etag))
    modified = stored.fields.get(b"last-modified")
    if modified is not None:
        result = result.with_lines((b"if-modified-since", modified))
    return result


def identifies(stored: StoredResponse, response: Response, *, trust_mismatch: bool) -> bool:
    """Return whether a 304 to our conditional request is about `stored` (RFC 9111 §4.3.4).

    With `trust_mismatch`, a 304 that carries another entity tag than the one we asked about is believed all the same.
    """
    theirs, ours = entity_tag(response.fields), entity_tag(stored.fields)
    if theirs is None or trust_mismatch:
        return True
    if ours is None:
        return False
    return weak_match(theirs, ours) if theirs.weak or ours.weak else strong_match(theirs, ours)


def freshen(
    stored: StoredResponse, response: Response, request_time: float, response_time: float, rules: FreshnessRules
) -> StoredResponse:
    """Return `stored` updated by the fields of a newer response about the same representation (RFC 9111 §3.2)."""
    directives, _ = response_directives(response.fields, rules.targets)
    newer = storable_fields(response.fields, directives, is_partial=False)
    newer = newer.filtered(lambda name: name not in _BOUND_TO_CONTENT)
    replaced = {name for name, _ in newer} | {b"age"}
    kept = stored.fields.filtered(lambda name: name not in replaced)
    return replace(stored, fields=kept.with_lines(*newer.lines), request_time=request_time, response_time=response_time)


def is_same_by_head(stored: StoredResponse, response: Response) -> bool:
    """Return whether a 200 to HEAD agrees with `stored`, which it then freshens (RFC 9111 §4.3.5)."""
    length = response.fields.get(b"content-length")
    if length is not None and stored.complete_length is not None and length != b"%d" % stored.complete_length:
        return False
    return all(response.fields.get(name) in {None, stored.fields.get(name)} for name in (b"etag", b"last-modified"))
