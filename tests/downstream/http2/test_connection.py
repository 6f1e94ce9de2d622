"""Windows, priorities, early answers, endings, and ready answers of a connection."""

import asyncio
from contextlib import suppress

import pytest

from edge.downstream.http2.frames import (
    ACK,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    WINDOW_UPDATE,
    ErrorCode,
)  # fmt: skip
from edge.downstream.ready import ReadyTable
from edge.errors import DownstreamClosed
from edge.policy.limits import Limits
from edge.semantics.dates import parse_date
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response
from edge.testing.upstream import Answer as OriginAnswer
from tests.downstream.http2.speaking import (
    GET,
    POST,
    data,
    frame,
    headers,
    only,
    ping,
    priority_update,
    rst,
    settings,
    window_update,
)  # fmt: skip
from tests.downstream.talking import Hearing, hearing, say, saying
from tests.exchange.world import World

INITIAL_WINDOW, MAX_FRAME_SIZE = 0x4, 0x5
CONTENT = bytes(range(256)) * 4096


def sizes(peer, stream: int = 1) -> list[int]:
    return [len(got.payload) for got in peer.of(DATA) if got.stream == stream]


async def settled(peer) -> None:
    """Wait until what was asked for has been answered as far as there is room: a handler that need not wait is done."""
    for _ in range(3):
        assert await peer.pong()


class TestAnswers:
    async def test_head_and_content_leave_in_one_write_and_come_with_date_and_length(self, speaking):
        peer = await speaking.to(saying(lines=[(b"etag", b'"x"'), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]))
        await peer.send(headers(1))
        answer = await peer.answer()
        assert answer.heads[0][:4] == [
            (b":status", b"200"), (b"etag", b'"x"'), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d"),
        ]  # fmt: skip
        assert answer.content == b"hello"
        assert answer.fields[b"content-length"] == b"5"
        assert parse_date(answer.fields[b"date"], now=0.0) is not None

    @pytest.mark.parametrize(
        ("method", "status", "length"),
        [
            pytest.param(b"HEAD", 200, b"5", id="HEAD"),
            pytest.param(b"GET", 304, None, id="304"),
            pytest.param(b"GET", 204, None, id="204"),
        ],
    )
    async def test_an_answer_without_content_ends_with_its_head(self, speaking, method, status, length):
        peer = await speaking.to(saying(status))
        await peer.send(only(1, (b":method", method), *POST[1:]))
        answer = await peer.answer()
        assert (answer.status, answer.content, answer.fields.get(b"content-length")) == (status, b"", length)
        assert not peer.of(DATA)

    async def test_content_of_unknown_length_ends_with_the_stream(self, speaking):
        async def handle(_request, _content, responder, _client):
            responder.start(Response(200, FieldSection()), None)
            await responder.send(b"hel")
            await responder.send(b"lo")
            responder.finish()

        peer = await speaking.to(handle)
        await peer.send(headers(1))
        answer = await peer.answer()
        assert (answer.content, answer.fields.get(b"content-length")) == (b"hello", None)

    async def test_interim_responses_are_forwarded_and_100_is_our_own(self, speaking):
        async def handle(_request, content, responder, _client):
            responder.interim(Response(100, FieldSection()))
            responder.interim(Response(101, FieldSection()))
            responder.interim(Response(103, FieldSection([(b"link", b"</a>")])))
            await content.read()
            await say(responder, 200, b"")

        peer = await speaking.to(handle)
        await peer.send(headers(1, (b"expect", b"100-continue"), ends=False, request=POST))
        await peer.until(lambda got: got.kind == HEADERS)
        await peer.until(lambda got: got.kind == HEADERS)
        await peer.send(data(1, b"x", ends=True))
        heads = (await peer.answer()).heads
        assert [dict(head)[b":status"] for head in heads] == [b"103", b"100", b"200"]
        assert dict(heads[0])[b"link"] == b"</a>"

    @pytest.mark.parametrize("length", [10, None])
    async def test_content_that_is_not_whole_never_ends(self, speaking, length):
        async def handle(_request, _content, responder, _client):
            responder.start(Response(200, FieldSection()), length)
            await responder.send(b"hello")
            with suppress(DownstreamClosed):
                responder.abort() if length is None else responder.finish()

        peer = await speaking.to(handle)
        await peer.send(headers(1))
        answer = await peer.answer()
        assert (answer.is_whole, answer.reset) == (False, ErrorCode.INTERNAL_ERROR)
        assert await peer.pong()

    async def test_more_content_than_announced_is_never_sent(self, speaking):
        async def handle(_request, _content, responder, _client):
            responder.start(Response(200, FieldSection()), 3)
            with suppress(DownstreamClosed):
                await responder.send(b"hello")

        peer = await speaking.to(handle)
        await peer.send(headers(1))
        answer = await peer.answer()
        assert (answer.content, answer.is_whole, answer.reset) == (b"", False, ErrorCode.INTERNAL_ERROR)

    async def test_a_handler_that_gives_up_resets_the_stream(self, speaking):
        async def handle(_request, _content, responder, _client):
            """Answer nothing."""

        peer = await speaking.to(handle)
        await peer.send(headers(1))
        assert (await peer.answer()).reset == ErrorCode.INTERNAL_ERROR

    async def test_fields_longer_than_a_frame_take_continuation(self, speaking):
        lines = [(b"a%d" % number, b"b" * 1000) for number in range(40)]
        peer = await speaking.to(saying(lines=lines))
        await peer.send(headers(1))
        assert (await peer.answer()).heads[0][1:41] == lines

    async def test_the_first_block_says_that_no_table_is_used(self, speaking):
        peer = await speaking.to(saying(), pairs=[(0x1, 0)])
        await peer.send(headers(1) + headers(3))
        assert (await peer.answer(3)).status == 200
        assert [got.payload[:2] for got in peer.of(HEADERS)] == [b"\x20\x88", b"\x88\x0f"]


