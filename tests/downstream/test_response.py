import asyncio

import pytest

from edge.downstream.response import Http1Responder, encode_head
from edge.errors import DownstreamClosed
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
OK = b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\n"
CLOSE = b"Connection: close\r\n"


class Wire:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.is_aborted = False
        self.writes = 0

    def write(self, *pieces: bytes) -> None:
        if self.is_aborted:
            raise DownstreamClosed
        self.sent += b"".join(pieces)
        self.writes += 1

    def put(self, answer: bytes) -> None:
        self.write(answer)

    async def drained(self) -> None:
        await asyncio.sleep(0)

    def abort(self) -> None:
        self.is_aborted = True

    def soon(self, callback) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def date(self) -> bytes:
        return DATE


def answering(method: bytes = b"GET", version=(1, 1), *, keep_alive=True, may_stay=True) -> tuple[Wire, Http1Responder]:
    request = Request(method, Target(b"http", b"a.test", b"/"), FieldSection(), version)
    wire = Wire()
    return wire, Http1Responder(wire, request, keep_alive=keep_alive, may_stay=lambda: may_stay)


@pytest.mark.parametrize(
    ("method", "version", "status", "length", "framing", "content", "keeps"),
    [
        pytest.param(b"GET", (1, 1), 200, 5, b"Content-Length: 5\r\n", b"hello", True, id="a known length"),
        pytest.param(b"GET", (1, 1), 200, 0, b"Content-Length: 0\r\n", b"", True, id="no content"),
        pytest.param(
            b"GET", (1, 1), 200, None, b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", True,
            id="an unknown length",
        ),
        pytest.param(b"GET", (1, 0), 200, 5, b"Content-Length: 5\r\nConnection: keep-alive\r\n", b"hello", True,
                     id="HTTP/1.0 is told that it may stay"),
        pytest.param(b"GET", (1, 0), 200, None, CLOSE, b"hello", False, id="HTTP/1.0 knows no chunks"),
        pytest.param(b"HEAD", (1, 1), 200, 5, b"Content-Length: 5\r\n", b"", True, id="HEAD is told the length"),
        pytest.param(b"HEAD", (1, 1), 200, None, b"", b"", True, id="if it is known"),
        pytest.param(b"HEAD", (1, 0), 200, None, b"Connection: keep-alive\r\n", b"", True, id="in HTTP/1.0 too"),
        pytest.param(b"GET", (1, 1), 304, 5, b"", b"", True, id="a 304 has no framing"),
        pytest.param(b"DELETE", (1, 1), 204, 0, b"", b"", True, id="nor has a 204"),
    ],
)  # fmt: skip
async def test_framing(method, version, status, length, framing, content, keeps):
    wire, responder = answering(method, version)
    responder.start(Response(status, FieldSection(), b"x"), length)
    if length != 0:
        await responder.send(b"hello")
    responder.finish()
    assert wire.sent == b"HTTP/1.1 %d x\r\nDate: %s\r\n%s\r\n%s" % (status, DATE, framing, content)
    assert (responder.keep_alive, responder.is_finished) == (keeps, True)


@pytest.mark.parametrize(("keep_alive", "may_stay"), [(False, True), (True, False)])
async def test_a_last_response_says_so(keep_alive, may_stay):
    wire, responder = answering(keep_alive=keep_alive, may_stay=may_stay)
    responder.start(Response(200, FieldSection()), 0)
    responder.finish()
    assert wire.sent == OK + b"Content-Length: 0\r\n" + CLOSE + b"\r\n"
    assert not responder.keep_alive


async def test_what_was_no_request_is_answered_in_full():
    wire = Wire()
    responder = Http1Responder(wire, None, keep_alive=False)
    responder.start(Response(400, FieldSection()), 3)
    await responder.send(b"no\n")
    responder.finish()
    assert wire.sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.sent.endswith(CLOSE + b"\r\nno\n")


