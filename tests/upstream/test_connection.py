"""Exchanges over real sockets: what comes back, what goes out, and whether the connection survives it."""

import asyncio

import pytest

from edge.errors import (
    BadRequest,
    DownstreamClosed,
    InternalError,
    UpstreamClosed,
    UpstreamClosedEarly,
    UpstreamConnectError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from edge.upstream.response import HIGH_WATER
from edge.upstream.settings import Timeouts
from tests.upstream.scripted import (
    Content,
    EndlessContent,
    a_request,
    answering,
    closing_after,
    content_of,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
PUT = {"method": b"PUT", "has_content": True}


async def fetched(edge, *, method=b"GET") -> tuple[int, bytes]:
    response = await edge.send(a_request(method), None, None)
    return response.head.status, await content_of(response)


@pytest.mark.parametrize(
    ("method", "answer", "content"),
    [
        pytest.param(b"GET", OK, b"hello", id="a length"),
        pytest.param(b"GET", CHUNKED, b"hello", id="chunks"),
        pytest.param(b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"", id="HEAD"),
        pytest.param(b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", id="304"),
        pytest.param(b"GET", b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, b"hello", id="an interim response first"),
    ],
)
async def test_clean_end_returns_the_connection(serving, method, answer, content):
    scripted, edge = await serving.pair(answering(answer, OK))
    assert (await fetched(edge, method=method))[1] == content
    assert edge.statistics().idle == 1
    assert await fetched(edge) == (200, b"hello")
    assert scripted.connections == 1
    assert edge.statistics().reused == 1


async def test_connection_is_back_before_the_content_was_read(serving):
    _, edge = await serving.pair(answering(OK, OK))
    first = await edge.send(a_request(), None, None)
    second = await edge.send(a_request(), None, None)
    assert edge.statistics().opened == 1
    assert (await content_of(second), await content_of(first)) == (b"hello", b"hello")
    first.close()
    assert edge.statistics().idle == 1


async def test_response_arrives_byte_by_byte(serving):
    async def script(peer):
        await peer.head()
        await peer.send(*(bytes([byte]) for byte in CHUNKED))
        await peer.closed_by_edge()

    _, edge = await serving.pair(script)
    assert await fetched(edge) == (200, b"hello")
    assert edge.statistics().idle == 1


@pytest.mark.parametrize(
    ("method", "answer", "content"),
    [
        pytest.param(b"GET", OK + b"surplus", b"hello", id="content longer than its length"),
        pytest.param(b"GET", CHUNKED + b"surplus", b"hello", id="bytes behind the last chunk"),
        pytest.param(b"GET", OK + OK, b"hello", id="two responses to one request"),
        pytest.param(b"HEAD", OK, b"", id="content in answer to HEAD"),
        pytest.param(b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", b"", id="content after 204"),
        pytest.param(b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\nhello", b"", id="content after 304"),
        pytest.param(
            b"GET", OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"hello", id="the close option"
        ),
        pytest.param(b"GET", OK.replace(b"1.1", b"1.0"), b"hello", id="HTTP/1.0"),
    ],
)
async def test_connection_with_a_doubtful_end_is_never_reused(serving, method, answer, content):
    scripted, edge = await serving.pair(answering(answer, OK))
    assert (await fetched(edge, method=method))[1] == content
    assert edge.statistics().idle == edge.statistics().active == 0
    assert (await fetched(edge, method=method))[1] == content
    assert scripted.connections == 2


async def test_bytes_on_an_idle_connection_close_it(serving):
    idle, gone = asyncio.Event(), asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(OK)
        if peer.number == 0:
            await idle.wait()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            await peer.closed_by_edge()
            gone.set()

    scripted, edge = await serving.pair(script)
    assert await fetched(edge) == (200, b"hello")
    assert edge.statistics().idle == 1
    idle.set()
    await gone.wait()
    assert edge.statistics().idle == 0
    assert await fetched(edge) == (200, b"hello")
    assert scripted.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="a malformed status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", id="two framings"),
        pytest.param(b"HTTP/1.1 200 OK\r\nLocation: /\nSet-Cookie: a=b\r\n\r\n", id="a split response"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="unsolicited 101"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 11, id="an interim flood"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, id="a head without end"),
    ],
)
async def test_malformed_head_is_a_protocol_error(serving, answer):
    _, edge = await serving.pair(answering(answer))
    with pytest.raises(UpstreamProtocolError):
        await edge.send(a_request(), None, None)
    assert edge.statistics().active == edge.statistics().idle == 0


async def test_malformed_chunk_breaks_the_content(serving):
    more = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(CHUNKED[:-5])
        await more.wait()
        await peer.send(b"x")
        await peer.closed_by_edge()

    _, edge = await serving.pair(script)
    response = await edge.send(a_request(), None, None)
    assert await response.read() == b"hello"
    more.set()
    with pytest.raises(UpstreamProtocolError):
        await response.read()


@pytest.mark.parametrize("by_reset", [False, True], ids=["by FIN", "by RST"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="before the first byte"),
        pytest.param(b"H", id="after the first byte"),
        pytest.param(OK[:-7], id="within the head"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n", id="after an interim response"),
    ],
)
async def test_new_connection_that_dies_before_the_head(serving, sent, by_reset):
    scripted, edge = await serving.pair(closing_after(sent, by_reset=by_reset))
    with pytest.raises(UpstreamClosed) as raised:
        await edge.send(a_request(), None, None)
    assert not isinstance(raised.value, UpstreamClosedEarly)
    assert scripted.connections == 1


@pytest.mark.parametrize("by_reset", [False, True], ids=["by FIN", "by RST"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(OK[:-5], id="length, at byte 0"),
        pytest.param(OK[:-4], id="length, at byte 1"),
        pytest.param(OK[:-1], id="length, before the last byte"),
        pytest.param(CHUNKED[:-15], id="chunked, before the first chunk"),
        pytest.param(CHUNKED[:-8], id="chunked, within a chunk"),
        pytest.param(CHUNKED[:-5], id="chunked, before the last chunk"),
        pytest.param(CHUNKED[:-1], id="chunked, before the last byte"),
    ],
)
async def test_incomplete_content_is_never_a_clean_end(serving, sent, by_reset):
    _, edge = await serving.pair(closing_after(sent, by_reset=by_reset))
    with pytest.raises(UpstreamClosed):
        # A reset may overtake the head.
        await content_of(await edge.send(a_request(), None, None))
    assert edge.statistics().active == edge.statistics().idle == 0


async def test_content_ended_by_the_connection_is_whole_only_on_a_clean_end(serving):
    scripted, edge = await serving.pair(closing_after(b"HTTP/1.1 200 OK\r\n\r\n", b"hello"))
    assert await fetched(edge) == (200, b"hello")
    assert edge.statistics().active == edge.statistics().idle == 0
    assert scripted.connections == 1


async def test_content_ended_by_a_reset_is_incomplete(serving):
    head_read = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await head_read.wait()
        peer.reset()

    _, edge = await serving.pair(script)
    response = await edge.send(a_request(), None, None)
    assert await response.read() == b"hello"
    head_read.set()
    with pytest.raises(UpstreamClosed):
        await response.read()
    with pytest.raises(UpstreamClosed):
        await response.read()


async def test_interim_responses_are_passed_on_in_order(serving):
    interim = []
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n"
    )
    _, edge = await serving.pair(answering(answer + OK))
    response = await edge.send(a_request(), None, interim.append)
    assert [(head.status, head.fields.get(b"link")) for head in interim] == [
        (103, b"</a>"),
        (102, None),
        (103, b"</b>"),
    ]
    assert await content_of(response) == b"hello"


async def test_client_that_is_gone_when_an_interim_response_comes_ends_the_exchange(serving):
    def gone(_) -> None:
        raise DownstreamClosed

    _, edge = await serving.pair(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n"))
    with pytest.raises(DownstreamClosed):
        await edge.send(a_request(), None, gone)
    assert edge.statistics().active == 0


async def test_times_of_request_and_response(serving):
    class Ticking:
        def __init__(self) -> None:
            self.time = 1000.0

        def now(self) -> float:
            self.time += 1
            return self.time

        def monotonic(self) -> float:
            return 0.0

    _, edge = await serving.pair(answering(OK), clock=Ticking())
    response = await edge.send(a_request(), None, None)
    assert (response.request_time, response.response_time) == (1001.0, 1002.0)
    assert response.content_length == 5


@pytest.mark.parametrize(
    ("length", "framing", "received"),
    [
        pytest.param(11, b"Content-Length: 11", b"hello world", id="content of a known length"),
        pytest.param(None, b"Transfer-Encoding: chunked", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
                     id="content of unknown length"),
    ],
)  # fmt: skip
async def test_request_content(serving, length, framing, received):
    async def script(peer):
        scripted.requests.append(await peer.head())
        scripted.requests.append(await peer.reader.readexactly(len(received)))
        await peer.send(OK)
        await peer.closed_by_edge()

    scripted, edge = await serving.pair(script)
    response = await edge.send(a_request(**PUT, content_length=length), Content(b"hello", b" world"), None)
    assert await content_of(response) == b"hello"
    assert framing in scripted.requests[0]
    assert scripted.requests[1] == received
    assert edge.statistics().idle == 1


async def test_final_response_before_the_end_of_the_request_stops_the_sending(serving):
    received = []

    async def script(peer):
        await peer.head()
        await peer.reader.readexactly(5)
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nsorry")
        received.append(await peer.closed_by_edge())

    scripted, edge = await serving.pair(script)
    content = EndlessContent(b"hello")
    response = await edge.send(a_request(**PUT, content_length=10), content, None)
    assert content.stopped.is_set()
    assert (response.head.status, await content_of(response)) == (413, b"sorry")
    assert edge.statistics().active == edge.statistics().idle == 0
    assert scripted.connections == 1


@pytest.mark.parametrize(
    ("pieces", "length", "error"),
    [
        pytest.param((b"hello",), 6, InternalError, id="content shorter than announced"),
        pytest.param((b"hello",), 4, InternalError, id="content longer than announced"),
        pytest.param((b"hel", BadRequest("malformed chunk")), None, BadRequest, id="a client at fault"),
        pytest.param((b"hel", DownstreamClosed("gone")), 5, DownstreamClosed, id="a client that left"),
    ],
)
async def test_request_content_that_fails_never_looks_complete(serving, pieces, length, error):
    received = asyncio.get_running_loop().create_future()

    async def script(peer):
        await peer.head()
        received.set_result(await peer.closed_by_edge())

    _, edge = await serving.pair(script)
    with pytest.raises(error):
        await edge.send(a_request(**PUT, content_length=length), Content(*pieces), None)
    sent = await received
    assert len(sent) < length if length is not None else not sent.endswith(b"0\r\n\r\n")
    assert edge.statistics().active == edge.statistics().idle == 0


async def test_bug_in_reading_the_request_content_is_logged_and_ends_the_exchange(serving, caplog):
    async def script(peer):
        await peer.closed_by_edge()

    _, edge = await serving.pair(script)
    with pytest.raises(InternalError):
        await edge.send(a_request(**PUT), Content(b"a", ZeroDivisionError()), None)
    while "ZeroDivisionError" not in caplog.text:
        await asyncio.sleep(0)
    assert edge.statistics().active == 0


async def test_slow_reader_makes_the_origin_wait(serving):
    total = 50 * 1024 * 1024

    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(total // 65536):
            await peer.send(b"x" * 65536)
        await peer.closed_by_edge()

    _, edge = await serving.pair(script)
    response = await edge.send(a_request(), None, None)
    received = most = 0
    while piece := await response.read():
        received += len(piece)
        for _ in range(20):
            await asyncio.sleep(0)
            most = max(most, response.unread)
        assert len(piece) <= 1024 * 1024
    assert received == total
    # One read of the socket may come on top of what makes the connection pause.
    assert HIGH_WATER < most <= HIGH_WATER + 256 * 1024
    assert edge.statistics().idle == 1


TOTAL = 32 * 1024 * 1024


class Upload:
    """An origin that reads the request content only when told to, and the content on its way there."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.content = Content(*[b"x" * 65536] * (TOTAL // 65536))
        self.request = a_request(**PUT, content_length=TOTAL)

    async def __call__(self, peer) -> None:
        await peer.head()
        await self.go_on.wait()
        await peer.reader.readexactly(TOTAL)
        await peer.send(OK)
        await peer.closed_by_edge()

    async def stalled(self) -> None:
        reads = -1
        while reads != self.content.reads:
            reads = self.content.reads
            for _ in range(100):
                await asyncio.sleep(0)


async def test_origin_that_takes_the_request_slowly_makes_the_sender_wait(serving):
    upload = Upload()
    _, edge = await serving.pair(upload)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(edge.send(upload.request, upload.content, None))
        await upload.stalled()
        assert 0 < upload.content.reads < TOTAL // 65536
        upload.go_on.set()
    assert await content_of(sending.result()) == b"hello"
    assert edge.statistics().idle == 1


async def test_origin_that_stops_taking_the_request_is_too_slow(serving):
    upload = Upload()
    _, edge = await serving.pair(upload, timeouts=Timeouts(between_bytes=0.05))
    with pytest.raises(UpstreamTimeout):
        await edge.send(upload.request, upload.content, None)
    assert edge.statistics().active == 0
    upload.go_on.set()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="silence"),
        pytest.param([b"H", b"TTP/1.1 200"], id="half a head"),
        pytest.param([b"HTTP/1.1 102 Processing\r\n\r\n"], id="only interim responses"),
    ],
)
async def test_head_that_does_not_come_in_time(serving, pieces):
    async def script(peer):
        await peer.head()
        await peer.send(*pieces)
        await peer.closed_by_edge()

    _, edge = await serving.pair(script, timeouts=Timeouts(first_byte=0.05))
    with pytest.raises(UpstreamTimeout):
        await edge.send(a_request(), None, None)
    assert edge.statistics().active == edge.statistics().idle == 0


async def test_content_that_stops_for_too_long(serving):
    async def script(peer):
        await peer.head()
        await peer.send(OK[:-1])
        await peer.closed_by_edge()

    _, edge = await serving.pair(script, timeouts=Timeouts(between_bytes=0.05))
    response = await edge.send(a_request(), None, None)
    assert await response.read() == b"hell"
    with pytest.raises(UpstreamTimeout):
        await response.read()


async def test_close_before_the_end_costs_the_connection(serving):
    closed = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(OK[:-1])
        await peer.closed_by_edge()
        closed.set()

    _, edge = await serving.pair(script)
    response = await edge.send(a_request(), None, None)
    response.close()
    response.close()
    await closed.wait()
    assert edge.statistics().active == edge.statistics().idle == 0
    with pytest.raises(UpstreamClosed):
        await response.read()


async def test_cancelled_exchange_costs_the_connection(serving):
    asked, closed = asyncio.Event(), asyncio.Event()

    async def script(peer):
        await peer.head()
        asked.set()
        await peer.closed_by_edge()
        closed.set()

    _, edge = await serving.pair(script)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(edge.send(a_request(), None, None))
        await asked.wait()
        sending.cancel()
    await closed.wait()
    assert edge.statistics().active == edge.statistics().idle == 0


@pytest.mark.parametrize("later", [False, True], ids=["before the head was passed on", "before it was taken"])
async def test_exchange_cancelled_as_its_head_arrives_costs_the_connection(serving, later):
    """The interim response, which came in the same segment, tells the moment."""

    def cancel(_) -> None:
        if later:
            asyncio.get_running_loop().call_soon(sending.cancel)
        else:
            sending.cancel()

    _, edge = await serving.pair(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK[:-1]))
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(edge.send(a_request(), None, cancel))
    assert sending.cancelled()
    assert edge.statistics().active == edge.statistics().idle == 0


async def test_cancelled_exchange_stops_reading_the_request_content(serving):
    content = EndlessContent(b"hello")
    asked = asyncio.Event()

    async def script(peer):
        await peer.head()
        asked.set()
        await peer.closed_by_edge()

    _, edge = await serving.pair(script)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(edge.send(a_request(**PUT), content, None))
        await asked.wait()
        sending.cancel()
    assert content.stopped.is_set()
    assert edge.statistics().active == 0


async def test_origin_that_refuses_connections(serving):
    scripted = await serving.origin(answering())
    edge = serving.edge(scripted.port)
    serving._servers.pop().close()
    with pytest.raises(UpstreamConnectError):
        await edge.send(a_request(), None, None)
    assert edge.statistics().active == 0