class TestEarlyAnswers:
    async def test_content_that_nobody_reads_is_refused_without_an_error(self, speaking):
        peer = await speaking.to(saying(413))
        await peer.send(headers(1, ends=False, request=POST) + data(1, b"hello"))
        answer = await peer.answer()
        assert (answer.status, answer.is_whole) == (413, True)
        await peer.until(lambda got: got.kind == RST_STREAM)
        assert peer.answers[1].reset == ErrorCode.NO_ERROR
        # What crosses the reset is dropped, and its room is given back.
        for _ in range(40):
            await peer.send(data(1, bytes(16384)))
        await peer.send(data(1, b"x") + only(1, (b"a", b"b")))
        assert await peer.pong()
        assert sum(int.from_bytes(got.payload, "big") for got in peer.of(WINDOW_UPDATE)[1:]) >= 40 * 16384 - (256 << 10)


class TestSendingWindows:
    async def test_no_more_is_sent_than_the_stream_has_room_for(self, speaking):
        peer = await speaking.to(saying(content=CONTENT), pairs=[(INITIAL_WINDOW, 10)])
        await peer.send(headers(1))
        await settled(peer)
        assert sizes(peer) == [10]
        await peer.send(window_update(1, 1))
        await settled(peer)
        assert sizes(peer) == [10, 1]

    async def test_no_more_is_sent_than_the_connection_has_room_for(self, speaking):
        peer = await speaking.to(saying(content=CONTENT), pairs=[(INITIAL_WINDOW, (1 << 31) - 1)])
        await peer.send(headers(1) + headers(3))
        await settled(peer)
        assert sum(sizes(peer, 1) + sizes(peer, 3)) == 65535
        await peer.send(window_update(0, 2 * len(CONTENT)))
        assert [(await peer.answer(stream)).content for stream in (1, 3)] == [CONTENT, CONTENT]

    async def test_a_window_can_be_negative(self, speaking):
        peer = await speaking.to(saying(content=CONTENT), pairs=[(INITIAL_WINDOW, 100)])
        await peer.send(headers(1))
        await settled(peer)
        await peer.send(settings((INITIAL_WINDOW, 40)) + window_update(1, 60))
        await settled(peer)
        assert sizes(peer) == [100]
        await peer.send(window_update(1, 1))
        await settled(peer)
        assert sizes(peer) == [100, 1]
        await peer.send(settings((INITIAL_WINDOW, 41)))
        await settled(peer)
        assert sizes(peer) == [100, 1, 1]

    async def test_a_setting_that_changes_often_adds_up(self, speaking):
        peer = await speaking.to(saying(content=CONTENT), pairs=[(INITIAL_WINDOW, 0)])
        await peer.send(headers(1))
        await peer.send(settings(*[(INITIAL_WINDOW, size) for size in range(30)]))
        await settled(peer)
        assert sum(sizes(peer)) == 29

    async def test_an_end_needs_no_room(self, speaking):
        async def handle(_request, _content, responder, _client):
            responder.start(Response(200, FieldSection()), None)
            responder.finish()

        peer = await speaking.to(handle, pairs=[(INITIAL_WINDOW, 0)])
        await peer.send(headers(1))
        assert (await peer.answer()).is_whole

    async def test_a_source_waits_for_a_client_without_room(self, speaking):
        sent, gone = [], asyncio.Event()

        async def handle(_request, _content, responder, _client):
            responder.start(Response(200, FieldSection()), None)
            try:
                while True:
                    await responder.send(bytes(16384))
                    sent.append(16384)
            except DownstreamClosed:
                gone.set()

        peer = await speaking.to(handle)
        await peer.send(headers(1))
        await settled(peer)
        assert sum(sent) <= (64 << 10) * 3
        await peer.send(rst(1))
        await gone.wait()

    async def test_a_slow_client_gets_all_of_it(self, speaking):
        peer = await speaking.to(saying(content=CONTENT), receive_buffer=4096)
        await peer.send(window_update(0, 1 << 30) + settings((INITIAL_WINDOW, 1 << 30)) + headers(1))
        assert (await peer.answer()).content == CONTENT


