"""Partial responses: what a 206 holds, and when two may be combined (RFC 9111 §3.3, §3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.caching.stored import Range, StoredResponse
from edge.caching.validation import entity_tag
from edge.errors import ParseError
from edge.semantics.entity_tags import strong_match
from edge.semantics.messages import Response
from edge.semantics.ranges import ContentRange, parse_content_range


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a representation: octets [start, end) of `complete` (None: not known)."""

    start: int
    end: int
    complete: int | None


def described(response: Response, content_length: int | None, *, trust_framing: bool) -> Part | None:
    """Return the part that a 206 encloses, None when it is unclear (multipart, invalid, not matching its length).

    With `trust_framing`, a content shorter than a Content-Range that reaches the end of the representation is taken
    for the representation's real end, since framing counts octets and Content-Range only talks about them.
    """
    stated = _content_range(response)
    if stated is None or stated.first is None or stated.last is None:
        return None
    end = stated.last + 1
    if content_length is None or content_length == end - stated.first:
        return Part(stated.first, end, stated.complete)
    shortened = stated.first + content_length
    if trust_framing and content_length > 0 and shortened < end == stated.complete:
        return Part(stated.first, shortened, shortened)
    return None


def may_combine(stored: StoredResponse, response: Response) -> bool:
    """Return whether a 206 belongs to the representation `stored` is a part of (RFC 9110 §15.3.7.3).

    Both must have the same strong entity tag, and may not differ in the length of the whole.
    """
    ours, theirs = entity_tag(stored.fields), entity_tag(response.fields)
    if ours is None or theirs is None or not strong_match(ours, theirs):
        return False
    stated = _content_range(response)
    complete = None if stated is None else stated.complete
    return complete is None or stored.complete_length in {None, complete}


def is_same(stored: StoredResponse, other: StoredResponse) -> bool:
    """Return whether two stored responses are parts of one representation."""
    return may_combine(stored, other.response) and other.complete_length in {None, stored.complete_length}


def merged(ranges: Sequence[Range], added: Range) -> tuple[Range, ...]:
    """Return `ranges` and `added` as sorted, disjoint, non-adjacent ranges."""
    result: list[Range] = []
    for start, end in sorted([*ranges, added]):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif start < end:
            result.append((start, end))
    return tuple(result)


def missing_tail(stored: StoredResponse) -> int | None:
    """Return the offset from which on the content is missing, None unless exactly its beginning is held."""
    if len(stored.ranges) == 1 and stored.ranges[0][0] == 0 and not stored.is_complete:
        return stored.ranges[0][1]
    return None


def _content_range(response: Response) -> ContentRange | None:
    try:
        return parse_content_range(response.fields.combined(b"content-range") or b"")
    except ParseError:
        return None
