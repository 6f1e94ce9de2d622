"""Request content: decoded from its framing, handed on at the pace of whoever reads it."""

import asyncio
from collections import deque
from typing import Protocol

from edge.downstream.chunked import Chunked
from edge.downstream.head import Head
from edge.errors import DownstreamError, DownstreamTimeout
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


class Content:
    """The content of one request, as an exchange `Source`.

    Attributes:
        is_complete: whether all of it has arrived.
        is_full: whether so much waits to be read that no more should be taken off the wire.
        expects_continue: whether the client still waits for a 100 before it sends any.
    """

    __slots__ = (
        "_arrived", "_arrived_at", "_chunked", "_connection", "_error", "_left", "_limits", "_loop", "_measured_from",
        "_measured_since", "_pieces", "_size", "_waiter", "_waiting_since", "expects_continue", "is_complete",
        "is_full",
    )  # fmt: skip

    def __init__(self, head: Head, limits: Limits, connection: Connection) -> None:
        request = head.request
        self._limits = limits
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._left = request.content_length or 0
        self._chunked = Chunked(limits) if request.has_content and not self._left else None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: DownstreamError | None = None
        self._arrived = 0
        self._arrived_at = self._waiting_since = 0.0
        self._measured_since: float | None = None
        self._measured_from = 0
        self.is_complete = not request.has_content
        self.is_full = False
        self.expects_continue = head.expects_continue

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
        self._arrived += len(piece)
        self._arrived_at = self._loop.time()
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            self.is_full = self.is_full or self._size > _HIGH_WATER
        if piece or self.is_complete:
            self._wake()
        return rest

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end; DownstreamError when it will not come whole."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.is_complete:
                return b""
            if self.expects_continue:
                self.expects_continue = False
                if not self._arrived:
                    self._connection.write(_CONTINUE)
            await self._more()
        return self._pop()

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

    def fail(self, error: DownstreamError) -> None:
        """Let the reader have `error` once it has read what arrived before; does nothing when all has arrived."""
        if not self.is_complete and self._error is None:
            self._error = error
            self._wake()

    def check(self, now: float) -> None:
        """Fail when the client keeps a reader waiting for too long, or sends too little meanwhile."""
        if self._waiter is None or self._measured_since is None:
            return
        limits = self._limits
        seconds = now - self._measured_since
        is_slow = seconds >= limits.body_grace and self._arrived - self._measured_from < limits.body_rate * seconds
        if is_slow or now - max(self._waiting_since, self._arrived_at) >= limits.body_timeout:
            self.fail(DownstreamTimeout())

    def _pop(self) -> bytes:
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self.is_full and self._size < _LOW_WATER:
            self.is_full = False
            # The client was not slow while it was not listened to.
            self._measured_since = None
            self._connection.regulate()
        return piece

    async def _more(self) -> None:
        self._waiting_since = self._loop.time()
        if self._measured_since is None:
            self._measured_since, self._measured_from = self._waiting_since, self._arrived
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
