"""Request content of a stream: the client may send more as soon as what it sent is read (RFC 9113 §5.2)."""

from collections.abc import Callable

from edge.downstream.arriving import Arriving
from edge.downstream.head import Head
from edge.downstream.http2.faults import malformed
from edge.errors import DownstreamClosed
from edge.policy.limits import Limits

# Smaller pieces are joined, or what holds them would take more memory than they do.
_SMALL = 1 << 10


class StreamContent(Arriving):
    """The content of one request."""

    __slots__ = ("_go_on_with", "_left", "_took_of")

    def __init__(
        self,
        head: Head | None,
        limits: Limits,
        *,
        go_on: Callable[[], None],
        took: Callable[[int], None],
        is_complete: bool,
    ) -> None:
        """Take the content that `head` announces, of any length when that could not be read.

        `go_on` is called to send a 100, `took` with the number of octets that were read.
        """
        expects_continue = head is not None and head.expects_continue
        super().__init__(limits, expects_continue=expects_continue, is_complete=is_complete)
        self._go_on_with = go_on
        self._took_of = took
        self._left: int | None = None
        if head is not None:
            self._left = head.request.content_length if head.request.has_content else 0

    def feed(self, piece: bytes, *, ends: bool) -> None:
        """Take a piece; StreamFault when it is more than announced, or the end and less (RFC 9113 §8.1.1)."""
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0 or (ends and self._left):
                raise malformed()
        self.is_complete = ends
        if self._pieces and len(piece) < _SMALL and len(self._pieces[-1]) < _SMALL:
            last = self._pieces.pop()
            self._size -= len(last)
            self._arrived -= len(last)
            piece = last + piece
        self._add(piece)

    def drop(self) -> None:
        """Let go of what is unread: nobody reads on, and whoever does gets DownstreamClosed."""
        unread, self._size = self._size, 0
        self._pieces.clear()
        if unread:
            # Without it, what was read before would pass for the whole.
            self.is_complete = False
            self._took_of(unread)
        self.fail(DownstreamClosed())

    def _go_on(self) -> None:
        self._go_on_with()

    def _took(self, size: int) -> None:
        self._took_of(size)
