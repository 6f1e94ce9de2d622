import asyncio

import pytest

from edge.downstream.content import Content
from edge.downstream.head import parse_head
from edge.errors import BadRequest, DownstreamClosed, DownstreamTimeout
from edge.policy.limits import Limits

LIMITS = Limits(body_timeout=20.0, body_rate=500, body_grace=10.0)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection:
    """What content asks of its connection."""

    def __init__(self) -> None:
        self.sent = b""
        self.regulated = 0

    def write(self, *pieces: bytes) -> None:
        self.sent += b"".join(pieces)

    def regulate(self) -> None:
        self.regulated += 1


def arriving(line: bytes, connection: Connection | None = None) -> Content:
    raw = b"POST / HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n" % line
    return Content(parse_head(raw, b"http", LIMITS), LIMITS, connection or Connection())


def by_length(length: int, connection: Connection | None = None) -> Content:
    return arriving(b"Content-Length: %d" % length, connection)


async def begun(content: Content) -> asyncio.Task[bytes]:
    """Return a reading of a piece that waits for it."""
    reading = asyncio.get_running_loop().create_task(content.read())
    while content._waiter is None and not reading.done():
        await asyncio.sleep(0)
    return reading


class TestReading:
    async def test_pieces_come_as_they_arrived_and_then_the_end(self):
        content = by_length(5)
        assert content.feed(b"he") == b""
        assert content.feed(b"lloGET") == b"GET"
        assert [await content.read() for _ in range(4)] == [b"he", b"llo", b"", b""]

    async def test_no_content_is_complete_at_once(self):
        content = arriving(b"A: b")
        assert (content.is_complete, content.unread, await content.read()) == (True, 0, b"")

    async def test_chunks_of_one_segment_are_one_piece(self):
        content = arriving(b"Transfer-Encoding: chunked")
        assert content.feed(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET") == b"GET"
        assert [await content.read() for _ in range(2)] == [b"hello", b""]

    async def test_a_reader_waits(self):
        content = by_length(5)
        reading = await begun(content)
        content.feed(b"hello")
        assert await reading == b"hello"

    async def test_a_reader_waits_for_the_end_of_chunks(self):
        content = arriving(b"Transfer-Encoding: chunked")
        reading = await begun(content)
        content.feed(b"0\r\n")
        await asyncio.sleep(0)
        assert not reading.done()
        content.feed(b"\r\n")
        assert await reading == b""

    async def test_another_may_read_on_where_one_stopped_waiting(self):
        content = by_length(5)
        reading = await begun(content)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        content.feed(b"hello")
        assert await content.read() == b"hello"


class TestFailing:
    async def test_what_arrived_before_is_read_first(self):
        content = by_length(5)
        content.feed(b"he")
        content.fail(BadRequest())
        content.fail(DownstreamClosed())
        assert await content.read() == b"he"
        for _ in range(2):
            with pytest.raises(BadRequest):
                await content.read()

    async def test_a_waiting_reader_is_told(self):
        content = by_length(5)
        reading = await begun(content)
        content.fail(DownstreamClosed())
        with pytest.raises(DownstreamClosed):
            await reading

    async def test_content_that_is_all_there_cannot_fail(self):
        content = by_length(2)
        content.feed(b"he")
        content.fail(DownstreamClosed())
        assert [await content.read() for _ in range(2)] == [b"he", b""]


class TestRoom:
    async def test_a_reader_that_falls_behind_stops_the_connection_until_it_has_caught_up(self):
        connection = Connection()
        content = by_length(1 << 20, connection)
        content.feed(bytes(128 << 10))
        content.feed(bytes(128 << 10))
        assert not content.is_full
        content.feed(bytes(1))
        assert content.is_full
        await content.read()
        assert (content.is_full, connection.regulated) == (True, 0)
        await content.read()
        assert (content.is_full, connection.regulated) == (False, 1)


class TestDiscarding:
    @pytest.mark.parametrize(
        ("length", "arrived", "is_whole"),
        [
            pytest.param(10, 10, True, id="as much as may be"),
            pytest.param(11, 11, False, id="more than may be"),
            pytest.param(99, 11, False, id="more than may be, and more to come"),
        ],
    )
    async def test_only_so_much_is_dropped(self, length, arrived, is_whole):
        content = by_length(length)
        content.feed(bytes(arrived))
        assert await content.discard(10) is is_whole

    async def test_it_waits_for_the_end_and_never_asks_for_it(self):
        connection = Connection()
        content = arriving(b"Expect: 100-continue\r\nContent-Length: 5", connection)
        discarding = asyncio.get_running_loop().create_task(content.discard(10))
        while content._waiter is None:
            await asyncio.sleep(0)
        content.feed(b"hello")
        assert await discarding
        assert connection.sent == b""

    async def test_content_that_failed_is_not_whole(self):
        content = by_length(5)
        content.fail(DownstreamTimeout())
        assert not await content.discard(10)

    @pytest.mark.parametrize(
        ("line", "arrived", "unread"),
        [
            pytest.param(b"Content-Length: 9", b"", 9, id="a length is all to come"),
            pytest.param(b"Content-Length: 9", b"abc", 9, id="what arrived is unread too"),
            pytest.param(b"Transfer-Encoding: chunked", b"1\r\na\r\n", None, id="nobody knows of chunks"),
            pytest.param(b"Transfer-Encoding: chunked", b"1\r\na\r\n0\r\n\r\n", 1, id="before they have ended"),
        ],
    )
    async def test_what_is_unread(self, line, arrived, unread):
        content = arriving(line)
        content.feed(arrived)
        assert content.unread == unread


class TestContinue:
    LINE = b"Expect: 100-continue\r\nContent-Length: 5"

    async def test_it_is_sent_to_a_client_that_waits_for_it(self):
        connection = Connection()
        content = arriving(self.LINE, connection)
        reading = await begun(content)
        assert connection.sent == CONTINUE
        content.feed(b"he")
        assert await reading == b"he"
        await begun(content)
        assert connection.sent == CONTINUE

    async def test_it_is_not_sent_to_one_that_does_not(self):
        connection = Connection()
        content = arriving(self.LINE, connection)
        content.feed(b"he")
        await content.read()
        await begun(content)
        assert connection.sent == b""


class TestPace:
    @pytest.mark.parametrize(
        ("arrived", "seconds", "is_late"),
        [
            pytest.param(0, 9.9, False, id="there is some time"),
            pytest.param(0, 10.1, True, id="nothing within the grace"),
            pytest.param(4_000, 10.1, True, id="too little within the grace"),
            pytest.param(6_000, 10.1, False, id="enough within the grace"),
            pytest.param(1_000_000, 20.1, True, id="a pause that is too long, whatever came before"),
        ],
    )
    async def test_a_client_keeps_its_reader_waiting_only_so_long(self, arrived, seconds, is_late):
        content = by_length(1 << 30)
        began = asyncio.get_running_loop().time()
        reading = await begun(content)
        if arrived:
            content.feed(bytes(arrived))
            await reading
            reading = await begun(content)
        content.check(began + seconds)
        await asyncio.sleep(0)
        assert reading.done() is is_late
        if is_late:
            with pytest.raises(DownstreamTimeout):
                await reading

    async def test_a_client_is_not_to_blame_while_nobody_reads(self):
        content = by_length(1 << 30)
        content.check(asyncio.get_running_loop().time() + 1000)
        content.feed(b"he")
        assert await content.read() == b"he"
