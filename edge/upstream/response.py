"""A response on its way from the connection that receives it to the one reader that takes it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from edge.errors import EdgeError, UpstreamClosed
from edge.ports import Allowance, Piece
from edge.semantics.messages import Response

#: Unread content above which the origin is made to wait, and below which it may go on, in octets.
HIGH_WATER = 256 * 1024
LOW_WATER = 128 * 1024
#: Small pieces are joined up to the first, and none is longer than the second.
JOINED_LIMIT = 256 * 1024
PIECE_LIMIT = 1024 * 1024


class Flow(Protocol):
    """The connection, as long as content is still to come from it."""

    def pause(self) -> None:
        """Receive nothing more for now."""
        ...

    def resume(self) -> None:
        """Receive again."""
        ...

    def abort(self) -> None:
        """Give the exchange and its connection up."""
        ...

    async def send(self, data: Piece) -> None:
        """Send octets of the protocol that was switched to."""
        ...

    def end_sending(self) -> None:
        """Send no more."""
        ...

    def hasten(self) -> None:
        """Receive whatever there is at once."""
        ...


class OriginResponse:
    """A head, and content to read; implements the exchange's `UpstreamResponse`.

    The connection is let go as soon as the last piece has arrived, not when it has been read.

    Attributes:
        unread: octets that have arrived and were not read.
    """

    __slots__ = (
        "_allowance", "_ended", "_error", "_flow", "_paused", "_pieces", "_waiter",
        "content_length", "head", "request_time", "response_time", "unread",
    )  # fmt: skip

    def __init__(
        self,
        head: Response,
        content_length: int | None,
        *,
        request_time: float,
        response_time: float,
        flow: Flow | None = None,
        whole: bytes | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """Begin with content from `flow`, or with the `whole` of it; `allowance` is told of what is unread."""
        self.head = head
        self.content_length = content_length
        self.request_time = request_time
        self.response_time = response_time
        self._flow = flow
        self._allowance = allowance
        self._pieces: deque[bytes] = deque((whole,) if whole else ())
        self.unread = len(whole) if whole else 0
        if allowance is not None:
            allowance(self.unread)
        self._paused = False
        self._ended = whole is not None
        self._error: EdgeError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """Return the next piece of content, or b"" at the clean end.

        Raises:
            UpstreamError: the content ended early, broke its framing or stopped for too long.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            if self._paused:
                # Whoever waits has room for what comes first, however little that is.
                self._resume()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    async def write(self, data: Piece) -> None:
        """Send octets of the protocol that a 101 has switched to; UpstreamError once the origin is gone."""
        if self._flow is None:
            raise self._error or UpstreamClosed("the origin has ended the connection")
        await self._flow.send(data)

    def end_writing(self) -> None:
        """Send no more of them."""
        if self._flow is not None:
            self._flow.end_sending()

    def hasten(self) -> None:
        """Receive as fast as it is read from here on, as the port says."""
        if (allowance := self._allowance) is None:
            return
        self._allowance = None
        allowance(0)
        if self._flow is not None:
            self._flow.hasten()
        if self._paused and self.unread <= LOW_WATER:
            self._resume()

    def whole(self) -> bytes | None:
        """Return all of the content if it has arrived, none of which may have been read; None if it has not."""
        return b"".join(self._pieces) if self._ended else None

    def close(self) -> None:
        """Drop what was not read; before the end this costs the connection."""
        if (flow := self._flow) is not None:
            self.fail(UpstreamClosed("closed by the reader"))
            flow.abort()
        self._pieces.clear()
        self.unread = 0
        if self._allowance is not None:
            self._allowance(0)

    def put(self, pieces: Iterable[bytes]) -> None:
        """Append content; the flow is paused while too much of it is unread."""
        for piece in pieces:
            self._pieces.append(piece)
            self.unread += len(piece)
        has_room = self._allowance is None or self._allowance(self.unread) > 0
        if (not has_room or self.unread > HIGH_WATER) and not self._paused and self._flow is not None:
            self._paused = True
            self._flow.pause()
        self._wake()

    def end(self) -> None:
        """Let the flow go: all content has arrived."""
        self._ended = True
        self._flow = None
        self._wake()

    def fail(self, error: EdgeError) -> None:
        """Let the flow go: after what has arrived, reading raises `error`."""
        self._error = error
        self._flow = None
        self._wake()

    def _take(self) -> bytes:
        pieces = self._pieces
        piece = pieces.popleft()
        if len(piece) > PIECE_LIMIT:
            pieces.appendleft(piece[PIECE_LIMIT:])
            piece = piece[:PIECE_LIMIT]
        elif pieces and len(piece) + len(pieces[0]) <= JOINED_LIMIT:
            joined, length = [piece], len(piece)
            while pieces and length + len(pieces[0]) <= JOINED_LIMIT:
                joined.append(pieces.popleft())
                length += len(joined[-1])
            piece = b"".join(joined)
        self.unread -= len(piece)
        has_room = self._allowance is None or self._allowance(self.unread) > 0
        if self._paused and has_room and self.unread <= LOW_WATER:
            self._resume()
        return piece

    def _resume(self) -> None:
        if self._flow is not None:
            self._paused = False
            self._flow.resume()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