@pytest.mark.parametrize("unread", [0, 99, 101])
def test_what_has_little_room_paces_what_is_received(unread):
    given = Http1Responder(Wire(), None, keep_alive=False, room=100)
    assert given.room == 100
    assert given.allowance is not None
    assert given.allowance(unread) == 100 - unread
    assert Http1Responder(Wire(), None, keep_alive=False).allowance is None


async def test_a_date_that_is_there_is_left():
    wire, responder = answering()
    responder.start(Response(200, FieldSection([(b"date", b"then")])), 0)
    responder.finish()
    assert wire.sent == b"HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n"


class TestPieces:
    async def test_a_head_and_a_short_content_are_one_write(self):
        wire, responder = answering()
        responder.start(Response(200, FieldSection()), 5)
        await responder.send(b"hello")
        responder.finish()
        assert wire.writes == 1

    async def test_a_head_does_not_wait_for_content_that_is_late(self):
        wire, responder = answering()
        responder.start(Response(200, FieldSection()), 5)
        assert not wire.sent
        await asyncio.sleep(0)
        assert wire.sent == OK + b"Content-Length: 5\r\n\r\n"
        await responder.send(b"hello")
        responder.finish()
        assert wire.sent == OK + b"Content-Length: 5\r\n\r\nhello"

    async def test_an_empty_piece_is_not_the_last_chunk(self):
        wire, responder = answering()
        responder.start(Response(200, FieldSection()), None)
        await responder.send(b"")
        await responder.send(b"hello")
        responder.finish()
        assert wire.sent.count(b"\r\n0\r\n") == 1

    async def test_a_head_is_not_sent_once_the_client_is_gone(self):
        wire, responder = answering()
        responder.start(Response(200, FieldSection()), 5)
        wire.abort()
        await asyncio.sleep(0)
        assert not wire.sent


class TestLength:
    async def test_more_than_announced_never_leaves(self):
        wire, responder = answering()
        responder.start(Response(200, FieldSection()), 5)
        await responder.send(b"hell")
        with pytest.raises(DownstreamClosed):
            await responder.send(b"o world")
        assert wire.is_aborted
        assert wire.sent.endswith(b"\r\n\r\nhell")
        assert not responder.is_finished

    async def test_less_than_announced_is_not_a_response(self):
        wire, responder = answering()
        responder.start(Response(200, FieldSection()), 5)
        await responder.send(b"hell")
        with pytest.raises(DownstreamClosed):
            responder.finish()
        assert wire.is_aborted
        assert not responder.is_finished


class TestInterim:
    HINTS = Response(103, FieldSection([(b"link", b"</a>")]))

    async def test_it_is_sent_at_once(self):
        wire, responder = answering()
        responder.interim(self.HINTS)
        assert wire.sent == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    async def test_http_1_0_does_not_know_it(self):
        wire, responder = answering(version=(1, 0))
        responder.interim(self.HINTS)
        assert not wire.sent

    async def test_a_100_is_not_for_the_origin_to_send(self):
        wire, responder = answering()
        responder.interim(Response(100, FieldSection()))
        assert not wire.sent


@pytest.mark.parametrize(
    ("name", "written"),
    [(b"content-type", b"Content-Type"), (b"etag", b"ETag"), (b"x-b3-id", b"X-B3-Id"), (b"cdn-loop", b"CDN-Loop")],
)
def test_field_names_are_written_as_people_read_them(name, written):
    assert encode_head(200, b"", FieldSection([(name, b"v")])) == b"HTTP/1.1 200 OK\r\n%s: v\r\n" % written


def test_a_head_keeps_order_and_repetition():
    fields = FieldSection([(b"set-cookie", b"a"), (b"b", b"c"), (b"set-cookie", b"d")])
    assert encode_head(299, b"", fields) == b"HTTP/1.1 299 \r\nSet-Cookie: a\r\nB: c\r\nSet-Cookie: d\r\n"
