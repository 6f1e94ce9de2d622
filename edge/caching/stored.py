"""What the cache keeps of a response (RFC 9111 §2)."""

from dataclasses import replace

from edge.semantics.fields import FieldSection
from edge.semantics.immutable import immutable
from edge.semantics.messages import Response

Range = tuple[int, int]


@immutable(frozen=True, slots=True)
class StoredResponse:
    """The head of a stored response; its content lies in the store under `generation`.

    Attributes:
        key: the whole cache key.
        generation: 8 bytes that name this content in the store; a changed representation gets a new one.
        method: the method of the request that was answered.
        nominated: the request fields nominated by Vary with their normalised values, None for an absent field.
        status: the status code; a stored 206 is kept as the 200 it is a part of.
        reason: the reason phrase as the origin sent it.
        fields: the storable fields, without framing (Content-Length, Content-Range, Transfer-Encoding).
        request_time: wall clock when the request was sent upstream, seconds (RFC 9111 §4.2.3).
        response_time: wall clock when its response head arrived, seconds.
        complete_length: length of the whole representation in octets, None while it is not known.
        ranges: what is held of the content: half-open, sorted, disjoint, never empty ones.
        epoch: the purge epoch at which the fetch began.
        pinned: whether it is never reclaimed to make room; what replaces it is not, unless it is pinned itself.
        purged_at: when it was purged softly, seconds; None when it was not.  A lookup finds that out, nothing stores it.
    """

    key: bytes
    generation: bytes
    method: bytes
    nominated: tuple[tuple[bytes, bytes | None], ...]
    status: int
    reason: bytes
    fields: FieldSection
    request_time: float
    response_time: float
    complete_length: int | None
    ranges: tuple[Range, ...] = ()
    epoch: int = 0
    pinned: bool = False
    purged_at: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the whole content is held."""
        length = self.complete_length
        return length is not None and (length == 0 or self.ranges == ((0, length),))

    @property
    def response(self) -> Response:
        """The stored head as a response."""
        return Response(self.status, self.fields, self.reason)

    def with_fields(self, fields: FieldSection) -> "StoredResponse":
        """Return the same stored response with another field section."""
        return replace(self, fields=fields)

    def holds(self, start: int, end: int) -> bool:
        """Return whether all octets of [start, end) are held."""
        return start >= end or any(first <= start and end <= last for first, last in self.ranges)