class TestReceivingWindows:
    async def test_room_is_given_as_content_is_read_and_not_before(self, speaking):
        handler = Hearing()
        peer = await speaking.to(handler, pairs=[(INITIAL_WINDOW, 1 << 20)])
        await peer.send(window_update(0, 1 << 20), headers(1, ends=False, request=POST), *[data(1, bytes(16383))] * 4)
        assert await peer.pong()
        assert [got for got in peer.of(WINDOW_UPDATE) if got.stream == 1] == []
        handler.gate.set()
        await peer.until(lambda got: got.kind == WINDOW_UPDATE and got.stream == 1)
        await peer.send(*[data(1, bytes(16383))] * 2, data(1, ends=True))
        assert (await peer.answer()).content == b"POST / " + bytes(16383 * 6)

    async def test_pieces_of_one_octet_take_little_memory(self, speaking):
        handler = Hearing()
        listener, port = await speaking.listener(handler)
        peer = await speaking.peer(port)
        await peer.greet()
        await peer.send(headers(1, ends=False, request=POST), data(1, b"x") * 20_000)
        assert await peer.pong()
        (connection,) = listener._connections
        assert len(connection._streams.open[1].content._pieces) <= 41
        handler.gate.set()
        await peer.send(data(1, ends=True))
        assert (await peer.answer()).content == b"POST / " + b"x" * 20_000

    async def test_content_that_was_cancelled_is_never_whole_for_its_reader(self, speaking):
        handler = Hearing()
        peer = await speaking.to(handler)
        await peer.send(headers(1, ends=False, request=POST) + data(1, b"hello", ends=True) + rst(1))
        assert await peer.pong()
        handler.gate.set()
        while not handler.heard:
            await asyncio.sleep(0)
        ((_, content, error),) = handler.heard
        assert (content, type(error)) == (b"", DownstreamClosed)


