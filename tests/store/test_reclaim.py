"""What of a segment is worth writing again."""

import itertools

from tests.store.keeping import MIB, a_disk, content_of, content_or_none, keep


async def test_what_is_read_again_and_again_outlives_a_flood(tmp_path):
    async with a_disk(tmp_path, quota=16 * MIB) as disk:
        await keep(disk, b"hot", 50_000)
        await keep(disk, b"cold", 50_000)
        for number in range(1500):
            await keep(disk, b"flood %d" % number, 20_000)
            if number % 20 == 0:
                await disk.flush()
                assert await content_or_none(disk, b"hot") == content_of(b"hot", 50_000)
        assert await content_or_none(disk, b"cold") is None
        assert disk.stats().evictions > 1000
        assert disk.stats().damaged == 0


async def test_a_hot_content_in_memory_is_kept_on_disk_too(tmp_path):
    async with a_disk(tmp_path, quota=16 * MIB, memory=4 * MIB) as disk:
        await keep(disk, b"hot", 5_000)
        for number in range(1500):
            await keep(disk, b"flood %d" % number, 20_000)
            if number % 20 == 0:
                await disk.flush()
            assert await content_or_none(disk, b"hot") == content_of(b"hot", 5_000)
    async with a_disk(tmp_path, quota=16 * MIB) as disk:
        assert await content_or_none(disk, b"hot") == content_of(b"hot", 5_000)


async def test_a_large_content_loses_only_what_nobody_reads(tmp_path):
    """Its head says afterwards what is left of it."""
    length = 5 * MIB
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"large", length)
        numbers = itertools.count()
        while stored.is_complete:
            for number in itertools.islice(numbers, 40):
                await keep(disk, b"flood %d" % number, 100_000)
            await disk.flush()
            source = disk.open(stored, 2 * MIB, 2 * MIB + 1)
            assert await source.read() == content_of(b"large", length)[2 * MIB : 2 * MIB + 1]
            source.close()
            (stored,) = await disk.lookup(b"large")
        assert stored.holds(2 * MIB, 3 * MIB)
        for first, last in stored.ranges:
            source, content = disk.open(stored, first, last), b""
            while piece := await source.read():
                content += piece
            assert content == content_of(b"large", length)[first:last]
        assert disk.stats().damaged == 0


async def test_a_fill_in_progress_is_not_reclaimed_from_under_its_writer(tmp_path):
    async with a_disk(tmp_path, quota=16 * MIB) as disk:
        content = content_of(b"slow", 300_000)
        writer = await disk.writer(b"slow", length=None, start=MIB - 100_000)
        await writer.write(content[:200_000])
        for number in range(1500):
            await keep(disk, b"flood %d" % number, 20_000)
            if number % 20 == 0:
                await disk.flush()
        await writer.write(content[200_000:])
        source = writer.open(MIB - 100_000, MIB + 200_000)
        read = b""
        while piece := await source.read():
            read += piece
        assert read == content
        writer.abort()
