"""Content on its way into the store: parts, extending, following, giving up."""

import asyncio
from dataclasses import replace

import pytest

from edge.caching.partial import merged
from edge.errors import StoreDamaged, StoreError, StoreFull
from tests.store.keeping import MIB, a_disk, a_stored, content_of, keep, read_all

KEY = b"key"
LENGTH = 3 * MIB + 12_345
CONTENT = content_of(KEY, LENGTH)


async def keep_part(disk, start: int, end: int, extends=None):
    """Store the octets [start, end) of the content."""
    writer = await disk.writer(KEY, length=end - start, extends=extends, start=start)
    for first in range(start, end, 70_000):
        await writer.write(CONTENT[first : min(first + 70_000, end)])
    ranges = merged(extends.ranges if extends is not None else (), (start, end))
    stored = a_stored(KEY, writer.generation, LENGTH, ranges=ranges)
    await writer.commit(stored)
    return stored


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (1, 2), (MIB - 1, MIB), (MIB - 1, MIB + 1), (500_000, 2_600_000), (LENGTH - 5, LENGTH)],
)
async def test_a_part_begins_and_ends_anywhere(tmp_path, start, end, flushed):
    async with a_disk(tmp_path) as disk:
        part = await keep_part(disk, start, end)
        if flushed:
            await disk.flush()
        assert await disk.lookup(KEY) == (part,)
        assert await read_all(disk.open(part, start, end)) == CONTENT[start:end]


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(0, 300_000), (300_000, LENGTH)], id="the rest behind"),
        pytest.param([(2_000_000, LENGTH), (0, 2_000_000)], id="the rest before"),
        pytest.param([(0, 10), (MIB, 2 * MIB), (10, MIB), (2 * MIB, LENGTH)], id="gap by gap"),
        pytest.param([(100, 200), (300, 400), (0, LENGTH)], id="over what is held already"),
    ],
)
async def test_a_part_is_extended_to_the_whole(tmp_path, parts, flushed):
    async with a_disk(tmp_path) as disk:
        stored = None
        for start, end in parts:
            stored = await keep_part(disk, start, end, stored)
            if flushed:
                await disk.flush()
        whole = replace(stored, ranges=((0, LENGTH),))
        disk.put(whole)
        assert await read_all(disk.open(whole, 0, LENGTH)) == CONTENT
    async with a_disk(tmp_path) as disk:
        assert await disk.lookup(KEY) == (whole,)
        assert await read_all(disk.open(whole, 0, LENGTH)) == CONTENT


async def test_octets_that_are_held_are_never_replaced(tmp_path):
    async with a_disk(tmp_path) as disk:
        part = await keep_part(disk, 1000, 2000)
        writer = await disk.writer(KEY, length=3000, extends=part, start=0)
        await writer.write(b"x" * 3000)
        await writer.commit(replace(part, ranges=((0, 3000),)))
        await disk.flush()
        expected = b"x" * 1000 + CONTENT[1000:2000] + b"x" * 1000
        assert await read_all(disk.open(part, 0, 3000)) == expected


@pytest.mark.parametrize("flushed", [True, False])
async def test_an_extension_that_is_given_up_leaves_the_part_as_it_was(tmp_path, flushed):
    async with a_disk(tmp_path) as disk:
        part = await keep_part(disk, 0, 1000)
        writer = await disk.writer(KEY, length=2 * MIB, extends=part, start=1000)
        await writer.write(b"wrong" * 300_000)
        if flushed:
            await disk.flush()
        writer.abort()
        part = await keep_part(disk, 900, LENGTH, part)
        await disk.flush()
        assert await read_all(disk.open(part, 0, LENGTH)) == CONTENT