class TestPriorities:
    """RFC 9218 §10."""

    async def order(self, speaking, *requests: bytes, later: bytes = b"") -> list[int]:
        """Return on which streams content came, when all of it waited for room."""
        peer = await speaking.to(saying(content=bytes(20_000)), pairs=[(INITIAL_WINDOW, 0)])
        await peer.send(b"".join(requests))
        assert await peer.pong()
        await peer.send(later + settings((INITIAL_WINDOW, 1 << 20)))
        for number in range(len(requests)):
            assert (await peer.answer(2 * number + 1)).is_whole
        return [got.stream for got in peer.of(DATA)]

    async def test_equals_come_one_after_the_other(self, speaking):
        assert await self.order(speaking, *[headers(stream) for stream in (1, 3, 5)]) == [1, 1, 3, 3, 5, 5]

    async def test_the_urgent_come_first(self, speaking):
        said = [headers(1, (b"priority", b"u=5")), headers(3), headers(5, (b"priority", b"u=0"))]
        assert await self.order(speaking, *said) == [5, 5, 3, 3, 1, 1]

    async def test_the_incremental_take_turns(self, speaking):
        said = [headers(stream, (b"priority", b"i")) for stream in (1, 3, 5)]
        assert await self.order(speaking, *said) == [1, 3, 5, 1, 3, 5]

    async def test_a_client_can_change_its_mind(self, speaking):
        said = [headers(stream) for stream in (1, 3)]
        assert await self.order(speaking, *said, later=priority_update(3, b"u=1")) == [3, 3, 1, 1]

    async def test_what_is_said_early_beats_what_the_request_says(self, speaking):
        said = [priority_update(3, b"u=1") + headers(1), headers(3, (b"priority", b"u=6"))]
        assert await self.order(speaking, *said) == [3, 3, 1, 1]

    async def test_only_those_whose_turn_has_come_are_read_on(self, speaking):
        sent = []

        async def handle(request, _content, responder, _client):
            responder.start(Response(200, FieldSection()), 4 * 20_000)
            for _ in range(4):
                await responder.send(bytes(20_000))
                sent.append(request.target.path)
            responder.finish()

        peer = await speaking.to(handle, pairs=[(INITIAL_WINDOW, 0)])
        await peer.send(b"".join(only(stream, *GET[:3], (b":path", b"/%d" % stream)) for stream in (1, 3, 5)))
        assert await peer.pong()
        assert not sent
        await peer.send(settings((INITIAL_WINDOW, 1 << 20)))
        while sum(len(got.payload) for got in peer.of(DATA)) < WINDOW:
            await peer.read()
        assert await peer.pong()
        assert sent == [b"/1"] * 4
        assert {got.stream for got in peer.of(DATA)} == {1}
        await peer.send(window_update(0, 1 << 20))
        for stream in (1, 3, 5):
            assert (await peer.answer(stream)).content == bytes(80_000)
        assert sent == [b"/1"] * 4 + [b"/3"] * 4 + [b"/5"] * 4

    async def test_the_origin_has_a_say(self, speaking):
        async def handle(request, _content, responder, _client):
            lines = [(b"priority", b"u=1")] if request.target.path == b"/urgent" else []
            await say(responder, 200, bytes(20_000), lines=lines)

        peer = await speaking.to(handle, pairs=[(INITIAL_WINDOW, 0)])
        await peer.send(headers(1) + only(3, *POST[:3], (b":path", b"/urgent")))
        assert await peer.pong()
        await peer.send(settings((INITIAL_WINDOW, 1 << 20)))
        assert (await peer.answer(1)).is_whole
        assert [got.stream for got in peer.of(DATA)] == [3, 3, 1, 1]


