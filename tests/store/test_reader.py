"""Reading, from disks that lie or make one wait."""

import errno
import os
import random

import pytest

from edge.errors import StoreDamaged
from edge.store.record import HEADER_SIZE
from edge.store.segment_header import FIRST
from tests.store.keeping import MIB, a_disk, content_of, content_or_none, flip, keep, read_all

LENGTHS = {b"key %d" % number: length for number, length in enumerate((1, 5000, 70_000, 300_000, 2 * MIB + 5) * 3)}


@pytest.fixture
async def filled(tmp_path):
    """A node directory, left cleanly, with contents of all sizes."""
    async with a_disk(tmp_path) as disk:
        for key, length in LENGTHS.items():
            await keep(disk, key, length)
    return tmp_path


@pytest.mark.parametrize("seed", range(6))
async def test_never_a_wrong_byte_whatever_bit_is_flipped(filled, seed):
    rng = random.Random(seed)
    async with a_disk(filled) as disk:
        used = {segment.path: segment.tail for segment in disk._segments}
    for path in rng.choices(list(used), k=30):
        flip(path, rng.randrange(FIRST, used[path]), rng.randrange(8))
    async with a_disk(filled) as disk:
        answers = {key: await content_or_none(disk, key) for key in LENGTHS}
        assert all(answer in {None, content_of(key, LENGTHS[key])} for key, answer in answers.items())
        lost = [key for key, answer in answers.items() if answer is None]
        assert 0 < len(lost) <= disk.stats().damaged
        # What was found damaged is not asked for again.
        assert [await disk.lookup(key) for key in lost] == [()] * len(lost)
    async with a_disk(filled) as disk:
        assert {key for key in LENGTHS if not await disk.lookup(key)} == set(lost)
        assert disk.stats().damaged == 0


async def test_bits_flipped_while_the_store_is_open_are_found_on_the_first_read(filled):
    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 4")
        for segment in disk._segments:
            for offset, header in segment.headers(FIRST, segment.tail):
                if header.generation == stored.generation and header.length == MIB:
                    flip(segment.path, offset + HEADER_SIZE + 500_000, 3)
        with pytest.raises(StoreDamaged):
            await read_all(disk.open(stored, 0, 10))
        assert await disk.lookup(b"key 4") == ()


async def test_what_comes_from_the_disk_again_is_checked_again(filled, monkeypatch):
    """A long chunk was right when it was first read, has left the page cache, and the medium has changed since."""
    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 4")
        assert await read_all(disk.open(stored, 0, stored.complete_length)) == content_of(b"key 4", 2 * MIB + 5)
        source = disk.open(stored, 0, stored.complete_length)
        assert await source.read() == content_of(b"key 4", 2 * MIB + 5)[: 64 << 10]
        for segment in disk._segments:
            for offset, header in segment.headers(FIRST, segment.tail):
                if header.generation == stored.generation and header.length == MIB:
                    flip(segment.path, offset + HEADER_SIZE + 500_000, 3)

        def preadv(*_):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        monkeypatch.setattr(os, "preadv", preadv)
        with pytest.raises(StoreDamaged):
            await source.read()
        assert (await disk.lookup(b"key 4"), disk.stats().damaged) == ((), 1)


async def test_little_is_read_first_and_much_then(filled):
    """Whoever opens many sources and reads on from few has little in memory."""
    content = content_of(b"key 4", 2 * MIB + 5)
    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 4")
        source = disk.open(stored, 0, len(content))
        pieces = [await source.read() for _ in range(4)]
        assert [len(piece) for piece in pieces] == [64 << 10, MIB - (64 << 10), MIB, 5]
        assert b"".join(pieces) == content


async def test_a_part_does_not_keep_the_chunk_it_was_checked_with(filled):
    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 4")
        piece = await disk.open(stored, 0, 64 << 10).read()
        assert piece == content_of(b"key 4", 64 << 10)
        assert len(memoryview(piece).obj) == 64 << 10


async def test_what_is_read_again_and_again_is_read_from_the_disk_once(filled):
    content = content_of(b"key 4", 2 * MIB + 5)
    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 4")
        buffers = []
        for _ in range(4):
            source = disk.open(stored, 0, len(content))
            pieces = [await source.read() for _ in range(4)]
            assert b"".join(pieces) == content
            buffers.append(memoryview(pieces[2]).obj)
            del pieces
        assert buffers[2] is buffers[3]


