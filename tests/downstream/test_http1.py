import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import replace

import pytest

from edge.clock import SystemClock
from edge.downstream.content import Content
from edge.downstream.ready import ReadyTable
from edge.downstream.response import Http1Responder
from edge.errors import BadRequest, DownstreamClosed, DownstreamTimeout
from edge.policy.limits import Limits
from edge.semantics.messages import Request, Response
from tests.downstream.talking import NO_FIELDS, Hearing, feeding, hearing, say, saying

GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n"
CHUNKED = POST % b"Transfer-Encoding: chunked"
CLOSING = b"GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
# Requests that ask for everything framing can be, and what each is answered.
STREAM = [
    (GET % b"/1", b"GET /1 "),
    (POST % b"Content-Length: 5" + b"hello", b"POST /p hello"),
    (CHUNKED + b"5\r\nhe\r\n\r\r\n1;a=b\r\n!\r\n0\r\nTrailer: x\r\n\r\n", b"POST /p he\r\n\r!"),
    (b"\r\n" + GET % b"/4", b"GET /4 "),
    (POST % b"Content-Length: 0", b"POST /p "),
    (CLOSING, b"GET /last "),
]
WIRE = b"".join(request for request, _ in STREAM)


class ReadyPath:
    """A ready answer that says for which path it is."""

    def __init__(self, path: bytes) -> None:
        self.body = b"ready " + path
        self.length = len(self.body)

    def keeps(self) -> bool:
        return True

    def second(self, now: float) -> tuple[int, int]:
        return 0, 1

    def head(self, second: tuple[int, int]) -> Response:
        return Response(200, NO_FIELDS)


