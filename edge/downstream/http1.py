"""An HTTP/1.1 connection: requests in, answers out, in order (RFC 9112)."""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from edge.downstream.content import Content
from edge.downstream.head import ParsedHead
from edge.downstream.response import Http1Responder
from edge.errors import (
    DownstreamClosed,
    DownstreamError,
    DownstreamTimeout,
    FieldsTooLarge,
    TargetTooLong,
)
from edge.tasks import spawn

if TYPE_CHECKING:
    from edge.downstream.listener import Listener

_HEAD_END = b"\r\n\r\n"


class _Phase(Enum):
    """What the connection waits for from the client."""

    HEAD = auto()
    CONTENT = auto()
    LINGER = auto()
    CLOSED = auto()


class Http1(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_client", "_content", "_content_began", "_deadline", "_drain_waiter", "_eof", "_input", "_listener", "_loop",
        "_phase", "_queue", "_reading", "_served", "_serving", "_task", "_transport", "_unsent", "_write_paused",
    )  # fmt: skip

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._input = b""
        self._queue: deque[tuple[ParsedHead, Content] | DownstreamError] = deque()
        self._content: Content | None = None
        self._content_began = 0.0
        self._phase = _Phase.HEAD
        self._serving = False
        self._served = 0
        self._reading = True
        self._eof = False
        self._write_paused = False
        self._unsent = 0
        self._drain_waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else "unix"
        self._transport.set_write_buffer_limits(high=self._listener.limits.write_buffer)
        self._deadline = self._loop.time() + self._listener.limits.header_timeout
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse what can be parsed."""
        if self._phase in {_Phase.LINGER, _Phase.CLOSED}:
            return
        self._input = self._input + data if self._input else data
        self._advance()

    def eof_received(self) -> bool:
        """Keep a half-closed connection open while an answer is owed (RFC 9112 §9.6)."""
        if self._content is not None:
            self._content.fail(DownstreamClosed())
        self._eof = True
        return self._phase is not _Phase.LINGER and (self._serving or bool(self._queue))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let whoever reads or writes know that the client is gone."""
        self._phase = _Phase.CLOSED
        self._input = b""
        if self._content is not None:
            self._content.fail(DownstreamClosed())
        self.resume_writing()
        self._listener.closed(self)

    def pause_writing(self) -> None:
        """Note that the client is slow."""
        self._write_paused = True
        self._unsent = self._transport.get_write_buffer_size()
        self._deadline = self._loop.time() + self._listener.limits.send_timeout

    def resume_writing(self) -> None:
        """Let the sender go on."""
        self._write_paused = False
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    # What a responder calls.

    def write(self, *pieces: bytes) -> None:
        """Queue bytes for the client; DownstreamClosed when it is gone."""
        if self._phase is _Phase.CLOSED:
            raise DownstreamClosed
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        else:
            self._transport.writelines(pieces)

    async def drained(self) -> None:
        """Wait until the client has taken enough."""
        if self._write_paused:
            self._drain_waiter = self._loop.create_future()
            try:
                await self._drain_waiter
            finally:
                self._drain_waiter = None
        if self._phase is _Phase.CLOSED:
            raise DownstreamClosed

    def abort(self) -> None:
        """Reset the connection: what was sent cannot be taken for a whole message."""
        self._phase = _Phase.CLOSED
        self._transport.abort()

    def soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the next turn of the event loop."""
        self._loop.call_soon(callback)

    def date(self) -> bytes:
        """Return the present time as an IMF-fixdate."""
        return self._listener.date()

    # What the listener calls.

    @property
    def is_idle(self) -> bool:
        """Whether nothing is owed to the client and nothing has begun to arrive."""
        return not self._serving and not self._queue and not self._input and self._phase is _Phase.HEAD

    def close_if_idle(self) -> None:
        """Close between requests."""
        if self.is_idle:
            self._phase = _Phase.CLOSED
            self._transport.close()

    def check_deadline(self, now: float) -> None:
        """Act on whatever the client takes too long for."""
        if now < self._deadline or self._phase is _Phase.CLOSED:
            return
        if self._phase is _Phase.LINGER:
            self.abort()
        elif self._write_paused:
            self._check_sending(now)
        elif self._content is not None:
            self._check_content(now)
        elif not self._serving and not self._queue:
            if self._input or not self._served:
                self._refuse(DownstreamTimeout())
            else:
                self._phase = _Phase.CLOSED
                self._transport.close()

    # Parsing.

    def _advance(self) -> None:
        try:
            while self._input and self._phase in {_Phase.HEAD, _Phase.CONTENT}:
                if self._content is not None:
                    self._input = self._content.feed(self._input)
                    if not self._content.is_complete:
                        self._check_rate(self._content)
                        return
                    self._content, self._phase = None, _Phase.HEAD
                    self._deadline = self._loop.time() + self._listener.limits.header_timeout
                elif len(self._queue) >= self._listener.limits.pipelined:
                    self._stop_reading()
                    return
                elif not self._take_head():
                    return
        except DownstreamError as error:
            if self._content is not None:
                self._content.fail(error)
            self._refuse(error)

    def _take_head(self) -> bool:
        """Take one request head off the input; return whether there was a whole one."""
        limits = self._listener.limits
        if self._input[:2] == b"\r\n":
            # RFC 9112 §2.2: at least one empty line before a request line is ignored.
            self._input = self._input[2:]
            return True
        end = self._input.find(_HEAD_END)
        line = self._input.find(b"\r\n", 0, limits.request_line + 2)
        if line < 0 and len(self._input) > limits.request_line:
            raise TargetTooLong
        if (end if end >= 0 else len(self._input)) > limits.request_line + limits.field_section:
            raise FieldsTooLarge
        if end < 0:
            if not self._serving and not self._queue:
                self._deadline = min(self._deadline, self._loop.time() + limits.header_timeout)
            return False
        if end - line > limits.field_section:
            raise FieldsTooLarge
        raw, self._input = self._input[: end + 4], self._input[end + 4 :]
        head = ParsedHead(raw, self._listener.scheme, limits)
        content = Content(head, self._stop_reading, self._start_reading, self._content_wanted)
        if head.request.has_content:
            self._content, self._phase = content, _Phase.CONTENT
            self._content_began = self._loop.time()
            self._deadline = self._content_began + limits.body_timeout
        self._queue.append((head, content))
        self._start_serving()
        return True

    def _refuse(self, error: DownstreamError) -> None:
        """Answer `error` after what was asked before it, and take nothing more."""
        self._phase = _Phase.LINGER
        self._input = b""
        self._deadline = self._loop.time() + self._listener.limits.send_timeout
        self._queue.append(error)
        self._start_serving()

    def _check_sending(self, now: float) -> None:
        limits = self._listener.limits
        unsent = self._transport.get_write_buffer_size()
        if self._unsent - unsent < limits.send_rate * limits.send_timeout:
            self.abort()
        else:
            self._unsent = unsent
            self._deadline = now + limits.send_timeout

    def _check_content(self, now: float) -> None:
        if self._content is not None and self._content.is_awaited:
            self._content.fail(DownstreamTimeout())
        else:
            # It is the origin that is slow to take it, or nobody wants it yet.
            self._deadline = now + self._listener.limits.body_timeout

    def _check_rate(self, content: Content) -> None:
        limits = self._listener.limits
        now = self._loop.time()
        self._deadline = now + limits.body_timeout
        seconds = now - self._content_began
        if seconds > limits.body_grace and content.received < limits.body_rate * seconds and content.is_awaited:
            content.fail(DownstreamTimeout())

    def _content_wanted(self) -> None:
        if self._queue and isinstance(self._queue[0], tuple) and self._queue[0][0].expects_continue:
            self._queue[0][0].expects_continue = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _stop_reading(self) -> None:
        if self._reading and self._phase is not _Phase.CLOSED:
            self._reading = False
            self._transport.pause_reading()

    def _start_reading(self) -> None:
        if not self._reading and self._phase is not _Phase.CLOSED and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # Answering.

    def _start_serving(self) -> None:
        if not self._serving:
            self._serving = True
            self._task = spawn(self._serve(), name="http1")

    async def _serve(self) -> None:
        """Answer what is queued, in order."""
        try:
            while self._queue and self._phase is not _Phase.CLOSED:
                item = self._queue[0]
                if isinstance(item, DownstreamError):
                    responder = Http1Responder(self, None, keep_alive=False)
                    await self._listener.refuse(item, responder, self._client)
                    keep = False
                else:
                    keep = await self._serve_one(*item)
                self._queue.popleft()
                if not keep:
                    self._linger()
                    return
                self._start_reading()
                self._advance()
            if self._eof and self._phase is not _Phase.CLOSED:
                self._transport.close()
        except DownstreamClosed:
            self._transport.abort()
        finally:
            self._serving = False
            self._deadline = self._loop.time() + self._listener.limits.keepalive_timeout
            if self._listener.is_draining:
                self.close_if_idle()

    async def _serve_one(self, head: ParsedHead, content: Content) -> bool:
        """Answer one request; return whether the connection can serve another."""
        self._served += 1
        limits = self._listener.limits
        keep = not head.wants_close and self._served < limits.requests_per_connection and not self._listener.is_draining

        def may_stay() -> bool:
            # Said in the head of an early answer: content that is too long to drop, or that may never come.
            left = content.remaining
            return left is not None and left <= limits.drain_octets and (left == 0 or not head.expects_continue)

        responder = Http1Responder(self, head.request, keep_alive=keep, may_stay=may_stay)
        await self._listener.handle(head.request, content, responder, self._client)
        if not responder.is_finished:
            self.abort()
            return False
        return responder.keep_alive and await self._drop_rest(head, content)

    async def _drop_rest(self, head: ParsedHead, content: Content) -> bool:
        """Read and drop unread content (RFC 9112 §9.3); return False when there is too much of it."""
        if content.is_complete and not content.received:
            return True
        if head.expects_continue and not content.is_complete:
            return False
        limits = self._listener.limits
        dropped = 0
        try:
            async with asyncio.timeout(limits.drain_timeout):
                while (piece := await content.read()) and dropped <= limits.drain_octets:
                    dropped += len(piece)
        except (TimeoutError, DownstreamError):
            return False
        return content.is_complete and dropped <= limits.drain_octets

    def _linger(self) -> None:
        """Close so that the client reads the answer: end our side, and drop what still comes for a while.

        RFC 9112 §9.6: closing with unread data resets the connection and can take the last response with it.
        """
        if self._phase is _Phase.CLOSED:
            return
        has_unread = self._content is not None or self._phase is _Phase.LINGER
        self._phase = _Phase.LINGER
        self._deadline = self._loop.time() + self._listener.limits.drain_timeout
        if has_unread and self._transport.can_write_eof():
            self._transport.write_eof()
            self._start_reading()
        else:
            self._transport.close()
