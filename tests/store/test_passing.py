"""Content that is not admitted."""

import asyncio

import pytest

from edge.errors import NotAdmitted, StoreDamaged
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Sites
from edge.policy.admission import ALWAYS
from edge.store.disk import Disk
from edge.store.fill import Fill
from edge.store.passing import Allowance, Passing
from edge.store.settings import Settings
from edge.tasks import alive
from edge.testing.clock import ManualClock
from edge.testing.upstream import Answer
from tests.exchange.world import FRESH, World
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
    with pytest.raises(NotAdmitted):
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
    with pytest.raises(NotAdmitted):
        await second.write(bytes(400_000))
    assert await read_all(first.open(0, LENGTH)) == CONTENT
    for writer in (first, first, second):
        writer.abort()
    assert allowance.left == MIB
    await second.write(bytes(400_000))


async def press(disk: Disk) -> None:
    """Write the disk over once, with contents that are always admitted."""
    for number in range(disk.stats().quota // ALWAYS):
        await keep(disk, b"small %d" % number, ALWAYS)
    await disk.flush()


async def test_under_pressure_a_large_content_is_written_on_its_second_request(tmp_path):
    clock = ManualClock()
    disk = await Disk.start(tmp_path, Settings(quota=16 * MIB, memory=0, min_age=3600.0), clock)
    try:
        await press(disk)
        with pytest.raises(NotAdmitted):
            await keep(disk, b"once", LENGTH)
        assert await content_or_none(disk, b"once") is None
        assert disk.stats().refusals == 1
        await keep(disk, b"once", LENGTH)
        assert await content_or_none(disk, b"once") == content_of(b"once", LENGTH)
        clock.advance(3600.0)
        assert isinstance(await disk.writer(b"later", length=LENGTH), Fill)
    finally:
        await disk.close()


async def test_a_first_visitor_of_a_cache_that_has_room_is_never_refused(tmp_path):
    """However much was offered before: what was given up takes no room."""
    disk = await Disk.start(tmp_path, Settings(quota=16 * MIB, memory=0, min_age=3600.0), ManualClock())
    try:
        for number in range(20):
            (await disk.writer(b"given up %d" % number, length=6 * MIB)).abort()
        for number in range(8):
            await keep(disk, b"first %d" % number, LENGTH)
        assert disk.stats().refusals == 0
    finally:
        await disk.close()


async def test_under_pressure_what_is_stored_is_replaced_at_once(tmp_path):
    disk = await Disk.start(tmp_path, Settings(quota=16 * MIB, memory=0, min_age=3600.0), ManualClock())
    try:
        await press(disk)
        await keep(disk, b"small 511", LENGTH)
        assert disk.stats().refusals == 0
    finally:
        await disk.close()


@pytest.mark.parametrize(
    "length",
    [
        pytest.param(3 * MIB, id="what memory holds for as long as it is followed"),
        pytest.param(20 * MIB, id="more than memory holds"),
    ],
)
async def test_requests_for_what_is_not_admitted_are_collapsed_and_the_next_one_stores_it(tmp_path, length):
    world, content = World(), content_of(b"large", length)
    disk = await Disk.start(tmp_path, Settings(quota=64 * MIB, memory=0, min_age=3600.0), world.clock)
    try:
        await press(disk)
        context = Context(disk, {"main": world.upstream}, world.telemetry, world.clock, b"edge")
        world.driver = Driver(Sites([world.site]), context)
        refused = disk.stats().refusals
        arrived = asyncio.Event()
        pieces = [content[first : first + MIB] for first in range(0, length, MIB)]
        world.upstream.answers(Answer(fields=[FRESH], content=pieces, head_after=arrived))
        async with asyncio.TaskGroup() as group:
            gets = [group.create_task(world.get()) for _ in range(3)]
            group.create_task(arrive(arrived, world))
        assert [get.result().content == content for get in gets] == [True] * 3
        assert "detail=not-admitted" in gets[0].result().cache_status
        assert "stored" not in gets[0].result().cache_status
        await settled()
        assert (len(world.asked), disk.stats().refusals - refused, disk._passing.left) == (1, 1, 16 * MIB)
        world.upstream.answers(Answer(fields=[FRESH], content=pieces))
        assert (await world.get()).cache_status.startswith("fwd=uri-miss")
        await settled()
        assert (await world.get()).cache_status.startswith("hit")
    finally:
        await disk.close()


async def arrive(arrived: asyncio.Event, world: World) -> None:
    """Let the origin answer once it was asked."""
    while not world.asked:
        await asyncio.sleep(0)
    arrived.set()


async def settled() -> None:
    """Wait until nothing is in the background but what the disk does for itself."""
    while alive() > 2:
        await asyncio.sleep(0)