class TestOrder:
    async def test_a_connection_serves_one_request_after_the_other(self, talking):
        client = await talking.to(hearing())
        for path in (b"/1", b"/2", b"/3"):
            await client.send(GET % path)
            assert (await client.answer()).content == b"GET %s " % path

    async def test_requests_in_one_segment_are_answered_in_order_and_the_last_closes(self, talking):
        client = await talking.to(hearing())
        await client.send(WIRE)
        assert [(await client.answer()).content for _ in STREAM] == [content for _, content in STREAM]
        assert await client.rest() == b""

    async def test_where_the_segments_end_changes_nothing(self, talking):
        listener, port = await talking.listener(hearing())
        for cut in range(1, len(WIRE)):
            client = await talking.client(port)
            while not listener.connections:
                await asyncio.sleep(0)
            feed = feeding(listener)
            feed(WIRE[:cut])
            if cut % 2:
                await asyncio.sleep(0)
            feed(WIRE[cut:])
            assert [(await client.answer()).content for _ in STREAM] == [content for _, content in STREAM]
            client.writer.close()
            await listener.drained()

    async def test_requests_may_come_octet_by_octet(self, talking):
        listener, port = await talking.listener(hearing())
        client = await talking.client(port)
        while not listener.connections:
            await asyncio.sleep(0)
        feed = feeding(listener)
        for at in range(len(WIRE)):
            feed(WIRE[at : at + 1])
        assert [(await client.answer()).content for _ in STREAM] == [content for _, content in STREAM]

    async def test_a_fast_answer_waits_for_the_slow_one_before_it(self, talking):
        gate = asyncio.Event()

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            if request.target.path == b"/slow":
                await gate.wait()
            await say(responder, 200, request.target.path)

        client = await talking.to(handle)
        await client.send(GET % b"/slow" + GET % b"/fast")
        gate.set()
        assert [(await client.answer()).content for _ in range(2)] == [b"/slow", b"/fast"]

    @pytest.mark.slow
    async def test_twenty_thousand_pipelined_requests_are_never_held_at_once(self, talking):
        held: list[int] = []

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            (connection,) = listener._connections
            held.append(len(connection._intake.queue))
            await say(responder, 200, request.target.path)

        listener, port = await talking.listener(handle, Limits(requests_per_connection=20_001))
        client = await talking.client(port)
        client.writer.write(b"".join(GET % (b"/%d" % number) for number in range(20_000)))
        for number in range(20_000):
            assert (await client.answer()).content == b"/%d" % number
        assert max(held) <= listener.limits.pipelined

    @pytest.mark.parametrize("count", [2, 64, 200])
    async def test_pipelined_requests_are_answered_in_order_by_what_is_ready_first(self, talking, count):
        handled: list[bytes] = []

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            handled.append(request.target.path)
            await say(responder, 200, request.target.path)

        table = ReadyTable(lambda request: ReadyPath(request.target.path), lambda *_: None, SystemClock())
        _, port = await talking.listener(handle, ready=table)
        client = await talking.client(port)
        for number in range(count):
            await client.send(GET % (b"/%d" % number))
            assert (await client.answer()).content == b"ready /%d" % number
        await client.send(b"".join(GET % (b"/%d" % number) for number in range(count)) + GET % b"/other")
        answers = [(await client.answer()).content for _ in range(count + 1)]
        assert [answer.removeprefix(b"ready ") for answer in answers] == [
            *(b"/%d" % n for n in range(count)),
            b"/other",
        ]
        ready = sum(answer.startswith(b"ready") for answer in answers)
        assert 0 < ready <= 64
        assert len(handled) == count + 1 - ready

    async def test_pipelined_requests_end_with_the_last_one_that_a_connection_may_serve(self, talking):
        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            await say(responder, 200, request.target.path)

        table = ReadyTable(lambda request: ReadyPath(request.target.path), lambda *_: None, SystemClock())
        _, port = await talking.listener(handle, Limits(requests_per_connection=6), ready=table)
        client = await talking.client(port)
        await client.send(GET % b"/a")
        await client.answer()
        await client.send(GET % b"/a" * 10)
        answers = [await client.answer() for _ in range(5)]
        assert [answer.closes for answer in answers] == [False] * 4 + [True]
        assert await client.rest() == b""

    async def test_what_is_ready_ends_the_connection_where_it_was_asked_to(self, talking):
        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            raise AssertionError("everything is ready")

        table = ReadyTable(lambda request: ReadyPath(request.target.path), lambda *_: None, SystemClock())
        _, port = await talking.listener(handle, ready=table)
        last = (GET % b"/last").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        for wire, count in ((last, 1), (GET % b"/a" + GET % b"/b" + last + GET % b"/behind", 3)):
            # Parsed the first time, known the second.
            for _ in range(2):
                client = await talking.client(port)
                await client.send(wire)
                answers = [await client.answer() for _ in range(count)]
                assert [answer.closes for answer in answers] == [False] * (count - 1) + [True]
                assert answers[-1].content == b"ready /last"
                assert await client.rest() == b""

    async def test_answers_without_content_wait_for_a_client_that_does_not_read(self, talking):
        served = 0
        paused = asyncio.Event()

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            nonlocal served
            served += 1
            responder.start(Response(304, NO_FIELDS), None)
            responder.finish()
            if connection._is_write_paused:
                paused.set()

        limits = Limits(requests_per_connection=1_000_000, write_buffer=4096)
        listener, port = await talking.listener(handle, limits)
        client = await talking.client(port, receive_buffer=4096)
        client.reader._transport.pause_reading()
        while not listener.connections:
            await asyncio.sleep(0)
        (connection,) = listener._connections
        # Else the kernel takes megabytes before anybody has to wait.
        connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

        async def flood() -> None:
            while True:
                await client.send(GET % b"/" * 1000)

        flooding = asyncio.get_running_loop().create_task(flood())
        await paused.wait()
        before = served
        for _ in range(100):
            await asyncio.sleep(0)
        assert served == before
        flooding.cancel()
        with suppress(asyncio.CancelledError):
            await flooding


