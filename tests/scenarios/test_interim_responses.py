"""Interim responses (RFC 9110 §15.2) on real sockets: passed on as they come, and gone once the final one is stored."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from edge.upstream.settings import Timeouts
from tests.scenarios.origin_fixture import ANSWER, HEAD_END, RawOrigin, RealNode, Script, parsed, sends

PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hint: 1\r\n\r\n"

Start = Callable[[Script], Awaitable[RealNode]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a node in front of an origin that answers by a script."""
    started: list[RealNode] = []

    async def start(script: Script) -> RealNode:
        origin = RawOrigin(script)
        await origin.start()
        node = RealNode(origin, timeouts=Timeouts())
        await node.start()
        started.append(node)
        return node

    yield start
    for node in started:
        await node.stop()
        await node.raw.stop()


def heads(data: bytes, count: int) -> list[tuple[int, bytes | None]]:
    """Return the status and the X-Hint of each of the first `count` heads."""
    received = [parsed(head + HEAD_END) for head in data.split(HEAD_END, count)[:count]]
    return [(each.status, each.fields.get(b"x-hint")) for each in received]


async def test_interim_responses_reach_the_client_that_waits_for_the_final_one_and_no_other(start: Start) -> None:
    node = await start(sends(PROCESSING, HINTS, ANSWER))
    first = await node.connect()
    await first.received()
    assert heads(bytes(first.data), 3) == [(102, None), (103, b"1"), (200, None)]
    again = await node.get()
    assert (again.status, again.content, again.fields.get(b"x-hint")) == (200, b"fine", None)
    assert b"; hit" in again.fields[b"cache-status"]
    assert len(node.raw.requests) == 1


async def test_the_hints_are_with_the_client_before_the_origin_has_the_answer(start: Start) -> None:
    async def hints_then_nothing(peer) -> None:
        await peer.send(HINTS)

    node = await start(hints_then_nothing)
    client = await node.connect()
    await client.until(lambda data: data.endswith(HEAD_END))
    assert heads(bytes(client.data), 1) == [(103, b"1")]


async def test_a_client_of_http_1_0_gets_the_final_response_only(start: Start) -> None:
    node = await start(sends(PROCESSING, HINTS, ANSWER))
    client = await node.connect(version="1.0")
    got = await client.received()
    assert (got.status, got.content) == (200, b"fine")
