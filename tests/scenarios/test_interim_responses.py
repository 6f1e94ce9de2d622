"""Interim responses (RFC 9110 §15.2) on real sockets: passed on as they come, and gone once the final one is stored."""

from tests.scenarios.origin_fixture import ANSWER, HEAD_END, Peer, Start, sends

PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hint: 1\r\n\r\n"


async def test_they_reach_the_client_that_waits_for_the_origin_and_no_later_one(start: Start) -> None:
    node = await start(sends(PROCESSING, HINTS, ANSWER))
    client = await node.connect()
    await client.received()
    interim, final, rest = bytes(client.data).partition(b"HTTP/1.1 200 OK\r\n")
    assert interim == PROCESSING + HINTS
    assert final
    assert b"X-Hint" not in rest
    again = await node.get()
    assert (again.status, again.content, again.fields.get(b"x-hint")) == (200, b"fine", None)
    assert b"; hit" in again.fields[b"cache-status"]
    assert len(node.raw.requests) == 1


async def test_hints_are_with_the_client_before_the_origin_has_the_answer(start: Start) -> None:
    async def hints_only(peer: Peer) -> None:
        await peer.send(HINTS)

    node = await start(hints_only)
    client = await node.connect()
    await client.until(lambda data: data.endswith(HEAD_END))
    assert bytes(client.data) == HINTS


async def test_a_client_of_http_1_0_gets_the_final_response_only(start: Start) -> None:
    node = await start(sends(PROCESSING, HINTS, ANSWER))
    client = await node.connect(version="1.0")
    got = await client.received()
    assert (got.status, got.content) == (200, b"fine")
