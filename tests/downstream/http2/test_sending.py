"""What a connection holds is bounded, and nobody waits for those that take nothing."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.downstream.http2.content import StreamContent
from edge.downstream.http2.frames import DATA, HEADER_SIZE, HEADERS, LARGEST_WINDOW, unpack_header
from edge.downstream.http2.priority import DEFAULT, Priority
from edge.downstream.http2.responder import Http2Responder
from edge.downstream.http2.sending import Sender
from edge.downstream.http2.stream import Stream
from edge.downstream.pace import SendingPace
from edge.errors import DownstreamClosed
from edge.exchange.reading import Reading
from edge.policy.limits import Limits
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response
from edge.tasks import spawn

PIECE = 256 << 10
#: What streams hold, and beside that the one that is sent next.
HELD = 128 << 10
MOST = HELD + (64 << 10) + PIECE
#: The same while the client has room for all of it, once it was sent as much.
MOST_MOVING = (4 << 20) + PIECE
#: What each stream may have received beside that, however little room there is.
LEAST = 1 << 10
CONTENT = bytes(range(256)) * 3000


class Taken(asyncio.Transport):
    """What the kernel takes: all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.contents: dict[int, bytearray] = {}
        self.order: list[int] = []
        self.heads = 0
        self._rest = b""

    def write(self, data) -> None:
        self._rest += data
        while len(self._rest) >= HEADER_SIZE:
            high, low, kind, _, stream = unpack_header(self._rest)
            end = HEADER_SIZE + (high << 16 | low)
            if len(self._rest) < end:
                break
            if kind == DATA:
                self.contents.setdefault(stream, bytearray()).extend(self._rest[HEADER_SIZE:end])
                self.order.append(stream)
            self.heads += kind == HEADERS
            self._rest = self._rest[end:]

    def writelines(self, pieces) -> None:
        self.write(b"".join(pieces))

    def is_closing(self) -> bool:
        return False


class Octets:
    """Octets of CONTENT, so many at a time; the first come when `gate` opens."""

    opened = 0

    def __init__(self, gate: asyncio.Event, size: int, start: int, end: int) -> None:
        self._gate, self._size, self._at, self._end = gate, size, start, end
        Octets.opened += 1

    async def read(self) -> bytes:
        await self._gate.wait()
        piece = CONTENT[self._at : min(self._at + self._size, self._end)]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        self._end = self._at


class Passed:
    """CONTENT on its way from an origin that sends all of it at once: what has been received cannot be let go of."""

    def __init__(self, responder: Http2Responder) -> None:
        self._allowance = responder.allowance
        self._unread, self._at, self._may_receive = b"", 0, True
        self.receive()

    def receive(self) -> None:
        while self._may_receive and self._at < len(CONTENT):
            size = min(max(self._allowance(len(self._unread)), LEAST), PIECE)
            self._unread += CONTENT[self._at : self._at + size]
            self._at += len(CONTENT[self._at : self._at + size])
            self._may_receive = self._allowance(len(self._unread)) > 0 and len(self._unread) <= PIECE

    async def read(self) -> bytes:
        if not self._unread:
            await asyncio.sleep(0)
            self._may_receive = True
            self.receive()
        piece, self._unread = self._unread, b""
        self._may_receive = self._allowance(0) > 0
        return piece