async def test_many_slow_clients_each_get_their_own_octets(filled):
    content = content_of(b"key 4", 2 * MIB + 5)
    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 4")
        assert await read_all(disk.open(stored, 0, len(content))) == content
        starts = range(0, MIB, 15_000)
        sources = [disk.open(stored, start, len(content)) for start in starts]
        read = [[await source.read(), await source.read()] for source in sources]
        assert {len(pieces[1]) for pieces in read} > {256 << 10}, "some of them hold a large buffer, some do not"
        for pieces, source in zip(read, sources, strict=True):
            while piece := await source.read():
                pieces.append(piece)
        assert [b"".join(pieces) for pieces in read] == [content[start:] for start in starts]


async def test_what_several_readers_find_damaged_is_counted_once(filled):
    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 1")
        sources = [disk.open(stored, 0, 5000) for _ in range(3)]
        for segment in disk._segments:
            os.truncate(segment.path, FIRST)
        for source in sources:
            with pytest.raises(StoreDamaged):
                await source.read()
        assert disk.stats().damaged == 1


async def test_what_was_evicted_meanwhile_is_no_damage(filled):
    async with a_disk(filled, quota=24 * MIB, memory=MIB) as disk:
        (stored,) = await disk.lookup(b"key 1")
        for number in range(300):
            await keep(disk, b"flood %d" % number, 100_000)
        await disk.flush()
        with pytest.raises(StoreDamaged):
            await disk.open(stored, 0, 5000).read()
        assert (await disk.lookup(b"key 1"), disk.stats().damaged) == ((), 0)


async def test_contents_that_were_swapped_are_noticed(filled):
    async with a_disk(filled) as disk:
        places = {}
        for segment in disk._segments:
            for offset, header in segment.headers(FIRST, segment.tail):
                if header.length == 5000:
                    places[header.generation] = (segment.path, offset, header.size)
        (one, at, size), (two, there, _) = list(places.values())[:2]
        raw = one.read_bytes()[at : at + size]
        other = two.read_bytes()[there : there + size]
        for path, offset, record in ((one, at, other), (two, there, raw)):
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(record)
        answers = [await content_or_none(disk, key) for key in (b"key 1", b"key 6", b"key 11")]
        assert sorted(answer is None for answer in answers) == [False, True, True]


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(errno.EAGAIN, id="the disk must be waited for"),
        pytest.param(errno.EOPNOTSUPP, id="the file system does not know the flag"),
    ],
)
async def test_reading_goes_through_a_thread(filled, monkeypatch, refusal):
    def preadv(*_):
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "preadv", preadv)
    async with a_disk(filled) as disk:
        for _ in range(2):
            for key, length in LENGTHS.items():
                assert await content_or_none(disk, key) == content_of(key, length)


async def test_an_input_output_error_is_damage(filled, monkeypatch):
    def preadv(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with a_disk(filled) as disk:
        (stored,) = await disk.lookup(b"key 1")
        monkeypatch.setattr(os, "preadv", preadv)
        with pytest.raises(StoreDamaged):
            await disk.open(stored, 0, 5000).read()
        assert await disk.lookup(b"key 1") == ()
        assert await disk.lookup(b"key 2") == ()


async def test_a_segment_that_is_cut_short_under_a_running_node_is_damage(filled):
    async with a_disk(filled) as disk:
        for segment in disk._segments:
            os.truncate(segment.path, FIRST)
        assert [await content_or_none(disk, key) for key in LENGTHS] == [None] * len(LENGTHS)


async def test_segments_that_are_deleted_under_a_running_node_stay_readable(filled):
    async with a_disk(filled) as disk:
        for segment in disk._segments:
            segment.path.unlink()
        for key, length in LENGTHS.items():
            assert await content_or_none(disk, key) == content_of(key, length)
    async with a_disk(filled) as disk:
        assert [await disk.lookup(key) for key in LENGTHS] == [()] * len(LENGTHS)
        await keep(disk, b"new", 1000)
        await disk.flush()
        assert await content_or_none(disk, b"new") == content_of(b"new", 1000)
