"""A response for which there is little room stays with the origin, and in the kernel."""

import asyncio
import ssl

import pytest
import trustme

from tests.upstream.scripted import a_request, answering, content_of

LEAST = 4 << 10
# Of TLS, only whole ones can be passed on.
RECORD = 16 << 10
CONTENT = bytes(range(256)) * 4096  # 1 MiB
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT)
SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Room:
    """An allowance that is always the same, and what it was told."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.told: list[int] = []

    def __call__(self, ahead: int) -> int:
        self.told.append(ahead)
        return self.room - ahead


@pytest.fixture(params=["http", "https"])
async def pair(request, serving):
    """Return what makes an origin that answers, and an edge to it."""

    async def pair(*answers: bytes):
        if request.param == "http":
            return await serving.pair(answering(*answers))
        authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        scripted = await serving.origin(answering(*answers), tls=tls)
        return scripted, serving.edge(scripted.port, scheme="https", verify=False)

    return pair


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED], ids=["a length", "chunks"])
@pytest.mark.parametrize("room", [0, 1, 20_000, 300_000])
async def test_no_more_waits_than_there_is_room_for_and_all_of_it_comes(pair, room, answer):
    scripted, edge = await pair(answer, SMALL)
    allowance = Room(room)
    response = await edge.send(a_request(), None, None, allowance)
    content = b""
    while piece := await response.read():
        content += piece
        await asyncio.sleep(0)
    assert content == CONTENT
    # What is received while there is little room may come on top of it.
    assert 0 < max(allowance.told) <= max(room, LEAST) + LEAST + (0 if edge.settings.scheme == "http" else RECORD)
    assert allowance.told[-1] == 0
    # The next exchange is like any other.
    allowance.told.clear()
    assert await content_of(await edge.send(a_request(), None, None)) == b"hello"
    assert (scripted.connections, allowance.told) == (1, [])


async def test_nothing_more_is_received_before_somebody_reads(serving):
    _, edge = await serving.pair(answering(WHOLE))
    response = await edge.send(a_request(), None, None, Room(0))
    while not response.unread:
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert response.unread <= LEAST
    response.close()


async def test_who_reads_for_everybody_is_not_held_up(pair):
    _, edge = await pair(WHOLE, SMALL)
    allowance = Room(0)
    response = await edge.send(a_request(), None, None, allowance)
    response.hasten()
    assert allowance.told[-1] == 0
    allowance.told.clear()
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    assert b"".join(pieces) == CONTENT
    assert allowance.told == []
    assert max(map(len, pieces)) > LEAST
    assert await content_of(await edge.send(a_request(), None, None, allowance)) == b"hello"


async def test_what_is_closed_holds_nothing(serving):
    _, edge = await serving.pair(answering(WHOLE))
    allowance = Room(100_000)
    response = await edge.send(a_request(), None, None, allowance)
    response.close()
    assert allowance.told[-1] == 0


async def test_a_small_response_counts_until_it_is_read(serving):
    _, edge = await serving.pair(answering(SMALL))
    allowance = Room(100_000)
    response = await edge.send(a_request(), None, None, allowance)
    assert allowance.told[-1] == 5
    assert await content_of(response) == b"hello"
    assert allowance.told[-1] == 0
    assert edge.statistics().idle == 1