class TestRefusing:
    @pytest.mark.parametrize(
        ("behind", "status"),
        [
            pytest.param(b"\x16\x03\x01\x02\x00\x01", 400, id="a TLS handshake is no request"),
            pytest.param(b"\r\n\r\nGET / HTTP/1.1\r\n", 400, id="two empty lines are one too many"),
            pytest.param(b"GET / HTTP/1.1\nHost: a.test\n\n", 400, id="bare line feeds are refused at once"),
            pytest.param(b"GET /\r\nHost", 400, id="a request line without a version is refused at once"),
            pytest.param(b"GET /" + b"a" * 9000, 414, id="a request line is not waited for for ever"),
            pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 8000, 431, id="nor is a field section"),
            pytest.param(b"A" * 33, 400, id="no method is that long"),
        ],
    )
    async def test_what_cannot_become_a_request_is_answered_after_those_before_it(self, talking, behind, status):
        client = await talking.to(hearing())
        await client.send(GET % b"/1" + behind)
        assert (await client.answer()).content == b"GET /1 "
        answer = await client.answer()
        assert (answer.status, answer.closes) == (status, True)
        assert await client.rest() == b""

    async def test_what_follows_a_refused_request_is_not_served(self, talking):
        handler = hearing()
        client = await talking.to(handler)
        await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n" + GET % b"/smuggled")
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
        assert handler.heard == []

    async def test_a_refused_request_is_answered_although_the_client_has_ended_its_side(self, talking):
        client = await talking.to(hearing())
        client.writer.write(b"nonsense\r\n\r\n")
        client.writer.write_eof()
        assert (await client.answer()).status == 400
        assert await client.rest() == b""

    async def test_broken_content_framing_reaches_its_reader_and_ends_the_connection(self, talking):
        handler = hearing()
        client = await talking.to(handler)
        await client.send(CHUNKED + b"5\r\nhelloXX\r\n0\r\n\r\n" + GET % b"/smuggled")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert await client.rest() == b""
        ((_, _, error),) = handler.heard
        assert isinstance(error, BadRequest)

    async def test_broken_content_framing_behind_an_early_answer_ends_the_connection(self, talking):
        client = await talking.to(saying())
        await client.send(CHUNKED)
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, True)
        await client.send(b"nonsense\r\n")
        assert await client.rest() == b""

    async def test_an_upgrade_is_answered_as_a_request_and_ends_the_connection(self, talking):
        handler = hearing()
        client = await talking.to(handler)
        upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked"
        await client.send(POST % upgrade + b"5\r\nhello\r\n0\r\n\r\n\x81\x05" + GET % b"/smuggled")
        answer = await client.answer()
        assert (answer.status, answer.content, answer.closes) == (200, b"POST /p hello", True)
        assert await client.rest() == b""
        assert len(handler.heard) == 1

    async def test_a_handler_that_fails_resets_the_connection(self, talking, caplog):
        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            responder.start(Response(200, NO_FIELDS), None)
            msg = "a bug"
            raise RuntimeError(msg)

        client = await talking.to(handle)
        await client.send(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await client.rest()
        assert "task http1 failed" in caplog.text

    async def test_a_handler_that_does_not_finish_resets_the_connection(self, talking):
        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            responder.start(Response(200, NO_FIELDS), None)
            await responder.send(b"all there is?")

        client = await talking.to(handle)
        await client.send(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await client.rest()


class TestContinue:
    EXPECTING = POST % b"Expect: 100-continue\r\nContent-Length: 5"

    async def test_a_100_is_sent_once_and_when_the_content_is_read(self, talking):
        handler = Hearing()
        client = await talking.to(handler)
        await client.send(self.EXPECTING)
        await handler.began.wait()
        assert not client.reader._buffer
        handler.gate.set()
        assert (await client.answer()).status == 100
        await client.send(b"hel")
        await client.send(b"lo")
        answer = await client.answer()
        assert (answer.status, answer.content, answer.closes) == (200, b"POST /p hello", False)

    async def test_a_client_that_does_not_wait_is_not_told_to_go_on(self, talking):
        client = await talking.to(hearing())
        await client.send(self.EXPECTING + b"hello" + GET % b"/2")
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]

    async def test_an_early_answer_ends_the_connection_as_the_content_may_or_may_not_come(self, talking):
        client = await talking.to(saying(417))
        await client.send(self.EXPECTING)
        answer = await client.answer()
        assert (answer.status, answer.closes) == (417, True)
        assert await client.rest() == b""

    async def test_an_http_1_0_client_is_never_told_to_go_on(self, talking):
        client = await talking.to(hearing())
        await client.send(self.EXPECTING.replace(b"1.1", b"1.0"), b"hello")
        assert (await client.answer()).status == 200


class TestEarlyAnswers:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"Content-Length: 41\r\n\r\n" + (GET % b"/smuggled")[:-2].ljust(41, b"!"), id="by its length"),
            pytest.param(b"Transfer-Encoding: chunked\r\n\r\n7\r\nGET / H\r\n0\r\n\r\n", id="chunked"),
        ],
    )
    async def test_content_that_nobody_reads_is_dropped_and_the_connection_kept(self, talking, content):
        client = await talking.to(saying())
        await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n" + content + CLOSING)
        assert not (await client.answer()).closes
        assert (await client.answer()).closes
        assert await client.rest() == b""

    async def test_content_that_is_too_long_to_drop_ends_the_connection_with_the_answer_read(self, talking):
        client = await talking.to(saying(413))
        await client.send(POST % (b"Content-Length: %d" % (1 << 30)))
        client.writer.write(bytes(8 << 20))
        answer = await client.answer()
        assert (answer.status, answer.content, answer.closes) == (413, b"hello", True)
        assert await client.rest() == b""

    async def test_no_more_than_the_limit_is_read_of_it(self, talking):
        listener, port = await talking.listener(saying(405), Limits(drain_octets=1 << 10))
        client = await talking.client(port)
        await client.send(POST % (b"Content-Length: %d" % (1 << 30)))
        client.writer.write(bytes(32 << 20))
        assert (await client.answer()).status == 405
        (connection,) = listener._connections
        while connection._is_reading:
            await asyncio.sleep(0)
        assert await client.rest() == b""
        assert connection._intake.ignored < 1 << 20

    @pytest.mark.slow
    async def test_content_that_does_not_come_is_not_waited_for_for_ever(self, talking):
        client = await talking.to(saying(), Limits(drain_timeout=0.01))
        await client.send(POST % b"Content-Length: 5")
        assert (await client.answer()).content == b"hello"
        assert await client.rest() == b""


