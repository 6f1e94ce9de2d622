"""A real edge whose store is under fire: no wrong byte, no clean end of a content that is not whole, and it comes back."""

import asyncio
import os
import random
import shutil
import socket
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from edge.store.segment import Segments
from edge.store.segment_header import FIRST
from tests.real.node import client, demo_origin, edge, generated, is_hit
from tests.scenarios.under_fire import LASTING, killed_again_and_again

#: More of it at night: `STORE_FAULT_ROUNDS=200 STORE_FAULT_READS=100000`.
ROUNDS = int(os.environ.get("STORE_FAULT_ROUNDS", "20"))
READS = int(os.environ.get("STORE_FAULT_READS", "1500"))


@pytest.fixture
async def origin():
    async with demo_origin(*LASTING) as running:
        yield running.url


@pytest.mark.slow
async def test_killed_at_random_moments_under_load(origin, tmp_path):
    tally = await killed_again_and_again(origin, tmp_path / "cache", rounds=ROUNDS, seed=ROUNDS)
    assert (tally.wrong, tally.lost) == ([], 0)
    assert tally.right > 20 * ROUNDS
    assert tally.kept > ROUNDS
    assert tally.broken > 0


def damage(cache: Path, rng: random.Random, *, of_records: float, of_bytes: float) -> int:
    """Flip a bit in a share of the bytes, at least one, of a share of the records; return how many records were hit.

    It is the medium that changes, not what has been read from it: the page cache is dropped.
    """
    hit = 0
    segments = Segments(cache / "segments")
    segments.open_all()
    for segment in segments:
        for offset, header in list(segment.headers(FIRST, segment.size)):
            if rng.random() >= of_records:
                continue
            hit += 1
            for _ in range(max(1, int(header.size * of_bytes))):
                at = rng.randrange(offset, offset + header.size)
                (byte,) = os.pread(segment.fd, 1, at)
                os.pwrite(segment.fd, bytes([byte ^ 1 << rng.randrange(8)]), at)
        os.fsync(segment.fd)
        os.posix_fadvise(segment.fd, 0, 0, os.POSIX_FADV_DONTNEED)
    segments.close()
    return hit


async def whole(session: aiohttp.ClientSession, url: str, size: int) -> tuple[bytes, bool]:
    """Return the content, and whether it is a hit; once more when the response breaks off."""
    for _ in range(3):
        try:
            async with session.get(f"{url}?_size={size}") as response:
                assert response.status == 200
                return await response.read(), is_hit(response.headers["Cache-Status"])
        except aiohttp.ClientPayloadError:
            continue
    pytest.fail(f"{url} breaks off again and again")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_records", "of_bytes"),
    [
        pytest.param(0.01, 0.0, id="one bit in a hundredth of the records"),
        pytest.param(1.0, 0.01, id="one bit in every hundredth byte"),
    ],
)
async def test_flipped_bits_reach_no_client(origin, tmp_path, of_records, of_bytes):
    rng = random.Random(7)
    sizes = {f"/bytes/flipped-{number}": int(2 ** rng.uniform(0, 20.5)) for number in range(250)}
    async with edge(origin, tmp_path / "cache", "--memory", "1MiB") as process, client() as session:
        await all_right(session, process.url, sizes)
        # Once more: what was read is known to be right, and must be looked at again when it comes from the disk.
        await all_hits(session, process.url, sizes)
        hit = damage(tmp_path / "cache", rng, of_records=of_records, of_bytes=of_bytes)
        refetched = 0
        for path in rng.choices(list(sizes), k=READS):
            content, is_a_hit = await whole(session, process.url + path, sizes[path])
            assert content == generated(path, 0, sizes[path])
            refetched += not is_a_hit
        assert 0 < refetched <= hit
        await process.stop()
    # What was answered from memory all the time has its damage in front of it.
    async with edge(origin, tmp_path / "cache") as process, client() as session:
        await all_right(session, process.url, sizes)
        await all_hits(session, process.url, sizes)


async def all_right(session: aiohttp.ClientSession, url: str, sizes: dict[str, int]) -> None:
    for path, size in sizes.items():
        content, _ = await whole(session, url + path, size)
        assert content == generated(path, 0, size)


async def all_hits(session: aiohttp.ClientSession, url: str, sizes: dict[str, int]) -> None:
    for path, size in sizes.items():
        content, is_a_hit = await whole(session, url + path, size)
        assert (content == generated(path, 0, size), is_a_hit) == (True, True), path


@pytest.mark.slow
async def test_a_deleted_cache_directory_is_said_and_made_again(origin, tmp_path):
    sizes = {f"/bytes/before-{number}": 100_000 for number in range(10)}
    admin = f"127.0.0.1:{free_port()}"
    async with edge(origin, tmp_path / "cache") as process, client() as session:
        await all_right(session, process.url, sizes)
        await process.stop()
    async with edge(origin, tmp_path / "cache", "--memory", "1MiB", "--admin", admin) as process, client() as session:
        await all_hits(session, process.url, sizes)
        shutil.rmtree(tmp_path / "cache")
        numbers = count()

        async def is_ready() -> bool:
            """Store one more, and return whether the node says that it can."""
            path = f"/bytes/meanwhile-{next(numbers)}"
            content, _ = await whole(session, process.url + path, 100_000)
            assert content == generated(path, 0, 100_000)
            async with session.get(f"http://{admin}/readyz", headers={"Host": admin}) as response:
                return not (await response.json())["reasons"]

        async with asyncio.timeout(60):
            while await is_ready():
                pass
        await all_hits(session, process.url, sizes)
        async with asyncio.timeout(60):
            # It is ready to try again long before it can.
            while not (await is_ready() and (tmp_path / "cache" / "segments").exists() and await is_ready()):
                pass
        after = {f"/bytes/after-{number}": 100_000 for number in range(10)}
        await all_right(session, process.url, after)
        await all_hits(session, process.url, after)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
