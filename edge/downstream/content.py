"""Request content of HTTP/1.1: decoded from its framing, and not read off the wire faster than it is used."""

from typing import Protocol

from edge.downstream.arriving import Arriving
from edge.downstream.chunked import Chunked
from edge.downstream.head import Head
from edge.policy.limits import Limits

_HIGH_WATER = 256 << 10
_LOW_WATER = 128 << 10
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(Protocol):
    """What content needs of the connection it arrives on."""

    def write(self, *pieces: bytes) -> None:
        """Queue bytes for the client; DownstreamClosed when it is gone."""
        ...

    def regulate(self) -> None:
        """Read from the client, or leave it waiting, as `Content.is_full` now says."""
        ...


class Content(Arriving):
    """The content of one request.

    Attributes:
        is_full: whether so much waits to be read that no more should be taken off the wire.
    """

    __slots__ = ("_chunked", "_connection", "_left", "is_full")

    def __init__(self, head: Head, limits: Limits, connection: Connection) -> None:
        request = head.request
        super().__init__(limits, expects_continue=head.expects_continue, is_complete=not request.has_content)
        self._connection = connection
        self._left = request.content_length or 0
        self._chunked = Chunked(limits) if request.has_content and not self._left else None
        self.is_full = False

    @property
    def unread(self) -> int | None:
        """Octets that nobody has read yet, None when that is not known, or when they will never be whole."""
        if self._error is not None or (self._chunked is not None and not self.is_complete):
            return None
        return self._left + self._size

    def feed(self, data: bytes) -> bytes:
        """Take `data` off the wire and return what is behind the end of the content; DownstreamError if malformed."""
        if self._chunked is not None:
            piece, rest = self._chunked.feed(data)
            self.is_complete = self._chunked.is_complete
        else:
            piece, rest = data[: self._left], data[self._left :]
            self._left -= len(piece)
            self.is_complete = self._left == 0
        self._add(piece)
        self.is_full = self.is_full or self._size > _HIGH_WATER
        return rest

    async def discard(self, most: int) -> bool:
        """Drop what is unread; return whether that was all there is and not more than `most` octets."""
        dropped = 0
        while dropped <= most:
            if self._pieces:
                dropped += len(self._pop())
            elif self.is_complete:
                return True
            elif self._error is not None:
                return False
            else:
                await self._more()
        return False

    def _go_on(self) -> None:
        self._connection.write(_CONTINUE)

    def _took(self, size: int) -> None:
        if self.is_full and self._size < _LOW_WATER:
            self.is_full = False
            # The client was not slow while it was not listened to.
            self._measured_since = None
            self._connection.regulate()
