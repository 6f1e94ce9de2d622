"""What each frame does (RFC 9113 §6)."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from edge.downstream.http2.budgets import Budgets, Kind
from edge.downstream.http2.decoding import BlockDecoder
from edge.downstream.http2.faults import (
    ConnectionFault,
    Fault,
    StreamFault,
    frame_size_error,
    malformed,
    protocol_error,
)
from edge.downstream.http2.frames import (
    ACK,
    DATA,
    END_STREAM,
    FRAME_SIZE,
    GOAWAY,
    LARGEST_STREAM,
    LARGEST_WINDOW,
    PING,
    PRIORITY,
    PRIORITY_SIZE,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
    dependency,
    iter_settings,
    ping,
    settings_ack,
)
from edge.downstream.http2.inflow import Inflow
from edge.downstream.http2.intake import unpadded
from edge.downstream.http2.priority import parse_priority
from edge.downstream.http2.request import Asked, check_trailers
from edge.downstream.http2.sending import Sender
from edge.downstream.http2.stream import Stream
from edge.downstream.http2.streams import Streams
from edge.errors import DownstreamError
from edge.policy.limits import Limits

_MOST_QUEUED = 128 << 10
_MOST_SETTINGS = 32
_LARGEST_FRAME_SIZE = (1 << 24) - 1
# Larger ones would save little, and keep what is urgent waiting.
_LARGEST_SENT = 64 << 10


#: Does what a frame says, given its stream, flags and payload.
Handler = Callable[[int, int, bytes], None]


class Answers(Protocol):
    """Who answers requests."""

    def ask(self, stream: int, asked: Asked | DownstreamError, *, ends: bool) -> None:
        """Answer a request, or what should have been one; `ends` if no content follows."""
        ...

    def leave(self, stream: Stream) -> None:
        """Forget a stream whose content has ended, if its answer has too."""
        ...

    def reset(self, stream: int, fault: StreamFault) -> None:
        """End a stream, open or not, by the fault of the client; ConnectionFault when that happens too often."""
        ...


class Connection(Protocol):
    """What else a client says to its connection."""

    def greet(self) -> None:
        """Send our side of the connection preface."""
        ...

    def pong(self) -> None:
        """Take note that our PING was answered."""
        ...

    def leave_after_answers(self) -> None:
        """Take note that the client asks no more."""
        ...


class FrameReceiver:
    """The receiving side of one connection.

    Attributes:
        has_ack: whether the client has acknowledged our settings.
        refuses_from: streams above this are not answered any more.
    """

    __slots__ = (
        "_answers", "_budgets", "_connection", "_decoder", "_handlers", "_has_settings", "_inflow", "_limits", "_loop",
        "_sender", "_streams", "has_ack", "refuses_from",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        answers: Answers,
        streams: Streams,
        sender: Sender,
        inflow: Inflow,
        decoder: BlockDecoder,
        budgets: Budgets,
        limits: Limits,
    ) -> None:
        self._connection = connection
        self._answers = answers
        self._streams = streams
        self._sender = sender
        self._inflow = inflow
        self._decoder = decoder
        self._budgets = budgets
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._has_settings = False
        self._handlers: dict[int, Handler] = {
            DATA: self._data,
            PRIORITY: self._priority,
            RST_STREAM: self._rst_stream,
            SETTINGS: self._settings,
            PUSH_PROMISE: self._push_promise,
            PING: self._ping,
            GOAWAY: self._goaway,
            WINDOW_UPDATE: self._window_update,
            PRIORITY_UPDATE: self._priority_update,
        }
        self.has_ack = False
        self.refuses_from = LARGEST_STREAM

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be sent that nothing more should be taken."""
        return self._sender.is_paused or self._sender.queued > _MOST_QUEUED

    def preface(self) -> None:
        """Answer the connection preface."""
        self._connection.greet()

    def frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Do what a frame says; ConnectionFault when it must not be."""
        if not self._has_settings and kind != SETTINGS:
            # RFC 9113 §3.4.
            raise protocol_error()
        handler = self._handlers.get(kind)
        if handler is None:
            # RFC 9113 §5.5: ignored.
            self._spend(Kind.UNKNOWN)
            return
        try:
            handler(stream, flags, payload)
        except StreamFault as fault:
            self._fail(stream, fault)

    def header_block(self, stream: int, flags: int, block: bytes, depends_on: int) -> None:
        """Begin a stream, or end its content with trailers."""
        if not self._has_settings:
            raise protocol_error()
        ends = bool(flags & END_STREAM)
        try:
            if stream <= self._streams.last:
                self._trailers(stream, block, ends=ends)
                return
            self._streams.begin(stream)
            if stream > self.refuses_from:
                # RFC 9113 §6.8: not processed, but decoded, because later blocks build upon it.
                self._streams.note_reset(stream, by_us=True)
                self._decoder.lines(block)
            else:
                self._begin(stream, block, ends=ends, depends_on=depends_on)
        except StreamFault as fault:
            self._fail(stream, fault)

    # HEADERS.

    def _begin(self, stream: int, block: bytes, *, ends: bool, depends_on: int) -> None:
        try:
            asked: Asked | DownstreamError = self._decoder.request(block, ends=ends)
        except Fault:
            raise
        except DownstreamError as error:
            asked = error
        if depends_on == stream:
            raise malformed()
        if not self._streams.has_room(self._limits.streams):
            raise StreamFault(ErrorCode.REFUSED_STREAM)
        self._answers.ask(stream, asked, ends=ends)

    def _trailers(self, number: int, block: bytes, *, ends: bool) -> None:
        stream = self._streams.open.get(number)
        if stream is None:
            why_not = self._streams.why_not(number)
            if isinstance(why_not, ConnectionFault):
                raise why_not
            self._decoder.lines(block)
            if why_not is not None:
                raise why_not
            return
        lines = self._decoder.lines(block)
        if stream.content.is_complete:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        if not ends:
            raise malformed()
        try:
            check_trailers(lines, self._limits)
        except Fault:
            raise
        except DownstreamError as error:
            stream.content.fail(error)
        stream.content.feed(b"", ends=True)
        self._answers.leave(stream)

    # All others, in the order of RFC 9113 §6.

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        self._inflow.arrived(len(payload))
        stream = self._streams.open.get(number)
        if stream is None:
            self._inflow.give_back(len(payload))
            if (why_not := self._streams.why_not(number)) is not None:
                raise why_not
            return
        data = unpadded(payload, flags)
        try:
            self._take_content(stream, data, len(payload), ends=bool(flags & END_STREAM))
        except StreamFault:
            self._inflow.give_back(len(data))
            raise
        finally:
            self._inflow.took(stream, len(payload) - len(data))
        self._answers.leave(stream)

    def _take_content(self, stream: Stream, data: bytes, size: int, *, ends: bool) -> None:
        if stream.content.is_complete:
            raise StreamFault(ErrorCode.STREAM_CLOSED)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR)
        if not data and not ends:
            self._spend(Kind.EMPTY)
        stream.content.feed(data, ends=ends)

    def _priority(self, number: int, _flags: int, payload: bytes) -> None:
        _stream_only(number)
        self._spend(Kind.PRIORITY)
        if len(payload) != PRIORITY_SIZE:
            raise StreamFault(ErrorCode.FRAME_SIZE_ERROR)
        if dependency(payload) == number:
            raise malformed()

    def _rst_stream(self, number: int, _flags: int, payload: bytes) -> None:
        _stream_only(number)
        _of_size(payload, 4)
        self._check_not_idle(number)
        self._spend(Kind.RESET)
        stream = self._streams.open.get(number)
        if stream is not None:
            self._streams.note_reset(number, by_us=False)
            self._streams.end(stream)

    def _settings(self, number: int, flags: int, payload: bytes) -> None:
        _connection_only(number)
        self._spend(Kind.SETTINGS)
        if flags & ACK:
            _of_size(payload, 0)
            self.has_ack = True
            return
        if len(payload) % 6:
            raise frame_size_error()
        if len(payload) > 6 * _MOST_SETTINGS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, Kind.SETTINGS.value)
        self._has_settings = True
        for setting, value in iter_settings(payload):
            self._set(setting, value)
        self._sender.frame(settings_ack())

    def _set(self, setting: int, value: int) -> None:
        # What is in no other case changes nothing: no table is used, nothing is pushed, and nothing is opened on this side.
        match setting:
            case Setting.ENABLE_PUSH | Setting.NO_RFC7540_PRIORITIES if value > 1:
                raise protocol_error()
            case Setting.INITIAL_WINDOW_SIZE:
                if value > LARGEST_WINDOW:
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
                self._sender.set_initial_window(value)
            case Setting.MAX_FRAME_SIZE:
                if not FRAME_SIZE <= value <= _LARGEST_FRAME_SIZE:
                    raise protocol_error()
                self._sender.frame_size = min(value, _LARGEST_SENT)
            case _:
                pass

    def _push_promise(self, _number: int, _flags: int, _payload: bytes) -> None:
        # RFC 9113 §8.4: a client cannot push.
        raise protocol_error()

    def _ping(self, number: int, flags: int, payload: bytes) -> None:
        _connection_only(number)
        _of_size(payload, 8)
        self._spend(Kind.PING)
        if flags & ACK:
            self._connection.pong()
        else:
            self._sender.frame(ping(payload, is_ack=True))

    def _goaway(self, number: int, _flags: int, payload: bytes) -> None:
        _connection_only(number)
        if len(payload) < 8:
            raise frame_size_error()
        self._connection.leave_after_answers()

    def _window_update(self, number: int, _flags: int, payload: bytes) -> None:
        _of_size(payload, 4)
        increment = int.from_bytes(payload, "big") & LARGEST_WINDOW
        self._budgets.spend_window_update(self._streams.opened, self._sender.sent)
        if number == 0:
            if not increment:
                raise protocol_error()
            self._sender.widen(None, increment)
            return
        self._check_not_idle(number)
        stream = self._streams.open.get(number)
        if stream is not None:
            if not increment:
                raise malformed()
            self._sender.widen(stream, increment)

    def _priority_update(self, number: int, _flags: int, payload: bytes) -> None:
        # RFC 9218 §7.1.
        _connection_only(number)
        self._spend(Kind.PRIORITY)
        if len(payload) < 4:
            raise frame_size_error()
        prioritized = int.from_bytes(payload[:4], "big") & LARGEST_STREAM
        if not prioritized & 1:
            raise protocol_error()
        priority = parse_priority(payload[4:])
        stream = self._streams.open.get(prioritized)
        if stream is not None:
            stream.priority = priority
            self._sender.queue(stream)
        else:
            self._streams.prioritize_early(prioritized, priority)

    def _check_not_idle(self, number: int) -> None:
        if number > self._streams.last or not number & 1:
            raise protocol_error()

    def _spend(self, kind: Kind) -> None:
        self._budgets.spend(kind, self._loop.time())

    def _fail(self, number: int, fault: StreamFault) -> None:
        if number > self._streams.last or not number & 1:
            # RFC 9113 §6.4: an idle stream cannot be reset.
            raise ConnectionFault(fault.code, fault.token) from fault
        self._answers.reset(number, fault)


def _connection_only(number: int) -> None:
    if number:
        raise protocol_error()


def _stream_only(number: int) -> None:
    if not number:
        raise protocol_error()


def _of_size(payload: bytes, size: int) -> None:
    if len(payload) != size:
        raise frame_size_error()
