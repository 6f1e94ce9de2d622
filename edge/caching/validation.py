"""Validating stored responses and freshening them (RFC 9111 §4.3, §3.2)."""

from dataclasses import replace

from edge.caching.directives import response_directives
from edge.caching.freshness import FreshnessRules
from edge.caching.stored import StoredResponse
from edge.caching.storing import storable_fields
from edge.caching.vary import renominated
from edge.errors import ParseError
from edge.semantics.entity_tags import EntityTag, parse_entity_tag, weak_match
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

    With `trust_mismatch`, a 304 that carries another validator than the one we asked about is believed all the same.
    """
    theirs, ours = entity_tag(response.fields), entity_tag(stored.fields)
    if trust_mismatch:
        return True
    if theirs is not None:
        # Weakly, though a strong tag would ask for more: origins weaken the tag of a 200 that they compress on its way
        # (nginx does), and send it strong in the 304.
        return ours is not None and weak_match(theirs, ours)
    # Without entity tags, the date is the validator.  An older one is that of a representation put back in place.
    modified = response.fields.get(b"last-modified")
    return ours is not None or modified in {None, stored.fields.get(b"last-modified")}


def freshen(
    stored: StoredResponse,
    response: Response,
    request_time: float,
    response_time: float,
    rules: FreshnessRules,
    *,
    request: FieldSection | None = None,
    store_set_cookie: bool = False,
) -> StoredResponse:
    """Return `stored` updated by a newer response about the same representation (RFC 9111 §3.2).

    A field that the newer response does not have stays as it is: max-age goes on counting, and beats a new Expires.

    Args:
        stored: the stored response.
        response: the newer one, end-to-end fields only, with a Date.
        request_time: wall clock when the request for it was sent, seconds.
        response_time: wall clock when its head arrived, seconds.
        rules: which targeted fields count.
        request: the fields of the request that it answers; what the response now varies on is taken from them.
        store_set_cookie: whether its Set-Cookie may be kept for others.
    """
    withheld = _BOUND_TO_CONTENT if store_set_cookie else _BOUND_TO_CONTENT | {b"set-cookie"}
    newer = response.fields.filtered(lambda name: name not in withheld)
    replaced = {name for name, _ in newer} | {b"age"}
    updated = stored.fields.filtered(lambda name: name not in replaced).with_lines(*newer.lines)
    directives, _ = response_directives(updated, rules.targets)
    fields = storable_fields(updated, directives, is_partial=False)
    return replace(
        stored,
        fields=fields,
        nominated=renominated(stored.nominated, fields, request),
        request_time=request_time,
        response_time=response_time,
    )


def is_same_by_head(stored: StoredResponse, response: Response) -> bool:
    """Return whether a 200 to HEAD agrees with `stored`, which it then freshens (RFC 9111 §4.3.5)."""
    length = response.fields.get(b"content-length")
    if length is not None and stored.complete_length is not None and length != b"%d" % stored.complete_length:
        return False
    return all(response.fields.get(name) in {None, stored.fields.get(name)} for name in (b"etag", b"last-modified"))