class TestBackPressure:
    async def test_a_reader_that_waits_makes_the_client_wait(self, talking):
        handler = Hearing()
        listener, port = await talking.listener(handler)
        client = await talking.client(port)
        content = bytes(range(256)) * (32 << 10)
        client.writer.write(POST % (b"Content-Length: %d" % len(content)) + content)
        await handler.began.wait()
        (connection,) = listener._connections
        while connection._is_reading:
            await asyncio.sleep(0)
        assert connection._intake.content._size <= 1 << 20
        handler.gate.set()
        assert (await client.answer()).content == b"POST /p " + content

    async def test_content_behind_an_unanswered_request_makes_the_client_wait_too(self, talking):
        first, second = Hearing(), Hearing()

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            await (first if request.method == b"GET" else second)(request, content, responder, client)

        listener, port = await talking.listener(handle)
        client = await talking.client(port)
        content = bytes(8 << 20)
        client.writer.write(GET % b"/" + POST % (b"Content-Length: %d" % len(content)) + content)
        await first.began.wait()
        (connection,) = listener._connections
        while connection._is_reading:
            await asyncio.sleep(0)
        first.gate.set()
        await second.began.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert connection._intake.content._size <= 1 << 20
        second.gate.set()
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]


class TestEnds:
    async def test_a_half_closed_connection_is_answered(self, talking):
        handler = Hearing()
        client = await talking.to(handler)
        client.writer.write(GET % b"/1" + GET % b"/2")
        client.writer.write_eof()
        await handler.began.wait()
        handler.gate.set()
        assert [(await client.answer()).content for _ in range(2)] == [b"GET /1 ", b"GET /2 "]
        assert await client.rest() == b""

    async def test_content_that_ends_with_the_connection_is_not_whole(self, talking):
        handler = hearing()
        client = await talking.to(handler)
        client.writer.write(CHUNKED + b"5\r\nhello\r\n")
        client.writer.write_eof()
        assert await client.ended() == b""
        ((_, content, error),) = handler.heard
        assert content == b"hello"
        assert isinstance(error, DownstreamClosed)

    async def test_a_client_that_leaves_stops_the_sender(self, talking):
        stopped = asyncio.Event()

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            with pytest.raises(DownstreamClosed):
                await send_for_ever(responder)
            stopped.set()

        client = await talking.to(handle)
        await client.send(GET % b"/")
        await client.head()
        client.writer.transport.abort()
        await stopped.wait()

    async def test_a_connection_serves_so_many_requests_and_no_more(self, talking):
        client = await talking.to(hearing(), Limits(requests_per_connection=2))
        await client.send(GET % b"/1" + GET % b"/2" + GET % b"/3")
        assert not (await client.answer()).closes
        assert (await client.answer()).closes
        assert await client.rest() == b""

    async def test_an_http_1_0_client_keeps_its_connection_if_it_asks_to(self, talking):
        client = await talking.to(hearing())
        request = b"GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n"
        await client.send(request)
        assert (await client.answer()).fields[b"connection"] == b"keep-alive"
        await client.send(request.replace(b"keep-alive", b"other"))
        assert (await client.answer()).closes
        assert await client.rest() == b""


