"""Stored contents that were made here of what the origin sent: other codings of it.

Such a content is stored under the key of its source, and never selected by itself: it has the octets, and the source has
the head.  So whatever freshens, invalidates or purges the source does it to all that was made of it.
"""

from collections.abc import Iterable
from dataclasses import replace

from edge.caching.stored import StoredResponse
from edge.semantics.fields import FieldSection

# No request has such a value for a nominated field: the members of a list are without white space around them.
_MARK = b" "
_NAME = b"content-encoding"
_SOURCE = b"foreland-source"
_EFFORT = b"foreland-effort"


def derive(source: StoredResponse, coding: bytes, generation: bytes, *, effort: bytes) -> StoredResponse:
    """Return the head under which the content of `source` is stored in `coding`; its length is not known yet."""
    return replace(
        source,
        generation=generation,
        nominated=((_NAME, _MARK + coding), *source.nominated),
        fields=FieldSection([(_SOURCE, source.generation.hex().encode("ascii")), (_EFFORT, effort)]),
        complete_length=None,
        ranges=(),
        pinned=False,
        purged_at=None,
    )


def is_derived(stored: StoredResponse) -> bool:
    """Return whether a stored response is such a content."""
    return bool(stored.nominated) and stored.nominated[0][0] == _NAME and (stored.nominated[0][1] or b"")[:1] == _MARK


def originals(stored: Iterable[StoredResponse]) -> list[StoredResponse]:
    """Return those of the responses stored under a key that came from the origin."""
    return [each for each in stored if not is_derived(each)]


def orphans(stored: Iterable[StoredResponse]) -> list[StoredResponse]:
    """Return those whose source is not stored any more."""
    sources = {each.generation.hex().encode("ascii") for each in originals(stored)}
    return [each for each in stored if is_derived(each) and each.fields.get(_SOURCE) not in sources]


def find(stored: Iterable[StoredResponse], source: StoredResponse, coding: bytes) -> StoredResponse | None:
    """Return the content of `source` in `coding`, None when it is not stored whole."""
    wanted = source.generation.hex().encode("ascii")
    for each in stored:
        if (
            is_derived(each)
            and each.nominated[0][1] == _MARK + coding
            and each.fields.get(_SOURCE) == wanted
            and each.is_complete
        ):
            return each
    return None


def effort(stored: StoredResponse) -> bytes:
    """Return how much was put into making a content."""
    return stored.fields.get(_EFFORT) or b""


def dressed(derived: StoredResponse, source: StoredResponse, fields: FieldSection) -> StoredResponse:
    """Return the response that has the octets of the one, and for its head `fields` and all else of the other."""
    return replace(
        source,
        generation=derived.generation,
        fields=fields,
        complete_length=derived.complete_length,
        ranges=derived.ranges,
    )
