"""Request content: decoded from its framing, handed on at the pace of whoever reads it."""

import asyncio
from collections import deque
from collections.abc import Callable

import httptools

from edge.downstream.head import ParsedHead
from edge.errors import BadRequest, DownstreamError

_HIGH_WATER = 256 << 10
# A chunk of n octets may cost so much framing beside it before it is taken for an attack.
_OVERHEAD_PER_CHUNK = 256
_OVERHEAD_ALLOWED = 32 << 10
_END = b"\r\n\r\n"


class Content:
    """The content of one request, as an exchange `Source`.

    `feed` takes what arrives and returns what lies behind the content; `read` gives the pieces.  `pause` and `resume`
    stop and start the connection's reading, `wanted` is called before the first piece is waited for.
    """

    __slots__ = (
        "_error", "_fed", "_head", "_pause", "_paused", "_pieces", "_remaining", "_resume", "_size", "_tail",
        "_waiter", "_wanted", "is_complete", "received",
    )  # fmt: skip

    def __init__(
        self, head: ParsedHead, pause: Callable[[], None], resume: Callable[[], None], wanted: Callable[[], None]
    ) -> None:
        self._head = head
        self._remaining = head.request.content_length
        self._pause, self._resume, self._wanted = pause, resume, wanted
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._fed = 0
        self._tail = b""
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: DownstreamError | None = None
        self.is_complete = not head.request.has_content
        self.received = 0

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a piece."""
        return self._waiter is not None

    @property
    def remaining(self) -> int | None:
        """Octets of content still to come from the client, None when that is not known."""
        return 0 if self.is_complete else self._remaining

    def feed(self, data: bytes) -> bytes:
        """Take `data` off the wire and return what is behind the end of the content; BadRequest for bad framing."""
        if self._remaining is not None:
            piece, data = data[: self._remaining], data[self._remaining :]
            self._remaining -= len(piece)
            self._add(piece)
            if self._remaining == 0:
                self._end()
            return data
        return self._feed_chunked(data)

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end; DownstreamError when it will not come whole."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.is_complete:
                return b""
            self._wanted()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._paused and self._size < _HIGH_WATER // 2:
            self._paused = False
            self._resume()
        return piece

    def fail(self, error: DownstreamError) -> None:
        """Let the reader have `error` once it has read what arrived before."""
        if not self.is_complete:
            self._error = self._error or error
            self._wake()

    def _feed_chunked(self, data: bytes) -> bytes:
        # A chunked message always ends in an empty line, so feeding up to each one finds the exact end.
        collector, parser = self._head.collector, self._head.parser
        while data and not collector.is_complete:
            cut = (self._tail + data).find(_END)
            length = len(data) if cut < 0 else max(1, cut + len(_END) - len(self._tail))
            piece, data = data[:length], data[length:]
            self._tail = (self._tail + piece)[-3:]
            self._fed += len(piece)
            try:
                parser.feed_data(piece)
            except httptools.HttpParserError as error:
                raise BadRequest from error
            pieces, collector.pieces = collector.pieces, []
            for content in pieces:
                self._add(content)
            if self._fed - self.received > _OVERHEAD_ALLOWED + _OVERHEAD_PER_CHUNK * collector.chunk_headers:
                raise BadRequest
        collector.fields = []
        if collector.is_complete:
            self._end()
        return data

    def _add(self, piece: bytes) -> None:
        if not piece:
            return
        self.received += len(piece)
        self._size += len(piece)
        self._pieces.append(piece)
        if self._size > _HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def _end(self) -> None:
        self.is_complete = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