@pytest.mark.slow
class TestTimeLimits:
    SHORT = Limits(header_timeout=0.01, keepalive_timeout=0.01, body_timeout=0.01, drain_timeout=0.01)

    async def test_a_client_that_says_nothing_is_left_without_an_answer(self, talking):
        client = await talking.to(hearing(), self.SHORT)
        assert await client.rest() == b""

    async def test_a_head_that_does_not_end_is_answered_408(self, talking):
        client = await talking.to(hearing(), self.SHORT)
        await client.send(b"GET / HTTP/1.1\r\nHost: a")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (408, True)
        assert await client.rest() == b""

    async def test_a_second_head_that_does_not_end_is_answered_408(self, talking):
        client = await talking.to(hearing(), replace(self.SHORT, keepalive_timeout=60.0))
        await client.send(GET % b"/" + b"GET / HT")
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 408

    async def test_an_idle_connection_is_closed_without_a_word(self, talking):
        client = await talking.to(hearing(), replace(self.SHORT, header_timeout=60.0))
        await client.send(GET % b"/")
        assert (await client.answer()).status == 200
        assert await client.rest() == b""

    async def test_content_that_is_waited_for_in_vain_is_answered_408(self, talking):
        handler = hearing()
        client = await talking.to(handler, self.SHORT)
        await client.send(POST % b"Content-Length: 5" + b"he")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (408, True)
        assert await client.rest() == b""
        ((_, content, error),) = handler.heard
        assert content == b"he"
        assert isinstance(error, DownstreamTimeout)

    async def test_content_that_drips_is_answered_408(self, talking):
        client = await talking.to(hearing(), replace(self.SHORT, body_timeout=60.0, body_grace=0.01, body_rate=1 << 30))
        await client.send(POST % b"Content-Length: 50" + b"he")
        assert (await client.answer()).status == 408

    async def test_a_client_that_takes_nothing_of_an_endless_answer_is_cut_off(self, talking):
        cut = asyncio.Event()

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            with pytest.raises(DownstreamClosed):
                await send_for_ever(responder)
            cut.set()

        client = await talking.to(handle, Limits(send_timeout=0.01), receive_buffer=4096)
        client.reader._transport.pause_reading()
        await client.send(GET % b"/")
        await cut.wait()

    @pytest.mark.parametrize(
        "request_head", [pytest.param(GET % b"/", id="kept alive"), pytest.param(CLOSING, id="to be closed")]
    )
    async def test_a_client_that_takes_nothing_of_a_finished_answer_is_cut_off(self, talking, request_head):
        limits = Limits(send_timeout=0.01, write_buffer=64 << 20)
        listener, port = await talking.listener(saying(200, bytes(32 << 20)), limits)
        client = await talking.client(port, receive_buffer=4096)
        client.reader._transport.pause_reading()
        await client.send(request_head)
        await listener.drained()

    async def test_a_slow_client_gets_all_of_a_last_answer(self, talking):
        limits = Limits(drain_timeout=0.01, write_buffer=64 << 20)
        listener, port = await talking.listener(saying(200, bytes(32 << 20)), limits)
        client = await talking.client(port, receive_buffer=4096)
        client.reader._transport.pause_reading()
        await client.send(CLOSING)
        while not listener.connections:
            await asyncio.sleep(0)
        (connection,) = listener._connections
        while not connection._lingers:
            await asyncio.sleep(0)
        for seconds in (1, 10, 20):
            connection.check(asyncio.get_running_loop().time() + seconds)
        client.reader._transport.resume_reading()
        assert len((await client.answer()).content) == 32 << 20
        assert await client.rest() == b""

    async def test_who_does_not_take_the_hint_is_not_lingered_for_for_ever(self, talking):
        listener, port = await talking.listener(hearing(), self.SHORT)
        client = await talking.client(port)
        await client.send(CLOSING)
        assert (await client.answer()).closes
        await listener.drained()


async def send_for_ever(responder: Http1Responder) -> None:
    responder.start(Response(200, NO_FIELDS), None)
    while True:
        await responder.send(bytes(1 << 16))


