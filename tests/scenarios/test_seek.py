"""Seeking in a file of 10 GB behind a slow origin: what the origin is asked for, and what clients get."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.store.disk import Disk
from edge.store.settings import Settings
from edge.upstream.settings import Timeouts
from tests.scenarios import throttled_origin
from tests.scenarios.origin_fixture import HEAD_END, RawOrigin, RealNode, Received, hang
from tests.scenarios.throttled_origin import SIZE, content

pytestmark = pytest.mark.slow

MIB = 1 << 20
RATE = 16 * MIB
#: Chunks fetched at a time, the default.
PARALLEL = 4


@dataclass
class Counting:
    """The origin's process, and what it tells."""

    process: asyncio.subprocess.Process
    port: int

    async def counts(self, path: str = "/-/counts") -> tuple[list[tuple[int, int]], int]:
        """Return the ranges it was asked for, in order of offset, and the octets it sent, since the last time."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())
        head = await reader.readuntil(HEAD_END)
        told = json.loads(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])))
        writer.close()
        return sorted((start, end) for start, end in told["asked"]), told["sent"]

    async def told(self, what: str) -> None:
        """Have it `hold`, `release` or `replace`."""
        await self.counts(f"/-/{what}")


@pytest.fixture
async def counting() -> AsyncIterator[Counting]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, throttled_origin.__file__, str(RATE), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    yield Counting(process, int(await process.stdout.readline()))
    process.kill()
    await process.communicate()


@pytest.fixture
async def node(counting: Counting, tmp_path: Path) -> AsyncIterator[RealNode]:
    # Ten times smaller than the file.
    disk = await Disk.start(tmp_path / "node", Settings(quota=1 << 30, memory=8 * MIB), SystemClock())
    node = RealNode(RawOrigin(hang, counting.port), disk, timeouts=Timeouts())
    await node.start()
    yield node
    await node.stop()
    await disk.close()


async def seek(node: RealNode, start: int, end: int) -> Received:
    return await node.get("/film", f"Range: bytes={start}-{end - 1}")


async def settled(node: RealNode) -> None:
    while len(node.driver._collapsing):
        await asyncio.sleep(0)


def chunks(start: int, end: int) -> list[tuple[int, int]]:
    """Return the chunks that [start, end) lies in."""
    first = start - start % MIB
    return [(at, min(at + MIB, SIZE)) for at in range(first, end, MIB)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(5_000_000_000, 5_000_100_000, id="in the middle"),
        pytest.param(4767 * MIB - 10, 4767 * MIB + 10, id="across the end of a chunk"),
        pytest.param(SIZE - 5, SIZE, id="the last octets"),
        pytest.param(7_000_000_000, 7_000_000_000 + 6 * MIB, id="more chunks than are fetched at a time"),
    ],
)
async def test_only_the_chunks_around_it_are_fetched(node: RealNode, counting: Counting, start: int, end: int) -> None:
    got = await seek(node, start, end)
    assert (got.status, got.is_whole) == (206, True)
    assert got.fields[b"content-range"] == b"bytes %d-%d/%d" % (start, end - 1, SIZE)
    assert got.content == content(start, end, 1)
    await settled(node)
    asked, sent = await counting.counts()
    assert asked == chunks(start, end), "each chunk once"
    assert sent == sum(end - start for start, end in asked)
    again = await seek(node, start, end)
    assert (again.content, await counting.counts()) == (got.content, ([], 0))
    assert b"hit" in again.fields[b"cache-status"]


async def test_the_first_octet_is_one_round_trip_away(node: RealNode, counting: Counting) -> None:
    start, end = 5000 * MIB, 5000 * MIB + 500_000
    await counting.told("hold")
    client = await node.connect("/film", f"Range: bytes={start}-{end - 1}")
    await client.until(lambda data: data.partition(HEAD_END)[2])
    assert await counting.counts() == (chunks(start, end), throttled_origin.PIECE), "one request, and its first octets"
    await counting.told("release")
    got = await client.received()
    assert (got.is_whole, got.content) == (True, content(start, end, 1))


async def test_clients_that_overlap_share_every_chunk(node: RealNode, counting: Counting) -> None:
    base = 3000 * MIB
    ranges = [(base, base + 5 * MIB), (base + MIB + 7, base + 4 * MIB), (base + 2 * MIB, base + 7 * MIB)] * 2
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(seek(node, *each)) for each in ranges]
    for (start, end), task in zip(ranges, tasks, strict=True):
        assert (task.result().is_whole, task.result().content) == (True, content(start, end, 1))
    await settled(node)
    assert (await counting.counts())[0] == chunks(base, base + 7 * MIB)


async def test_reading_on_is_read_ahead_of_and_seeking_is_not(node: RealNode, counting: Counting) -> None:
    base = 1000 * MIB
    for at in (base, 8000 * MIB, 2000 * MIB):
        await seek(node, at, at + MIB)
        await settled(node)
    assert len((await counting.counts())[0]) == 3
    for number in range(1, 4):
        got = await seek(node, base + number * MIB, base + (number + 1) * MIB)
        await settled(node)
    assert b"hit" in got.fields[b"cache-status"]
    # As much ahead as it continues: three chunks.
    assert (await counting.counts())[0] == chunks(base + MIB, base + 7 * MIB)


async def test_a_client_that_leaves_stops_what_was_fetched_for_it(node: RealNode, counting: Counting) -> None:
    base = 6000 * MIB
    await counting.told("hold")
    client = await node.connect("/film", f"Range: bytes={base}-{base + 500 * MIB - 1}")
    await client.until(lambda data: data.partition(HEAD_END)[2])
    await client.close()
    await counting.told("release")
    await settled(node)
    asked, _ = await counting.counts()
    assert asked == chunks(base, base + len(asked) * MIB)
    assert len(asked) <= PARALLEL
    assert (await node.get("/film", f"Range: bytes={base}-{base}")).content == content(base, base + 1, 1)


async def test_a_file_that_changes_is_never_mixed(node: RealNode, counting: Counting) -> None:
    base = 2000 * MIB
    await counting.told("hold")
    client = await node.connect("/film", f"Range: bytes={base}-{base + 30 * MIB - 1}")
    await client.until(lambda data: data.partition(HEAD_END)[2])
    await counting.told("replace")
    await counting.told("release")
    broken = await client.received()
    assert not broken.is_whole
    assert content(base, base + len(broken.content), 1) == broken.content
    await settled(node)
    got = await seek(node, base, base + 3 * MIB)
    assert (got.is_whole, got.content) == (True, content(base, base + 3 * MIB, 2))


async def test_one_that_has_not_begun_gets_the_new_file(node: RealNode, counting: Counting) -> None:
    await seek(node, 0, MIB)
    await settled(node)
    await counting.told("replace")
    got = await seek(node, MIB - 10, 2 * MIB)
    assert (got.status, got.is_whole, got.content) == (206, True, content(MIB - 10, 2 * MIB, 2))
