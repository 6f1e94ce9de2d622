"""A large file passes through in constant memory, on a miss and on a hit, and every octet of it is right.

FORELAND_LARGE_MIB sets its size; 2048 by default.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import aiohttp
import pytest

from tests.real.node import MIB, Running, client, demo_origin, edge, generated, get, is_hit

pytestmark = [pytest.mark.real, pytest.mark.slow]

SIZE = int(os.environ.get("FORELAND_LARGE_MIB", "2048")) * MIB
MEMORY = 32 * MIB
#: What a node may take for a stream of any length, beside its memory tier.
GROWTH = 64 * MIB
TARGET = f"/bytes/large?_size={SIZE}B&_cache_control=max-age%3D3600"
PIECE = 8 * MIB


def is_right(start: int, content: bytes) -> bool:
    return content == generated("/bytes/large", start, start + len(content))


async def read_and_check(
    session: aiohttp.ClientSession, node: Running, pool: ProcessPoolExecutor, **fields: str
) -> str:
    """Read the whole file, checking each piece in another process meanwhile, and return its Cache-Status."""
    checks = []
    async with session.get(node.url + TARGET, headers=fields) as response:
        at = 0
        while at < SIZE:
            piece = await response.content.readexactly(min(PIECE, SIZE - at))
            checks.append((at, pool.submit(is_right, at, piece)))
            at += len(piece)
        assert await response.content.read() == b""
    assert [start for start, check in checks if not check.result()] == []
    return response.headers["Cache-Status"]


def peak_memory(node: Running) -> int:
    """Return the most memory the node's processes have had resident, in octets."""
    pid = node.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(_peak, [str(pid), *children]))


def _peak(pid: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.removesuffix("kB")) * 1024
    raise AssertionError("the kernel does not tell VmHWM")


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        yield processes


async def test_it_streams_through_a_miss_and_a_hit_in_constant_memory(
    tmp_path: Path, pool: ProcessPoolExecutor
) -> None:
    options = ("--cache-size", f"{SIZE * 3}B", "--memory", f"{MEMORY}B")
    async with demo_origin() as origin, edge(origin.url, tmp_path, *options) as node, client() as session:
        await get(session, f"{node.url}/bytes/small?_size=1KiB")
        before = peak_memory(node)
        assert "stored" in await read_and_check(session, node, pool)
        assert peak_memory(node) - before < MEMORY + GROWTH
        assert is_hit(await read_and_check(session, node, pool))
        assert peak_memory(node) - before < MEMORY + GROWTH


async def test_it_streams_as_a_range_too(tmp_path: Path, pool: ProcessPoolExecutor) -> None:
    options = ("--cache-size", f"{SIZE * 3}B", "--memory", f"{MEMORY}B")
    async with demo_origin() as origin, edge(origin.url, tmp_path, *options) as node, client() as session:
        await get(session, f"{node.url}/bytes/small?_size=1KiB")
        before = peak_memory(node)
        assert "stored" in await read_and_check(session, node, pool, Range="bytes=0-")
        assert peak_memory(node) - before < MEMORY + GROWTH


RANGES = [
    pytest.param(0, 1, id="the first octet"),
    pytest.param(SIZE // 2 - 7, SIZE // 2 + 100_000, id="across the middle"),
    pytest.param(MIB - 1, MIB + 1, id="across the end of a chunk"),
    pytest.param(3 * MIB, 20 * MIB, id="many chunks"),
    pytest.param(SIZE - 5, SIZE, id="the last octets"),
]


@pytest.mark.parametrize(("start", "end"), RANGES)
async def test_a_range_is_right_before_and_after_it_is_stored(tmp_path: Path, start: int, end: int) -> None:
    options = ("--cache-size", "1GiB")
    async with demo_origin() as origin, edge(origin.url, tmp_path, *options) as node, client() as session:

        async def cache_status() -> str:
            async with session.get(node.url + TARGET, headers={"Range": f"bytes={start}-{end - 1}"}) as response:
                assert response.status == 206
                assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
                assert is_right(start, await response.read())
                return response.headers["Cache-Status"]

        assert not is_hit(await cache_status())
        # The chunks around it may still be on their way.
        while not is_hit(await cache_status()):
            pass