class Beginning:
    """Takes every request that comes alone, to answer it once the test says so."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue = asyncio.Queue()
        self.is_over = False

    def __call__(self, request, responder, client, over) -> bool:
        if self.is_over:
            return False
        self.begun.put_nowait((request, responder, over))
        return True

    async def answer(self) -> bytes:
        """Answer the next request with its path, and return that."""
        request, responder, over = await self.begun.get()
        responder.answer(Response(200, NO_FIELDS), request.target.path)
        over()
        return request.target.path


class TestWithoutATask:
    async def begin(self, talking, limits=None):
        begin, hearing_ = Beginning(), hearing()
        listener, port = await talking.listener(hearing_, limits, begin=begin)
        return begin, listener, await talking.client(port)

    async def test_one_request_after_the_other_is_answered(self, talking):
        begin, _, client = await self.begin(talking)
        for path in (b"/1", b"/2", b"/3"):
            await client.send(GET % path)
            assert await begin.answer() == path
            answer = await client.answer()
            assert (answer.content, answer.closes) == (path, False)

    async def test_what_comes_meanwhile_is_answered_behind_it_in_order(self, talking):
        begin, _, client = await self.begin(talking)
        await client.send(GET % b"/1")
        request, responder, over = await begin.begun.get()
        await client.send(GET % b"/2" + GET % b"/3")
        for _ in range(3):
            await asyncio.sleep(0)
        begin.is_over = True
        responder.answer(Response(200, NO_FIELDS), request.target.path)
        over()
        contents = [(await client.answer()).content for _ in range(3)]
        assert contents == [b"/1", b"GET /2 ", b"GET /3 "]

    @pytest.mark.parametrize(
        "wire",
        [
            pytest.param(POST % b"Content-Length: 2" + b"ab", id="a request with content"),
            pytest.param(GET % b"/a" + GET % b"/b", id="requests in one segment"),
            pytest.param(b"\r\n" + GET % b"/a", id="an empty line first"),
            pytest.param(b"GET /a HTTP/1.1\r\n\r\n", id="a malformed request"),
        ],
    )
    async def test_what_does_not_come_alone_has_a_task(self, talking, wire):
        begin, _, client = await self.begin(talking)
        await client.send(wire)
        await client.answer()
        assert begin.begun.empty()

    async def test_the_last_request_ends_the_connection(self, talking):
        begin, _, client = await self.begin(talking)
        await client.send(CLOSING)
        path = await begin.answer()
        answer = await client.answer()
        assert (answer.content, answer.closes) == (path, True)
        assert await client.rest() == b""

    async def test_an_answer_that_is_not_finished_resets_the_connection(self, talking):
        begin, _, client = await self.begin(talking)
        await client.send(GET % b"/1")
        _, _, over = await begin.begun.get()
        over()
        assert await client.ended() == b""

    async def test_a_client_that_left_is_not_written_to(self, talking):
        begin, listener, client = await self.begin(talking)
        await client.send(GET % b"/1")
        _, responder, over = await begin.begun.get()
        # By RST: a FIN could be that of a client that still reads.
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        await listener.drained()
        with pytest.raises(DownstreamClosed):
            responder.answer(Response(200, NO_FIELDS), b"")
        over()

    async def test_a_half_closed_client_has_its_answer(self, talking):
        begin, _, client = await self.begin(talking)
        await client.send(GET % b"/1")
        request, responder, over = await begin.begun.get()
        client.writer.write_eof()
        for _ in range(3):
            await asyncio.sleep(0)
        responder.answer(Response(200, NO_FIELDS), request.target.path)
        over()
        assert (await client.answer()).content == b"/1"
        assert await client.rest() == b""

    async def test_draining_waits_for_it_and_makes_it_the_last(self, talking):
        begin, listener, client = await self.begin(talking)
        await client.send(GET % b"/1")
        request, responder, over = await begin.begun.get()
        listener.drain()
        responder.answer(Response(200, NO_FIELDS), request.target.path)
        over()
        assert (await client.answer()).closes
        assert await client.rest() == b""

    async def test_draining_in_the_turn_of_an_answer_does_not_lose_it(self, talking):
        begin, listener, client = await self.begin(talking)
        await client.send(GET % b"/1")
        await begin.answer()
        listener.drain()
        assert (await client.answer()).content == b"/1"
        assert await client.rest() == b""

    async def test_a_client_that_ends_with_its_request_has_its_answer(self, talking):
        def begin(request, responder, client, over) -> bool:
            responder.answer(Response(200, NO_FIELDS), request.target.path)
            over()
            return True

        _, port = await talking.listener(hearing(), begin=begin)
        for _ in range(20):
            client = await talking.client(port)
            client.writer.write(GET % b"/1")
            client.writer.write_eof()
            assert (await client.answer()).content == b"/1"
            assert await client.rest() == b""

    async def test_the_last_of_as_many_requests_as_are_served_has_a_task(self, talking):
        begin, _, client = await self.begin(talking, Limits(requests_per_connection=2))
        await client.send(GET % b"/1")
        await begin.answer()
        await client.answer()
        await client.send(GET % b"/2")
        assert (await client.answer()).closes
