"""Content that is not admitted."""

import pytest

from edge.errors import StoreDamaged, StoreFull
from edge.store.disk import Disk
from edge.store.fill import Fill
from edge.store.passing import Allowance, Passing
from edge.testing.clock import ManualClock
from tests.store.keeping import MIB, a_stored, content_of, content_or_none, keep, read_all

LENGTH = 700_000
CONTENT = content_of(b"key", LENGTH)


async def written(allowance: Allowance, start: int = 0) -> Passing:
    writer = Passing(allowance, start)
    for first in range(0, LENGTH, 100_000):
        await writer.write(CONTENT[first : first + 100_000])
    return writer


@pytest.mark.parametrize("start", [0, 5_000_000])
async def test_who_follows_reads_it_even_after_the_commit_that_fails(start):
    writer = await written(Allowance(MIB), start)
    early = writer.open(start, start + LENGTH)
    with pytest.raises(StoreFull):
        await writer.commit(a_stored(b"key", writer.generation, LENGTH))
    assert await read_all(writer.open(start + 7, start + LENGTH)) == CONTENT[7:]
    writer.abort()
    assert await early.read() + await read_all(early) == CONTENT
    assert await early.read() == b""


@pytest.mark.parametrize("start", [999, 1000 + LENGTH])
async def test_what_was_not_written_is_damaged(start):
    writer = await written(Allowance(MIB), 1000)
    with pytest.raises(StoreDamaged):
        await writer.open(start, start + 1).read()


async def test_memory_is_bounded_and_given_back():
    allowance = Allowance(MIB)
    first, second = await written(allowance), Passing(allowance, 0)
    with pytest.raises(StoreFull):
        await second.write(bytes(400_000))
    assert await read_all(first.open(0, LENGTH)) == CONTENT
    for writer in (first, first, second):
        writer.abort()
    assert allowance.left == MIB
    await second.write(bytes(400_000))


async def test_under_pressure_a_large_content_is_written_on_its_second_request(tmp_path):
    clock = ManualClock()
    disk = await Disk.start(tmp_path, quota=16 * MIB, memory=0, clock=clock, min_age=3600.0)
    try:
        await keep(disk, b"known", LENGTH)
        for number in range(20):
            await keep(disk, b"flood %d" % number, LENGTH)
        with pytest.raises(StoreFull):
            await keep(disk, b"once", LENGTH)
        assert await content_or_none(disk, b"once") is None
        assert disk.stats().refusals == 1
        await keep(disk, b"once", LENGTH)
        assert await content_or_none(disk, b"once") == content_of(b"once", LENGTH)
        await keep(disk, b"small", 5_000)
        clock.advance(3600.0)
        assert isinstance(await disk.writer(b"later", length=LENGTH), Fill)
    finally:
        await disk.close()


async def test_under_pressure_what_is_stored_is_replaced_at_once(tmp_path):
    disk = await Disk.start(tmp_path, quota=16 * MIB, memory=0, clock=ManualClock(), min_age=3600.0)
    try:
        for number in range(60):
            await keep(disk, b"small %d" % number, 60_000)
            await (await disk.writer(b"asked for", length=LENGTH)).write(b"")
        await keep(disk, b"small 59", LENGTH)
        assert disk.stats().refusals == 0
    finally:
        await disk.close()
