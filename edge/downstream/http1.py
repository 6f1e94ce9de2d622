"""An HTTP/1.1 connection: requests in, answers out, in order (RFC 9112)."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from edge.downstream.content import Content
from edge.downstream.head import Head
from edge.downstream.intake import Intake, Item
from edge.downstream.pace import SendingPace
from edge.downstream.ready import Last
from edge.downstream.response import Http1Responder
from edge.downstream.switched import Switched
from edge.errors import DownstreamClosed, DownstreamError, DownstreamTimeout
from edge.ports import Piece
from edge.tasks import spawn

if TYPE_CHECKING:
    from edge.downstream.listener import Handle, Listener

# How long a connection that was just made may hold up the end of its listener.
_FIRST_REQUEST_SECONDS = 1.0
_HEAD_END = b"\r\n\r\n"
# So many pipelined requests are answered before another connection has its turn.
_PIPELINED_AT_ONCE = 64
_RESET = struct.pack("ii", 1, 0)


class Http1(asyncio.Protocol):
    """One connection.

    What its intake takes is answered in order by one task, or, when a request comes alone, without one.  After the last
    answer it lingers: nothing more is sent, and what still comes is dropped, so that the client can read the answer.
    """

    __slots__ = (
        "_client", "_deadline", "_drain_waiter", "_handle", "_has_peer_ended", "_intake", "_is_gone", "_is_reading",
        "_is_write_paused", "_limits", "_lingers", "_listener", "_loop", "_outbox", "_pace", "_responder", "_served",
        "_task", "_transport",
    )  # fmt: skip

    def __init__(self, listener: "Listener", client: str | None = None, handle: "Handle | None" = None) -> None:
        """Answer through `listener`, by `handle` if given; `client` is who the client is if it is not the peer."""
        self._listener, self._outbox = listener, listener.outbox
        self._handle = handle or listener.handle
        self._client = client or ""
        self._limits = listener.limits
        self._loop = asyncio.get_running_loop()
        self._intake = Intake(listener.scheme, listener.limits, self)
        self._has_peer_ended = False
        self._is_reading = True
        self._task: asyncio.Task[None] | None = None
        # Of the answer that is given without a task.
        self._responder: Http1Responder | None = None
        self._served = 0
        self._lingers = False
        self._is_gone = False
        self._pace = SendingPace(listener.limits)
        self._is_write_paused = False
        self._drain_waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client = self._client or (peer[0] if isinstance(peer, tuple) else "unix")
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)
        self._deadline = self._loop.time() + self._limits.header_timeout
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take what arrives, and answer it."""
        if self._served and not self._intake.input:
            # A connection that was idle: the time for a head begins with its first octet.
            self._deadline = self._loop.time() + self._limits.header_timeout
        if self._is_free():
            ready = self._listener.by_octets(data, self._client, self._listener.date)
            if (
                (ready is not None and self._write_ready(ready))
                or ((head := self._intake.lone_head(data)) is not None and self._answers_lone(data, head))
                or not (data := self._after_ready(data))
            ):
                return
        self._intake.feed(data)
        self._start_serving()
        self.regulate()

    def eof_received(self) -> bool:
        """Keep a half-closed connection open while an answer is owed (RFC 9112 §9.6)."""
        self._has_peer_ended = True
        # It is closed behind this, unless an answer is owed.
        self._outbox.flush()
        if self._intake.switched is not None:
            self._intake.switched.end()
        self._intake.fail(DownstreamClosed())
        return self._is_answering

    def connection_lost(self, exc: Exception | None) -> None:
        """Let whoever reads or writes know that the client is gone."""
        self._is_gone = True
        self._intake.go_deaf()
        self._intake.fail(DownstreamClosed())
        self.resume_writing()
        self._listener.closed(self)

    def pause_writing(self) -> None:
        """Note that the client is slow."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Let the sender go on."""
        self._is_write_paused = False
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    # What a responder and content call.

    def write(self, *pieces: Piece) -> None:
        """Queue bytes for the client; DownstreamClosed when it is gone."""
        if self._is_gone or self._transport.is_closing():
            raise DownstreamClosed
        if self._outbox.waiting:
            self._outbox.flush()
        if len(pieces) == 1:
            self._pace.written += len(pieces[0])
            self._transport.write(pieces[0])
        else:
            self._pace.written += sum(map(len, pieces))
            self._transport.writelines(pieces)

    def put(self, answer: bytes) -> None:
        """Queue a whole answer, with those to other clients; DownstreamClosed when the client is gone."""
        if self._is_gone or self._transport.is_closing():
            raise DownstreamClosed
        self._pace.written += len(answer)
        self._outbox.put(self._transport, answer)

    async def drained(self) -> None:
        """Wait until the client has taken enough; DownstreamClosed when it is gone."""
        if self._is_write_paused and not self._is_gone:
            self._drain_waiter = self._loop.create_future()
            try:
                await self._drain_waiter
            finally:
                self._drain_waiter = None
        if self._is_gone:
            raise DownstreamClosed

    def abort(self) -> None:
        """Reset the connection: what was sent cannot be taken for a whole message; does nothing once it is gone."""
        if self._is_gone:
            return
        self._is_gone = True
        self._intake.go_deaf()
        # Content that only the end of the connection delimits needs more than that end to be known as cut short.
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def switch(self) -> Switched:
        """Return what the client sends from here on, as it comes."""
        switched = self._intake.switch()
        self.regulate()
        return switched

    def soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the next turn of the event loop."""
        self._loop.call_soon(callback)

    def date(self) -> bytes:
        """Return the present time as an IMF-fixdate."""
        return self._listener.date()

    def regulate(self) -> None:
        """Read from the client as long as there is room for what it sends."""
        if self._is_gone or self._has_peer_ended or self._transport.is_closing():
            return
        has_room = self._intake.has_room
        if has_room and not self._is_reading:
            self._transport.resume_reading()
        elif self._is_reading and not has_room:
            self._transport.pause_reading()
        self._is_reading = has_room

    # What the listener calls.

    def close_if_idle(self) -> None:
        """Close between requests; a new connection is given a moment, as its first request may be on its way."""
        if not self._is_answering and not self._lingers and not self._intake.input:
            if self._served:
                self._close()
            else:
                self._deadline = min(self._deadline, self._loop.time() + _FIRST_REQUEST_SECONDS)

    def check(self, now: float) -> None:
        """Act on whatever the client takes too long for."""
        if self._is_gone:
            return
        unsent = self._transport.get_write_buffer_size()
        if self._pace.is_too_slow(unsent, now):
            self.abort()
        elif self._lingers and unsent:
            self._deadline = now + self._limits.drain_timeout
        elif self._lingers and now >= self._deadline:
            # All is with the kernel, which goes on to deliver it: no reset.
            self._transport.abort()
        elif self._is_answering:
            if self._intake.content is not None:
                self._intake.content.check(now)
        elif now >= self._deadline and not self._transport.is_closing():
            self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        if self._intake.input:
            self._intake.refuse(DownstreamTimeout())
            self._start_serving()
        else:
            self._close()

    def _close(self) -> None:
        self._outbox.flush()
        self._transport.close()

    # Answering.

    @property
    def _is_answering(self) -> bool:
        return self._task is not None or self._responder is not None

    def _is_free(self) -> bool:
        """Return whether what arrives now is answered next, on a connection that stays."""
        return (
            self._task is None
            and self._responder is None
            and not self._intake.input
            and not self._intake.is_deaf
            and not self._is_write_paused
            and not self._listener.is_draining
            and self._served + 1 < self._limits.requests_per_connection
        )

    def _write_ready(self, pieces: tuple[Piece, ...]) -> bool:
        """Send a ready answer; True."""
        self._served += 1
        self._deadline = self._loop.time() + self._limits.keepalive_timeout
        if not self._transport.is_closing():
            self.write(*pieces)
        if pieces.__class__ is Last:
            self._linger()
        return True

    def _after_ready(self, data: bytes) -> bytes:
        """Answer the pipelined requests that `data` begins with, as far as their answers are ready; return the rest."""
        pieces: list[bytes] = []
        at = size = 0
        is_last = False
        most = min(self._limits.requests_per_connection - self._served - 1, _PIPELINED_AT_ONCE)
        while size < self._limits.write_buffer and len(pieces) < most and not is_last:
            end = data.find(_HEAD_END, at) + len(_HEAD_END)
            ready = self._ready(data[at:end]) if end > at else None
            if ready is None:
                break
            at = end
            pieces.append(b"".join(ready))
            size += len(pieces[-1])
            is_last = ready.__class__ is Last
        if pieces:
            self._served += len(pieces) - 1
            written = (b"".join(pieces),)
            self._write_ready(Last(written) if is_last else written)
        # RFC 9112 §9.6: what comes behind the last is not answered.
        return b"" if is_last else data[at:]

    def _ready(self, raw: bytes) -> tuple[Piece, ...] | None:
        """Return the ready answer to the head that `raw` may be, None when there is none."""
        known = self._listener.by_octets(raw, self._client, self._listener.date)
        if known is not None or (head := self._intake.lone_head(raw)) is None:
            return known
        return self._listener.by_request(raw, head, self._client)

    def _answers_lone(self, raw: bytes, head: Head) -> bool:
        """Answer a request that came alone with a ready answer, or begin to answer it without a task."""
        ready = self._listener.by_request(raw, head, self._client)
        if ready is not None:
            return self._write_ready(ready)
        self._responder = Http1Responder(
            self, head.request, keep_alive=not head.wants_close, may_stay=self._may_stay, room=self._limits.room
        )  # fmt: skip
        self._served += 1
        if self._listener.begin(head.request, self._responder, self._client, self._has_answered):
            return True
        self._responder = None
        self._served -= 1
        return False

    def _may_stay(self) -> bool:
        return not self._listener.is_draining

    def _has_answered(self) -> None:
        """Go on behind an answer that was given without a task."""
        responder, self._responder = self._responder, None
        if self._is_gone or responder is None:
            return
        if not responder.is_finished:
            self._intake.queue.clear()
            self.abort()
        elif not responder.keep_alive:
            self._linger()
        elif self._intake.queue:
            self._start_serving()
        else:
            self._await_request()

    def _start_serving(self) -> None:
        if not self._is_answering and self._intake.queue:
            self._task = spawn(self._serve(), name="http1")

    async def _serve(self) -> None:
        """Answer what is queued, in order."""
        queue = self._intake.queue
        try:
            while queue:
                await self.drained()
                if not await self._answer(queue[0]):
                    self._linger()
                    return
                await self.drained()
                queue.popleft()
                self._intake.advance()
                self.regulate()
                if queue:
                    # Answers that never have to wait would keep every other connection waiting.
                    await asyncio.sleep(0)
            self._await_request()
        except DownstreamClosed:
            queue.clear()
            self.abort()
        finally:
            self._task = None
            if queue:
                # The handler failed, or was cancelled.
                self.abort()

    async def _answer(self, item: Item) -> bool:
        """Answer one request; return whether the connection can serve another, DownstreamClosed if it broke."""
        if isinstance(item, DownstreamError):
            await self._listener.refuse(item, Http1Responder(self, None, keep_alive=False), self._client)
            return False
        head, content = item
        limits = self._limits
        self._served += 1

        def may_stay() -> bool:
            # Said in the head of an early answer: content that is too long to drop, or that may never come.
            unread = content.unread
            will_come = content.is_complete or not content.expects_continue
            is_short = unread is not None and unread <= limits.drain_octets
            return is_short and will_come and not self._listener.is_draining

        keep = not head.wants_close and self._served < limits.requests_per_connection
        responder = Http1Responder(
            self, head.request, keep_alive=keep, may_stay=may_stay, room=self._limits.room
        )  # fmt: skip
        await self._handle(head.request, content, responder, self._client)
        if not responder.is_finished:
            raise DownstreamClosed
        return responder.keep_alive and await self._has_dropped(content)

    async def _has_dropped(self, content: Content) -> bool:
        """Read and drop unread content (RFC 9112 §9.3); return False when there is too much of it."""
        if content.unread == 0:
            return True
        try:
            async with asyncio.timeout(self._limits.drain_timeout):
                return await content.discard(self._limits.drain_octets)
        except TimeoutError:
            return False

    def _await_request(self) -> None:
        """Begin to wait for the next request, if there can be one."""
        if self._has_peer_ended or (self._listener.is_draining and not self._intake.input):
            self._close()
        else:
            limits, has_begun = self._limits, self._intake.input
            self._deadline = self._loop.time() + (limits.header_timeout if has_begun else limits.keepalive_timeout)

    def _linger(self) -> None:
        """Close so that the client reads the answer: end our side, and drop what still comes for a while.

        RFC 9112 §9.6: closing with unread data resets the connection and can take the last response with it.
        """
        self._intake.queue.clear()
        self._intake.go_deaf()
        if self._has_peer_ended or self._is_gone:
            self._close()
            return
        self._outbox.flush()
        self._lingers = True
        self._deadline = self._loop.time() + self._limits.drain_timeout
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.regulate()
