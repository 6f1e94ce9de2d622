"""What an origin can do wrong, on real sockets: the client gets an honest answer, and none of it is stored."""

import asyncio
import logging

import pytest

from edge.testing.store import MemoryStore
from edge.upstream.settings import Timeouts
from tests.scenarios.origin_fixture import ANSWER, Peer, RealNode, Received, Script, Start, hang, in_turn, sends

FRESH = b"Cache-Control: max-age=60\r\n"
STALE = b'HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-if-error=60\r\nETag: "v1"\r\nContent-Length: 3\r\n\r\nold'
QUICK = Timeouts(connect=0.2, first_byte=0.1, between_bytes=0.1)


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\n%s%s\r\n" % (status, FRESH, b"".join(line + b"\r\n" for line in lines))


# Nothing of these reaches the client: an error does, or what is stored where stale-if-error allows it.
BEFORE_THE_HEAD = [
    pytest.param(hang, 504, id="no answer"),
    pytest.param(sends(b"HTTP/1.1 200 O"), 504, id="a head that never ends"),
    pytest.param(sends(then=Peer.close), 502, id="closed without an answer"),
    pytest.param(sends(then=Peer.reset), 502, id="reset without an answer"),
    pytest.param(sends(b"HTTP/1.1 200 OK\r\nX-A: ", then=Peer.close), 502, id="closed within the head"),
    pytest.param(sends(b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n"), 502, id="another protocol"),
    pytest.param(sends(b"HTTP/1.1 2xx OK\r\n\r\n"), 502, id="a bad status line"),
    pytest.param(sends(b"HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n"), 502, id="a bad field line"),
    pytest.param(sends(b"HTTP/1.1 200 OK\r\n" + b"X-A: %s\r\n" % (b"a" * 1_000_000)), 502, id="an oversize field"),
    pytest.param(sends(b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 100_000), 502, id="too many fields"),
    pytest.param(sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000), 502, id="a flood of interim responses"),
    pytest.param(sends(head(b"Content-Length: 3", b"Content-Length: 4") + b"abcd"), 502, id="two lengths"),
    pytest.param(
        sends(head(b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"), 502, id="a length and chunks"
    ),
    pytest.param(sends(head(b"Content-Length: -1")), 502, id="a negative length"),
    pytest.param(sends(head(b"Transfer-Encoding: odd") + b"?", then=Peer.close), 502, id="a coding that nobody knows"),
    pytest.param(sends(head(b"Transfer-Encoding: chunked") + b"no size\r\n"), 502, id="chunks that are none"),
]

# The head had gone out before it could be known.
TOO_LITTLE = head(b"Content-Length: 9") + b"short"
NO_END = head(b"Transfer-Encoding: chunked") + b"5\r\nshort\r\n"
AFTER_THE_HEAD = [
    pytest.param(sends(TOO_LITTLE, then=Peer.close), Timeouts(), id="too little content, then FIN"),
    pytest.param(sends(TOO_LITTLE, then=Peer.reset), Timeouts(), id="too little content, then RST"),
    pytest.param(sends(TOO_LITTLE), QUICK, id="too little content, then silence"),
    pytest.param(sends(NO_END, then=Peer.close), Timeouts(), id="chunks without an end, then FIN"),
    pytest.param(sends(NO_END, then=Peer.reset), Timeouts(), id="chunks without an end, then RST"),
    pytest.param(sends(NO_END), QUICK, id="chunks without an end, then silence"),
]


def assert_broken(got: Received) -> None:
    """Assert that nothing looks whole; a reset can overtake the head on its way to the edge, which then can say so."""
    assert (got.status, got.is_whole) in {(200, False), (502, True)}
    assert got.status == 502 or b"short".startswith(got.content)


def stored(node: RealNode) -> list[int]:
    assert isinstance(node.store, MemoryStore)
    return [each.status for heads in node.store.heads.values() for each in heads]


@pytest.mark.parametrize(("fault", "status"), BEFORE_THE_HEAD)
async def test_before_the_head(start: Start, fault: Script, status: int, caplog: pytest.LogCaptureFixture) -> None:
    node = await start(fault, timeouts=QUICK if status == 504 else Timeouts())
    got = await node.get()
    assert (got.status, got.is_whole) == (status, True)
    assert got.fields[b"cache-control"] == b"no-store"
    assert stored(node) == []
    assert [record.status for record in node.telemetry.records] == [status]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(("fault", "status"), BEFORE_THE_HEAD)
async def test_before_the_head_with_something_stale(start: Start, fault: Script, status: int) -> None:
    node = await start(in_turn(sends(STALE), fault), timeouts=QUICK if status == 504 else Timeouts())
    assert (await node.get()).content == b"old"
    got = await node.get()
    assert (got.status, got.content) == (200, b"old")
    assert b"stale-if-error" in got.fields[b"cache-status"]
    assert b"fwd=stale" in got.fields[b"cache-status"]
    assert stored(node) == [200]


@pytest.mark.parametrize(("fault", "timeouts"), AFTER_THE_HEAD)
async def test_after_the_head(
    start: Start, fault: Script, timeouts: Timeouts, caplog: pytest.LogCaptureFixture
) -> None:
    node = await start(in_turn(fault, sends(ANSWER)), timeouts=timeouts)
    got = await node.get()
    assert_broken(got)
    assert stored(node) == []
    assert [record.complete for record in node.telemetry.records] == [got.is_whole]
    again = await node.get()
    assert (again.status, again.content, again.is_whole) == (200, b"fine", True)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(("fault", "timeouts"), AFTER_THE_HEAD)
async def test_after_the_head_of_what_is_not_stored(start: Start, fault: Script, timeouts: Timeouts) -> None:
    async def uncacheable(peer: Peer) -> None:
        send = peer.send
        peer.send = lambda data: send(data.replace(b"max-age=60", b"no-store  "))  # type: ignore[method-assign]
        await fault(peer)

    node = await start(in_turn(uncacheable, sends(ANSWER)), timeouts=timeouts)
    got = await node.get()
    assert_broken(got)
    assert (await node.get()).content == b"fine"


async def test_refused_connections(start: Start) -> None:
    node = await start(sends(ANSWER))
    node.raw.refuse()
    got = await node.get()
    assert (got.status, got.content) == (502, b"502 origin-connect\n")
    assert stored(node) == []


async def test_content_that_pauses_for_less_than_the_limit_is_waited_for(start: Start) -> None:
    go_on = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.send(head(b"Content-Length: 4") + b"fi")
        await go_on.wait()
        await peer.send(b"ne")

    node = await start(slow, timeouts=Timeouts())
    async with asyncio.TaskGroup() as group:
        first = group.create_task(node.get())
        while not node.raw.requests:
            await asyncio.sleep(0)
        second = group.create_task(node.get())
        go_on.set()
    assert (first.result().content, second.result().content) == (b"fine", b"fine")
    assert len(node.raw.requests) == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_content_where_there_is_none_is_not_taken_for_the_next_response(start: Start, status: bytes) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    node = await start(in_turn(sends(head(status=status) + smuggled), sends(ANSWER)))
    first = await node.get("/", "Range: bytes=0-1", 'If-None-Match: "v1"')
    assert (first.status, first.content) == (int(status[:3]), b"")
    assert (await node.get("/b")).content == b"fine"


async def test_surplus_content_is_not_taken_for_the_next_response(start: Start) -> None:
    surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    node = await start(in_turn(sends(ANSWER + surplus), sends(ANSWER)))
    assert [(await node.get(path)).content for path in ("/", "/b", "/c")] == [b"fine"] * 3


async def test_unasked_answers_are_errors(start: Start) -> None:
    node = await start(
        in_turn(
            sends(head(status=b"304 Not Modified")),
            sends(head(b"Content-Range: bytes 0-3/9", b"Content-Length: 4", status=b"206 Partial Content") + b"part"),
        )
    )
    assert [(await node.get()).status for _ in range(2)] == [502, 502]
    assert stored(node) == []


async def test_a_client_that_speaks_http_1_0_sees_a_broken_content_broken(start: Start) -> None:
    fault = sends(head(b"Transfer-Encoding: chunked") + b"5\r\nshort\r\n", then=Peer.close)
    node = await start(fault)
    client = await node.connect(version="1.0")
    await client.until(lambda _: False)
    # There an orderly close ends the content, so it must not be one.
    assert bytes(client.data).endswith(b"\r\n\r\nshort")
    assert isinstance(client.error, ConnectionResetError)