class Sending:
    """A sender, and answers that are read as they go out."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self.transport = Taken()
        self.sender = Sender(self.transport, SendingPace(Limits()), self.streams)
        self.sender.ended = lambda stream: self.streams.pop(stream.id, None)
        self.gate = asyncio.Event()
        self.asked = self.most = 0

    def answer(self, size: int, priority: Priority = DEFAULT) -> Stream:
        stream, responder = self.opened(priority)
        _ = spawn(self._answer(responder, size), name="answer")
        return stream

    def opened(self, priority: Priority = DEFAULT) -> tuple[Stream, Http2Responder]:
        self.asked += 1
        number = 2 * self.asked - 1
        stream = Stream(number, self.sender.initial_window, priority, Limits())
        stream.content = StreamContent(None, Limits(), go_on=lambda: None, took=lambda _: None, is_complete=True)
        self.streams[number] = stream
        return stream, Http2Responder(stream, self.sender, b"GET", date=lambda: b"now", reset=lambda *_: None)

    def passing(self, priority: Priority = DEFAULT) -> Stream:
        stream, responder = self.opened(priority)
        _ = spawn(self._pass(responder), name="passing")
        return stream

    async def _pass(self, responder: Http2Responder) -> None:
        try:
            source = Passed(responder)
            self.look()
            responder.start(Response(200, FieldSection()), len(CONTENT))
            await responder.wait_room()
            while piece := await source.read():
                sending, piece = responder.send(piece), b""
                await sending
                self.look()
            responder.finish()
        except DownstreamClosed:
            pass

    async def _answer(self, responder: Http2Responder, size: int) -> None:
        source = Reading(responder, lambda start, end: Octets(self.gate, size, start, end), 0, len(CONTENT))
        try:
            responder.start(Response(200, FieldSection()), len(CONTENT))
            while piece := await source.read():
                await responder.send(piece)
                self.look()
            responder.finish()
        except DownstreamClosed:
            pass
        finally:
            source.close()

    def reset(self, stream: Stream) -> None:
        if self.streams.pop(stream.id, None) is not None:
            stream.drop()

    def look(self) -> None:
        self.most = max(self.most, sum(stream.unsent + stream.ahead for stream in self.streams.values()))

    async def settle(self) -> None:
        """Let everything run that need not wait for a window: each turn sends or reads something."""
        for _ in range(40):
            await asyncio.sleep(0)
            self.look()

    async def end(self, streams: list[Stream]) -> None:
        """Open all windows, and see that every answer comes whole."""
        self.gate.set()
        self.sender.is_paused = False
        self.sender.widen(None, LARGEST_WINDOW - max(self.sender.window, 0) - 1)
        for stream in streams:
            if stream.id in self.streams:
                self.sender.widen(stream, len(CONTENT) + max(-stream.window, 0))
        for _ in range(20_000):
            if not self.streams:
                break
            await asyncio.sleep(0)
        assert not self.streams


NUMBERS = st.integers(0, 39)
PRIORITIES = st.builds(Priority, st.integers(0, 7), st.booleans())
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from([1000, 20_000, 64 << 10, PIECE]), PRIORITIES),
        st.tuples(st.just("widen"), NUMBERS, st.sampled_from([1, 1000, 65_535, 300_000])),
        st.tuples(st.just("connection"), st.sampled_from([1, 10_000, 1 << 20]), st.none()),
        st.tuples(st.just("initial"), st.sampled_from([0, 1, 65_535, 1 << 20]), st.none()),
        st.tuples(st.just("priority"), NUMBERS, PRIORITIES),
        st.tuples(st.just("reset"), NUMBERS, st.none()),
        st.tuples(st.just("pause"), st.booleans(), st.none()),
        st.tuples(st.just("arrive"), st.booleans(), st.none()),
        st.tuples(st.just("settle"), st.none(), st.none()),
    ),
    max_size=60,
)


async def step(sending: Sending, streams: list[Stream], what: str, value, more) -> None:
    sender = sending.sender
    match what:
        case "ask":
            streams.append(sending.answer(value, more))
        case "connection":
            sender.widen(None, value)
        case "initial":
            sender.set_initial_window(value)
        case "pause":
            sender.is_paused = value
            if not value:
                sender.flush()
        case "arrive":
            sending.gate.set() if value else sending.gate.clear()
        case "settle":
            await sending.settle()
        case _ if streams:
            stream_step(sending, streams, what, streams[value % len(streams)], more)


def stream_step(sending: Sending, streams: list[Stream], what: str, stream: Stream, more) -> None:
    if stream.id not in sending.streams:
        return
    match what:
        case "widen":
            sending.sender.widen(stream, more)
        case "priority":
            stream.priority = more
            sending.sender.queue(stream)
        case "reset":
            sending.reset(stream)
            streams.remove(stream)


async def replay(initial: int, asked: int, steps) -> None:
    sending = Sending()
    sending.sender.set_initial_window(initial)
    streams = [sending.answer(PIECE) for _ in range(asked)]
    for each in steps:
        await step(sending, streams, *each)
        sending.look()
    await sending.settle()
    assert sending.most <= max(MOST, min(MOST_MOVING, sending.sender.sent + PIECE))
    # The client has room for everything from here on.
    await sending.end(streams)
    for stream in streams:
        assert sending.transport.contents[stream.id] == CONTENT
    assert sending.most <= MOST_MOVING


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0, 1, 65_535, 1 << 20]), st.integers(0, 30), STEPS)
def test_whatever_happens_little_is_held_and_whoever_has_a_window_gets_all(initial, asked, steps):
    asyncio.run(replay(initial, asked, steps))


async def test_a_stream_with_a_window_is_not_held_up_by_those_without():
    sending = Sending()
    sending.sender.set_initial_window(0)
    sending.sender.widen(None, 1 << 24)
    sending.gate.set()
    streams = [sending.answer(PIECE) for _ in range(100)]
    await sending.settle()
    assert 0 < sending.most <= MOST
    assert not sending.transport.order
    last = streams[-1]
    sending.sender.widen(last, len(CONTENT))
    while last.id in sending.streams:
        await asyncio.sleep(0)
    assert sending.transport.contents[last.id] == CONTENT
    assert sending.most <= MOST
    for stream in streams:
        sending.reset(stream)


async def test_nor_when_those_hold_more_than_is_given_to_them():
    sending = Sending()
    sending.sender.set_initial_window(0)
    sending.gate.set()
    streams = [sending.answer(PIECE) for _ in range(20)]
    await sending.settle()
    sending.sender.is_paused = True
    sending.sender.widen(None, 1 << 20)
    sending.sender.set_initial_window(1 << 20)
    urgent = sending.answer(PIECE, Priority(0))
    await sending.settle()
    sending.sender.set_initial_window(0)
    sending.sender.is_paused = False
    sending.sender.flush()
    await sending.settle()
    assert not sending.transport.order
    assert HELD < sending.most <= MOST
    last = streams[-1]
    sending.sender.widen(last, len(CONTENT))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert sending.transport.contents[last.id] == CONTENT
    assert sending.most <= MOST
    for stream in [*streams, urgent]:
        sending.reset(stream)


async def test_windows_of_one_octet_make_nobody_hold_a_piece():
    sending = Sending()
    sending.sender.set_initial_window(0)
    sending.gate.set()
    streams = [sending.answer(PIECE) for _ in range(100)]
    for stream in streams:
        await sending.settle()
        sending.sender.widen(stream, 1)
    await sending.settle()
    assert {len(sending.transport.contents[stream.id]) for stream in streams} == {1}
    assert sending.most <= MOST
    for stream in streams:
        sending.reset(stream)


async def test_what_arrives_for_all_of_them_at_once_is_not_held_for_all_of_them():
    sending = Sending()
    sending.sender.set_initial_window(1 << 20)
    sending.sender.widen(None, 1 << 20)
    streams = [sending.answer(PIECE) for _ in range(100)]
    await sending.settle()
    sending.sender.is_paused = True
    sending.gate.set()
    await sending.settle()
    assert 0 < sending.most <= MOST
    await sending.end(streams)


@pytest.mark.parametrize("is_incremental", [False, True])
async def test_those_that_are_held_back_have_their_turns_too(is_incremental):
    sending = Sending()
    sending.sender.set_initial_window(0)
    sending.sender.widen(None, 1 << 26)
    sending.gate.set()
    closed = [sending.answer(PIECE) for _ in range(5)]
    await sending.settle()
    streams = [sending.answer(64 << 10, Priority(3, is_incremental)) for _ in range(4)]
    await sending.settle()
    for stream in streams:
        sending.sender.widen(stream, len(CONTENT))
    while any(stream.id in sending.streams for stream in streams):
        await asyncio.sleep(0)
    order = sending.transport.order
    ends = [max(at for at, number in enumerate(order) if number == stream.id) for stream in streams]
    begins = [order.index(stream.id) for stream in streams]
    if is_incremental:
        assert max(begins) < min(ends)
    else:
        assert ends == sorted(ends)
    for stream in closed:
        sending.reset(stream)


async def test_ten_fast_streams_read_nothing_twice():
    sending = Sending()
    sending.sender.set_initial_window(1 << 30)
    sending.sender.widen(None, 1 << 30)
    await sending.end([sending.answer(64 << 10) for _ in range(10)])
    Octets.opened = 0
    await sending.end([sending.answer(64 << 10) for _ in range(10)])
    assert Octets.opened == 10


async def test_windows_alone_make_nobody_hold_much():
    sending = Sending()
    sending.sender.set_initial_window(1 << 24)
    sending.sender.widen(None, 1 << 30)
    sending.sender.is_paused = True
    sending.gate.set()
    streams = [sending.answer(PIECE) for _ in range(100)]
    await sending.settle()
    assert 0 < sending.most <= MOST
    await sending.end(streams)


def most_passed(streams: int) -> int:
    # What is received first, and what is received when that is to be sent.
    return MOST + 2 * LEAST * streams


@pytest.mark.parametrize("initial", [0, 1, 65_535])
async def test_what_is_passed_on_is_received_as_there_is_room_for_it(initial):
    sending = Sending()
    sending.sender.set_initial_window(initial)
    streams = [sending.passing() for _ in range(100)]
    await sending.settle()
    assert 0 < sending.most <= most_passed(100)
    last = streams[-1]
    sending.sender.widen(None, LARGEST_WINDOW >> 1)
    sending.sender.widen(last, len(CONTENT))
    for _ in range(2000):
        if last.id not in sending.streams:
            break
        await asyncio.sleep(0)
    assert sending.transport.contents[last.id] == CONTENT
    assert sending.most <= most_passed(100)
    await sending.end(streams)


async def test_a_client_with_windows_that_does_not_read_makes_nobody_receive_for_it():
    sending = Sending()
    sending.sender.set_initial_window(1 << 24)
    sending.sender.widen(None, 1 << 30)
    sending.sender.is_paused = True
    streams = [sending.passing() for _ in range(100)]
    await sending.settle()
    assert 0 < sending.most <= most_passed(100)
    await sending.end(streams)


async def test_for_one_stream_that_has_a_window_there_is_plenty():
    sending = Sending()
    stream, responder = sending.opened()
    assert responder.allowance(0) == LARGEST_WINDOW
    sending.sender.is_paused = True
    assert 0 < responder.allowance(0) < MOST
    sending.reset(stream)


async def replay_passed(initial: int, asked: int, steps) -> None:
    sending = Sending()
    sending.sender.set_initial_window(initial)
    streams = [sending.passing() for _ in range(asked)]
    for each in steps:
        if each[0] == "ask":
            streams.append(sending.passing(each[2]))
        else:
            await step(sending, streams, *each)
        sending.look()
    await sending.end(streams)
    for stream in streams:
        assert sending.transport.contents[stream.id] == CONTENT
    assert sending.most <= MOST_MOVING + 2 * LEAST * len(streams)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0, 1, 65_535, 1 << 20]), st.integers(0, 30), STEPS)
def test_whatever_happens_all_that_is_passed_on_comes(initial, asked, steps):
    asyncio.run(replay_passed(initial, asked, steps))


async def test_an_interim_response_is_not_held_for_a_client_that_does_not_read():
    sending = Sending()
    stream, responder = sending.opened()
    hints = Response(103, FieldSection([(b"link", b"</a>")]))
    sending.sender.is_paused = True
    responder.interim(hints)
    sending.sender.is_paused = False
    sending.sender.flush()
    assert sending.transport.heads == 0
    responder.interim(hints)
    sending.sender.flush()
    assert sending.transport.heads == 1
    sending.reset(stream)
