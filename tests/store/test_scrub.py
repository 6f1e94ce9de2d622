"""Damage is found before a client asks."""

import pytest

from edge.store.record import HEADER_SIZE, key_hash
from tests.store.keeping import MIB, a_disk, content_of, content_or_none, flip, keep

LENGTHS = {b"key %d" % number: number * 70_001 % 1_300_000 for number in range(30)}


@pytest.fixture
async def disk(tmp_path):
    async with a_disk(tmp_path) as disk:
        for key, length in LENGTHS.items():
            await keep(disk, key, length)
        await disk.flush()
        yield disk


async def test_what_is_whole_is_read_whole_and_let_be(disk):
    await disk.scrub()
    assert disk.stats().damaged == 0
    once = disk.stats().scrubbed_bytes
    assert once > sum(LENGTHS.values())
    await disk._scrub.round(1 << 40)
    assert disk.stats().scrubbed_bytes == 2 * once
    for key, length in LENGTHS.items():
        assert await content_or_none(disk, key) == content_of(key, length)


@pytest.mark.parametrize(
    ("what", "inside"),
    [
        pytest.param("head", 10, id="the header of a head"),
        pytest.param("head", HEADER_SIZE + 40, id="a head"),
        pytest.param("chunk", 10, id="the header of a chunk"),
        pytest.param("chunk", HEADER_SIZE + 500_000, id="the content of a chunk"),
    ],
)
async def test_what_is_damaged_is_found_and_cannot_be_any_more(disk, what, inside):
    key = b"key 15"
    (stored,) = await disk.lookup(key)
    assert stored.complete_length > MIB
    place = (
        disk._index.heads(key_hash(key))[0].place if what == "head" else disk._index.chunk(stored.generation, 0).place
    )
    flip(disk._segments.get(place.segment).path, place.offset + inside, 3)
    await disk.scrub()
    assert (await disk.lookup(key), disk.stats().damaged) == ((), 1)
    await keep(disk, key, 1000)
    await disk.scrub()
    assert (await content_or_none(disk, key), disk.stats().damaged) == (content_of(key, 1000), 1)


async def test_every_flipped_record_is_found_in_one_round(disk):
    places = {
        key: disk._index.chunk((await disk.lookup(key))[0].generation, 0).place for key in LENGTHS if LENGTHS[key]
    }
    damaged = list(places)[::3]
    for key in damaged:
        flip(disk._segments.get(places[key].segment).path, places[key].offset + places[key].length - 1, 7)
    await disk.scrub()
    assert disk.stats().damaged == len(damaged)
    for key, length in LENGTHS.items():
        assert await content_or_none(disk, key) == (None if key in damaged else content_of(key, length))


async def test_what_is_written_over_meanwhile_is_no_damage(tmp_path):
    async with a_disk(tmp_path, quota=16 * MIB) as disk:
        for number in range(60):
            await keep(disk, b"before %d" % number, 100_000)
        await disk.flush()
        records = disk._scrub._records()
        disk._scrub._step(records)
        for number in range(120):
            await keep(disk, b"after %d" % number, 200_000)
        await disk.flush()
        await disk.flush()
        while (step := disk._scrub._step(records)).cost:
            assert step.failed == []
