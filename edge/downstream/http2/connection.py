"""An HTTP/2 connection: requests in, answers out, many at a time (RFC 9113)."""

import asyncio
from typing import TYPE_CHECKING, cast

from edge.downstream.http2.answering import Answering
from edge.downstream.http2.budgets import Budgets
from edge.downstream.http2.decoding import BlockDecoder
from edge.downstream.http2.faults import ConnectionFault, StreamFault
from edge.downstream.http2.frames import (
    LARGEST_STREAM,
    WINDOW,
    ErrorCode,
    Setting,
    goaway,
    ping,
    settings,
    window_update,
)
from edge.downstream.http2.inflow import CONNECTION_WINDOW, Inflow
from edge.downstream.http2.intake import Intake
from edge.downstream.http2.receiver import FrameReceiver
from edge.downstream.http2.sending import Sender
from edge.downstream.http2.stream import ENOUGH
from edge.downstream.http2.streams import Streams
from edge.downstream.pace import SendingPace

if TYPE_CHECKING:
    from edge.downstream.listener import Handle, Listener

# A client that has not answered our PING by then has had the time to hear of the shutdown (RFC 9113 §6.8).
_SHUTDOWN_GRACE = 1.0
_SHUTDOWN_PING = b"shutdown"


class Http2(asyncio.Protocol):
    """One connection.

    After GOAWAY it lingers: nothing more is sent, and what still comes is dropped, so that the client can read why.
    """

    __slots__ = (
        "_answering", "_client", "_deadline", "_goaway_at", "_handle", "_ignored", "_inflow", "_intake", "_is_gone",
        "_is_last", "_is_reading", "_limits", "_lingers", "_listener", "_loop", "_pace", "_receiver", "_sender",
        "_settings_at", "_streams", "_transport", "_waiting_since", "_window_pace",
    )  # fmt: skip

    def __init__(self, listener: "Listener", client: str | None = None, handle: "Handle | None" = None) -> None:
        """Answer through `listener`, by `handle` if given; `client` is who the client is if it is not the peer."""
        self._listener = listener
        self._handle = handle or listener.handle
        self._client = client or ""
        self._limits = listener.limits
        self._loop = asyncio.get_running_loop()
        self._streams = Streams()
        self._pace = SendingPace(listener.limits)
        self._window_pace = SendingPace(listener.limits)
        self._is_reading = True
        self._is_gone = False
        self._lingers = False
        # Whether no more requests come, once those that are open are answered.
        self._is_last = False
        self._ignored = 0
        self._deadline = 0.0
        self._waiting_since: float | None = None
        self._settings_at: float | None = None
        self._goaway_at: float | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the connection preface."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        client = self._client or (peer[0] if isinstance(peer, tuple) else "unix")
        listener, limits, streams, budgets = self._listener, self._limits, self._streams, Budgets()
        self._transport.set_write_buffer_limits(high=min(limits.write_buffer, ENOUGH))
        self._sender = Sender(self._transport, self._pace, streams.open)
        self._inflow = Inflow(self._sender)
        self._answering = Answering(
            listener, client, self._handle, streams, self._sender, self._inflow, budgets, self._progressed
        )  # fmt: skip
        self._sender.ended = self._answering.ended
        decoder = BlockDecoder(listener.scheme, limits)
        self._receiver = FrameReceiver(
            self, self._answering, streams, self._sender, self._inflow, decoder, budgets, limits
        )
        self._intake = Intake(self._receiver, 2 * limits.field_section)
        self._deadline = self._loop.time() + limits.header_timeout
        listener.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take what arrives, and answer it."""
        if self._lingers:
            self._ignored += len(data)
        else:
            try:
                self._intake.feed(data)
            except ConnectionFault as fault:
                self._fail(fault)
        self._watch()
        self._regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let whoever reads or writes know that the client is gone."""
        self._is_gone = True
        self._streams.end_all()
        self._listener.closed(self)

    def pause_writing(self) -> None:
        """Note that the client is slow."""
        self._sender.is_paused = True

    def resume_writing(self) -> None:
        """Send on, and take what waited for that."""
        self._sender.is_paused = False
        self._sender.flush()
        self._take_rest()

    # What the receiver calls.

    def greet(self) -> None:
        """Send our side of the connection preface (RFC 9113 §3.4)."""
        self._settings_at = self._loop.time()
        self._deadline = self._settings_at + self._limits.keepalive_timeout
        ours = {
            Setting.MAX_CONCURRENT_STREAMS: self._limits.streams,
            Setting.MAX_HEADER_LIST_SIZE: self._limits.field_section,
            # RFC 9218 §2.1.
            Setting.NO_RFC7540_PRIORITIES: 1,
        }
        self._sender.frame(settings(ours) + window_update(0, CONNECTION_WINDOW - WINDOW))
        if self._listener.is_draining:
            self._begin_shutdown()

    def pong(self) -> None:
        """Take note that our PING was answered: whatever the client asked before it heard of the shutdown is here."""
        if self._goaway_at is not None and not self._is_last:
            self._end_shutdown()

    def leave_after_answers(self) -> None:
        """Close once everything is answered: the client asks no more."""
        self._is_last = True
        self._close_if_done()

    # What the listener calls.

    def close_if_idle(self) -> None:
        """Begin to close, in two steps, so that no request is lost (RFC 9113 §6.8).

        A new connection is given a moment, as its preface may be on its way.
        """
        if self._intake.has_begun:
            self._begin_shutdown()
        else:
            self._deadline = min(self._deadline, self._loop.time() + _SHUTDOWN_GRACE)

    def abort(self) -> None:
        """Reset the connection; does nothing once it is gone."""
        if not self._is_gone:
            self._is_gone = True
            self._streams.end_all()
            self._transport.abort()

    def check(self, now: float) -> None:
        """Act on whatever the client takes too long for."""
        if self._is_gone:
            return
        unsent = self._transport.get_write_buffer_size()
        if self._pace.is_too_slow(unsent, now):
            self.abort()
        elif self._lingers:
            if unsent:
                self._deadline = now + self._limits.drain_timeout
            elif now >= self._deadline:
                # All is with the kernel, which goes on to deliver it: no reset.
                self._transport.abort()
        else:
            try:
                self._check_waiting(now)
                self._check_streams(now)
            except ConnectionFault as fault:
                self._fail(fault)

    def _check_waiting(self, now: float) -> None:
        timeout = self._limits.header_timeout
        if self._settings_at is not None and not self._receiver.has_ack and now - self._settings_at >= timeout:
            raise ConnectionFault(ErrorCode.SETTINGS_TIMEOUT)
        if self._waiting_since is not None and now - self._waiting_since >= timeout:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "frame-timeout")
        if self._goaway_at is not None and not self._is_last and now - self._goaway_at >= _SHUTDOWN_GRACE:
            self._end_shutdown()
        elif not self._streams.open and now >= self._deadline:
            self._close(ErrorCode.NO_ERROR)

    def _check_streams(self, now: float) -> None:
        streams = list(self._streams.open.values())
        unsent = sum(stream.unsent for stream in streams)
        self._window_pace.written = self._sender.sent + unsent
        if self._window_pace.is_too_slow(0 if self._sender.window > 0 else unsent, now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "stalled-window")
        for stream in streams:
            # Who waits for its turn is not stalled.
            waiting = stream.unsent or int(stream.wants)
            if stream.pace.is_too_slow(0 if stream.window > 0 else waiting, now):
                self._answering.reset(stream.id, StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "stalled-window"))
            elif self._inflow.window > 0:
                stream.content.check(now)

    # Closing.

    def _progressed(self) -> None:
        """Note that a stream has begun or ended."""
        self._deadline = self._loop.time() + self._limits.keepalive_timeout
        if self._streams.opened >= self._limits.streams_per_connection:
            self._begin_shutdown()
        self._close_if_done()

    def _begin_shutdown(self) -> None:
        if self._goaway_at is None and not self._lingers:
            self._goaway_at = self._loop.time()
            self._sender.frame(goaway(LARGEST_STREAM, ErrorCode.NO_ERROR) + ping(_SHUTDOWN_PING, is_ack=False))

    def _end_shutdown(self) -> None:
        self._is_last = True
        self._receiver.refuses_from = self._streams.last
        self._sender.frame(goaway(self._streams.last, ErrorCode.NO_ERROR))
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_last and not self._streams.open:
            self._linger()

    def _fail(self, fault: ConnectionFault) -> None:
        self._listener.count(f"http2-{fault.token}")
        if not self._intake.has_begun:
            self.greet()
        self._close(fault.code, fault.token.encode("ascii"))

    def _close(self, code: ErrorCode, debug: bytes = b"") -> None:
        self._streams.end_all()
        if not self._lingers:
            # RFC 9113 §6.8: never above what an earlier GOAWAY said.
            self._sender.frame(goaway(min(self._streams.last, self._receiver.refuses_from), code, debug))
            self._linger()

    def _linger(self) -> None:
        """Close so that the client reads what was sent: end our side, and drop what still comes for a while."""
        if self._lingers or self._is_gone:
            return
        self._lingers = True
        self._sender.finish()
        self._deadline = self._loop.time() + self._limits.drain_timeout
        if not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()

    # Reading.

    def _watch(self) -> None:
        """Begin to wait for the rest of what has arrived in part, unless it is we who do not take it."""
        if not self._intake.is_waiting or self._receiver.is_full:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self._loop.time()

    def _regulate(self) -> None:
        """Read from the client as long as there is room for what it sends."""
        if self._is_gone or self._transport.is_closing():
            return
        is_full = self._receiver.is_full
        if is_full and not self._sender.is_paused:
            self._loop.call_soon(self._take_rest)
        has_room = self._ignored <= self._limits.drain_octets if self._lingers else not is_full
        if has_room and not self._is_reading:
            self._transport.resume_reading()
        elif self._is_reading and not has_room:
            self._transport.pause_reading()
        self._is_reading = has_room

    def _take_rest(self) -> None:
        """Take what has arrived while there was no room for it."""
        if not self._is_gone:
            self.data_received(b"")