class TestEnding:
    async def test_draining_takes_two_steps_and_loses_no_request(self, speaking):
        handler = Hearing()
        listener, port = await speaking.listener(handler)
        peer = await speaking.peer(port)
        await peer.greet()
        await peer.send(headers(1))
        await handler.began.wait()
        listener.drain()
        assert await peer.goaway() == ErrorCode.NO_ERROR
        assert int.from_bytes(peer.seen[-1].payload[:4], "big") == (1 << 31) - 1
        asked = await peer.until(lambda got: got.kind == PING)
        # Asked before the client could have known.
        await peer.send(headers(3) + ping(asked.payload, ACK))
        assert await peer.goaway() == ErrorCode.NO_ERROR
        assert int.from_bytes(peer.seen[-1].payload[:4], "big") == 3
        # And behind what it knows.
        await peer.send(headers(5, ends=False, request=POST) + data(5, b"hello") + headers(7))
        assert await peer.pong()
        handler.gate.set()
        assert [(await peer.answer(stream)).status for stream in (1, 3)] == [200, 200]
        await peer.ended()
        assert set(peer.answers) == {1, 3}
        peer.writer.close()
        await listener.drained()

    async def test_a_client_that_does_not_answer_the_ping_is_not_waited_for(self, speaking):
        listener, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.greet()
        listener.drain()
        await peer.until(lambda got: got.kind == PING)
        (connection,) = listener._connections
        connection.check(asyncio.get_running_loop().time() + 1.1)
        assert await peer.goaway() == ErrorCode.NO_ERROR

    async def test_after_so_many_requests_a_connection_ends(self, speaking):
        peer = await speaking.to(hearing(), Limits(streams_per_connection=3))
        await peer.send(headers(1) + headers(3))
        assert (await peer.answer(3)).status == 200
        await peer.send(headers(5))
        assert await peer.goaway() == ErrorCode.NO_ERROR
        await peer.send(ping(b"shutdown", ACK))
        assert await peer.goaway() == ErrorCode.NO_ERROR
        assert (await peer.answer(5)).status == 200
        await peer.ended()

    async def test_a_client_that_leaves_gets_what_it_asked_for(self, speaking):
        handler = Hearing()
        peer = await speaking.to(handler)
        await peer.send(headers(1) + frame(GOAWAY, 0, 0, bytes(8)))
        await handler.began.wait()
        handler.gate.set()
        assert (await peer.answer()).status == 200
        await peer.ended()

    async def test_an_idle_connection_ends(self, speaking):
        listener, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.greet()
        assert await peer.pong()
        (connection,) = listener._connections
        connection.check(asyncio.get_running_loop().time() + 61)
        assert await peer.goaway() == ErrorCode.NO_ERROR
        await peer.ended()

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            pytest.param(frame(HEADERS, 1, 1, b"")[:9], ErrorCode.ENHANCE_YOUR_CALM, id="a header block that does not end"),
            pytest.param(ping()[:12], ErrorCode.ENHANCE_YOUR_CALM, id="a frame that does not end"),
            pytest.param(ping()[:2], ErrorCode.ENHANCE_YOUR_CALM, id="a frame header that does not end"),
        ],
    )  # fmt: skip
    async def test_what_begins_must_end_in_time(self, speaking, sent, code):
        listener, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.greet()
        assert await peer.pong()
        await peer.send(sent)
        (connection,) = listener._connections
        while connection._waiting_since is None:
            await asyncio.sleep(0)
        connection.check(connection._waiting_since + 10)
        assert await peer.goaway() == code
        await peer.ended()

    async def test_settings_must_be_acknowledged_in_time(self, speaking):
        listener, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings())
        await peer.until(lambda got: got.kind == SETTINGS and bool(got.flags))
        (connection,) = listener._connections
        connection.check(asyncio.get_running_loop().time() + 10)
        assert await peer.goaway() == ErrorCode.SETTINGS_TIMEOUT

    @pytest.mark.parametrize("sent", [b"", b"PRI * HTTP", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
    async def test_a_preface_must_come_in_time(self, speaking, sent):
        listener, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.send(sent)
        while not listener.connections:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        (connection,) = listener._connections
        connection.check(asyncio.get_running_loop().time() + 61)
        await peer.ended()

    @pytest.mark.parametrize("of", ["stream", "connection"])
    async def test_a_client_that_gives_no_room_is_not_kept(self, speaking, of):
        window = 0 if of == "stream" else 1 << 20
        listener, port = await speaking.listener(saying(content=CONTENT))
        peer = await speaking.peer(port)
        await peer.greet((INITIAL_WINDOW, window))
        await peer.send(headers(1))
        assert await peer.pong()
        (connection,) = listener._connections
        now = asyncio.get_running_loop().time()
        for seconds in (0, 30.1):
            connection.check(now + seconds)
        if of == "stream":
            assert (await peer.answer()).reset == ErrorCode.ENHANCE_YOUR_CALM
            assert await peer.pong()
        else:
            assert await peer.goaway() == ErrorCode.ENHANCE_YOUR_CALM
        assert "http2-stalled-window" in speaking.counted

    async def test_who_waits_for_its_turn_is_not_stalled(self, speaking):
        listener, port = await speaking.listener(saying(content=CONTENT))
        peer = await speaking.peer(port)
        await peer.greet((INITIAL_WINDOW, 1 << 20))
        await peer.send(headers(1) + headers(3, (b"priority", b"u=7")))
        (connection,) = listener._connections
        now = asyncio.get_running_loop().time()
        for seconds in range(0, 100, 10):
            await peer.send(window_update(0, 40_000))
            assert await peer.pong()
            connection.check(now + seconds)
        await peer.send(window_update(0, 1 << 24))
        assert [(await peer.answer(stream)).content for stream in (1, 3)] == [CONTENT, CONTENT]

    async def test_one_connection_too_many_is_refused(self, speaking):
        listener, port = await speaking.listener(saying(), Limits(connections=2))
        peers = [await speaking.peer(port) for _ in range(2)]
        for peer in peers:
            await peer.greet()
        third = await speaking.peer(port)
        await third.send(PREFACE + settings())
        await third.ended()
        assert listener.connections == 2
        for peer in peers:
            await peer.send(headers(1))
            assert (await peer.answer()).is_whole

    async def test_content_that_stays_away_is_answered(self, speaking):
        listener, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.greet()
        await peer.send(headers(1, ends=False, request=POST))
        assert await peer.pong()
        (connection,) = listener._connections
        connection.check(asyncio.get_running_loop().time() + 21)
        assert (await peer.answer()).status == 408


class TestReadyAnswers:
    @pytest.fixture
    async def world(self):
        world = World()
        world.upstream.script = lambda _: OriginAnswer(
            fields=[(b"cache-control", b"max-age=60")], content=[b"x" * 2000]
        )
        return world

    async def peer(self, speaking, world, *pairs):
        driver, told = world.driver, []
        table = ReadyTable(driver.prepared.find, lambda *told_of: told.append(told_of), world.clock)
        _, port = await speaking.listener(driver.handle, ready=table)
        peer = await speaking.peer(port)
        await peer.greet(*pairs)
        return peer, told

    async def test_the_third_of_like_requests_takes_no_task_and_says_the_same(self, speaking, world):
        peer, told = await self.peer(speaking, world)
        for stream in (1, 3, 5, 7):
            await peer.send(headers(stream))
            assert (await peer.answer(stream)).is_whole
        assert len(told) == 2
        second, third, fourth = (peer.answers[stream] for stream in (3, 5, 7))
        assert (second.heads, second.content) == (third.heads, third.content) == (fourth.heads, fourth.content)
        assert b"hit" in third.fields[b"cache-status"]

    async def test_it_waits_for_room(self, speaking, world):
        peer, told = await self.peer(speaking, world, (INITIAL_WINDOW, 500))
        for stream in (1, 3, 5):
            await peer.send(headers(stream))
            await peer.until(lambda got: got.kind == DATA)
            await settled(peer)
            assert sum(sizes(peer, stream)) == 500
            await peer.send(window_update(stream, 10_000))
            assert (await peer.answer(stream)).content == b"x" * 2000
        assert len(told) == 1

    async def test_a_head_request_has_none(self, speaking, world):
        peer, told = await self.peer(speaking, world)
        for stream in (1, 3, 5):
            await peer.send(headers(stream))
            await peer.answer(stream)
        await peer.send(only(7, (b":method", b"HEAD"), *POST[1:]))
        assert (await peer.answer(7)).content == b""
        assert len(told) == 1


@pytest.mark.parametrize(
    ("size", "sent"),
    [
        pytest.param(1 << 14, [1 << 14] * 6 + [1696], id="of the least size"),
        pytest.param(40_000, [40_000, 40_000, 20_000], id="as large as the client takes"),
        pytest.param(1 << 20, [1 << 16, 34_464], id="and never so large that others wait for them"),
    ],
)
async def test_frames_are_large(speaking, size, sent):
    peer = await speaking.to(saying(content=bytes(100_000)), pairs=[(MAX_FRAME_SIZE, size), (INITIAL_WINDOW, 1 << 20)])
    await peer.send(window_update(0, 1 << 20) + headers(1))
    assert (await peer.answer()).is_whole
    assert [len(got.payload) for got in peer.of(DATA)] == sent


async def test_many_answers_leave_in_one_write(speaking):
    peer = await speaking.to(saying())
    await peer.send(b"".join(headers(stream) for stream in range(1, 21, 2)))
    for stream in range(1, 21, 2):
        assert (await peer.answer(stream)).is_whole
    # All heads, and then all content: what became ready in one turn of the loop.
    assert [got.kind for got in peer.seen if got.kind in {HEADERS, DATA}] == [HEADERS] * 10 + [DATA] * 10