async def test_one_extends_at_a_time(tmp_path):
    async with a_disk(tmp_path) as disk:
        part = await keep_part(disk, 0, 1000)
        await disk.flush()
        first = await disk.writer(KEY, length=None, extends=part, start=1000)
        with pytest.raises(StoreFull):
            await disk.writer(KEY, length=None, extends=part, start=5000)
        first.abort()
        (await disk.writer(KEY, length=None, extends=part, start=5000)).abort()


async def test_extending_what_was_removed_meanwhile_fails(tmp_path):
    async with a_disk(tmp_path) as disk:
        part = await keep_part(disk, 0, 1000)
        writer = await disk.writer(KEY, length=None, extends=part, start=1000)
        await writer.write(CONTENT[1000:2000])
        await disk.remove(KEY)
        with pytest.raises(StoreError):
            await writer.commit(replace(part, ranges=((0, 2000),)))
        assert await disk.lookup(KEY) == ()


async def test_followers_read_what_has_been_written_so_far(tmp_path):
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(KEY, length=LENGTH)
        written = 0
        early, read = writer.open(0, LENGTH), b""
        while written < LENGTH:
            piece = CONTENT[written : written + 150_000]
            await writer.write(piece)
            written += len(piece)
            while len(read) < written:
                read += await early.read()
            assert await read_all(writer.open(written // 2, written)) == CONTENT[written // 2 : written]
            if written % 450_000 == 0:
                await disk.flush()
        await writer.commit(a_stored(KEY, writer.generation, LENGTH))
        assert read == CONTENT
        assert await early.read() == b""
        assert await read_all(writer.open(0, LENGTH)) == CONTENT


@pytest.mark.parametrize("flushed", [True, False])
async def test_who_follows_a_fill_that_is_given_up_reads_on(tmp_path, flushed):
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(KEY, length=None)
        await writer.write(CONTENT[:1_500_000])
        source = writer.open(0, 1_500_000)
        read = await source.read()
        writer.abort()
        writer.abort()
        if flushed:
            await disk.flush()
        while piece := await source.read():
            read += piece
        # The next source is opened when the last one ended, without a moment between.
        again = writer.open(0, 1_500_000)
        assert read == await read_all(again) == CONTENT[:1_500_000]
        await asyncio.sleep(0)
        await disk.flush()
        with pytest.raises(StoreDamaged):
            await writer.open(0, 1_500_000).read()
        with pytest.raises(StoreError):
            await writer.write(b"more")
        assert await disk.lookup(KEY) == ()
        await disk.flush()
        with disk._index.reading() as transaction:
            assert list(disk._index.generations(transaction)) == []


async def test_what_nobody_wrote_is_damaged(tmp_path):
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(KEY, length=None)
        await writer.write(b"some")
        source = writer.open(0, 10)
        assert await source.read() == b"some"
        with pytest.raises(StoreDamaged):
            await source.read()
        writer.abort()


async def test_a_head_says_no_more_than_was_written(tmp_path):
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(KEY, length=None)
        await writer.write(CONTENT[:1000])
        await writer.commit(a_stored(KEY, writer.generation, LENGTH))
        await disk.flush()
        (stored,) = await disk.lookup(KEY)
        assert stored.ranges == ((0, 1000),)
        writer = await disk.writer(b"nothing", length=None)
        await writer.commit(a_stored(b"nothing", writer.generation, LENGTH))
        await disk.flush()
        assert await disk.lookup(b"nothing") == ()


async def test_a_replaced_response_can_be_extended_no_more(tmp_path):
    async with a_disk(tmp_path) as disk:
        part = await keep_part(disk, 0, 1000)
        writer = await disk.writer(KEY, length=None, extends=part, start=1000)
        await writer.write(CONTENT[1000:2000])
        new = await keep(disk, KEY, 500)
        await disk.flush()
        with pytest.raises(StoreError):
            await writer.commit(replace(part, ranges=((0, 2000),)))
        await disk.flush()
        assert await disk.lookup(KEY) == (new,)
        assert await read_all(disk.open(new, 0, 500)) == CONTENT[:500]
