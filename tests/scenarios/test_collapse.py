"""Collapsing with real connections and the real store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.store.disk import Disk
from edge.store.settings import Settings
from edge.upstream.settings import Timeouts
from tests.scenarios.origin_fixture import Peer, RawOrigin, RealNode

PIECE = bytes(range(256)) * 1024  # 256 KiB
PIECES = 8
CLIENTS = 200


class Held:
    """An origin that sends its content piece by piece, each when it is told to."""

    def __init__(self) -> None:
        self.may_send = asyncio.Semaphore(0)

    async def __call__(self, peer: Peer) -> None:
        fields = b"Cache-Control: max-age=60\r\nContent-Length: %d\r\n" % (PIECES * len(PIECE))
        await peer.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
        for _ in range(PIECES):
            await self.may_send.acquire()
            await peer.send(PIECE)

    def release(self, pieces: int) -> None:
        for _ in range(pieces):
            self.may_send.release()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    disk = await Disk.start(tmp_path / "node", Settings(quota=1 << 30, memory=64 << 20), SystemClock())
    yield disk
    await disk.close()


@pytest.fixture
async def held() -> Held:
    return Held()


@pytest.fixture
async def node(disk: Disk, held: Held) -> AsyncIterator[RealNode]:
    origin = RawOrigin(held)
    await origin.start()
    node = RealNode(origin, disk, timeouts=Timeouts())
    await node.start()
    yield node
    await node.stop()
    await origin.stop()


@pytest.mark.slow
async def test_many_clients_are_one_request_and_none_waits_for_the_end(node: RealNode, held: Held) -> None:
    clients = [await node.connect("/big") for _ in range(CLIENTS)]
    held.release(1)
    for client in clients:
        await client.until(lambda data: len(data.partition(b"\r\n\r\n")[2]) > 0)
    assert not any(client.is_over for client in clients)
    held.release(PIECES - 1)
    for client in clients:
        assert (await client.received()).content == PIECE * PIECES
    assert len(node.raw.requests) == 1
    hit = await node.get("/big")
    assert b"hit" in hit.fields[b"cache-status"]
    assert (hit.content, hit.is_whole) == (PIECE * PIECES, True)


@pytest.mark.slow
async def test_a_client_that_never_reads_slows_nobody(node: RealNode, held: Held) -> None:
    idle = await node.connect("/big")
    idle.transport.pause_reading()
    while not node.raw.requests:
        await asyncio.sleep(0)
    held.release(PIECES)
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(node.get("/big")) for _ in range(10)]
    assert all(other.result().content == PIECE * PIECES for other in others)
    # It has lost nothing by that.
    idle.transport.resume_reading()
    assert (await idle.received()).content == PIECE * PIECES
    assert len(node.raw.requests) == 1


async def test_the_leads_client_leaves(node: RealNode, held: Held) -> None:
    lead = await node.connect("/big")
    while not node.raw.requests:
        await asyncio.sleep(0)
    follower = await node.connect("/big")
    lead.transport.abort()
    held.release(PIECES)
    got = await follower.received()
    assert (got.content, got.is_whole) == (PIECE * PIECES, True)
    assert len(node.raw.requests) == 1
