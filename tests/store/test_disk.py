"""The store as the exchange sees it."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged, StoreError, StoreFull
from edge.policy.admission import ALWAYS
from edge.ports import Store, Writer
from edge.semantics.fields import FieldSection
from edge.store.disk import Disk
from edge.store.memory import SMALL, Known
from edge.store.record import HEADER_SIZE, Kind, key_hash
from edge.store.segment_header import FIRST
from edge.store.settings import Settings
from edge.tasks import spawn
from edge.testing.clock import ManualClock
from tests.store.keeping import MIB, a_disk, a_stored, content_of, content_or_none, directory_size, flip, keep, read_all

LENGTHS = [0, 1, 1000, SMALL, SMALL + 1, 300_000, MIB, MIB + 1, 5 * MIB]


def as_ports(disk: Disk, writer: Writer) -> tuple[Store, Writer]:
    """Checked by the type checker: the store and its writers are what the exchange asks for."""
    return disk, writer


async def write_for_ever(writer: Writer) -> None:
    while True:
        await writer.write(bytes(MIB))


@pytest.mark.parametrize("memory", [0, 4 * MIB], ids=["disk", "memory"])
@pytest.mark.parametrize("length", LENGTHS)
async def test_what_is_stored_comes_back_at_once_and_once_written_and_after_a_restart(tmp_path, length, memory):
    async with a_disk(tmp_path, memory=memory) as disk:
        stored = await keep(disk, b"key", length)
        assert await disk.lookup(b"key") == (stored,)
        assert await content_or_none(disk, b"key") == content_of(b"key", length)
        await disk.flush()
        assert await content_or_none(disk, b"key") == content_of(b"key", length)
    async with a_disk(tmp_path, memory=memory) as disk:
        for _ in range(2):
            assert await disk.lookup(b"key") == (stored,)
            assert await content_or_none(disk, b"key") == content_of(b"key", length)
        assert await disk.lookup(b"another key") == ()
        assert (disk.stats().objects, disk.stats().damaged) == (1, 0)


@pytest.mark.parametrize("length", [10, SMALL])
async def test_a_small_content_is_one_piece(tmp_path, length):
    async with a_disk(tmp_path, memory=MIB) as disk:
        stored = await keep(disk, b"key", length)
        await disk.flush()
        for _ in range(2):
            assert await disk.open(stored, 0, length).read() == content_of(b"key", length)
            disk._memory.drop(stored.generation)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (5, 5), (MIB - 1, MIB + 1), (300_000, 2_500_000), (3 * MIB - 7, 3 * MIB), (0, 3 * MIB)],
)
async def test_any_octets_of_a_large_content(tmp_path, start, end):
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", 3 * MIB)
        await disk.flush()
        for _ in range(2):
            assert await read_all(disk.open(stored, start, end)) == content_of(b"key", 3 * MIB)[start:end]


async def test_variants_of_a_key_coexist_the_most_recent_first(tmp_path):
    async with a_disk(tmp_path) as disk:
        english = await keep(disk, b"key", 10, nominated=((b"accept-language", b"en"),), response_time=2000.0)
        german = await keep(disk, b"key", 10, nominated=((b"accept-language", b"de"),), response_time=1000.0)
        assert await disk.lookup(b"key") == (english, german)
        await disk.flush()
        assert await disk.lookup(b"key") == (english, german)


async def test_a_variant_that_is_written_is_found_while_another_waits(tmp_path):
    async with a_disk(tmp_path) as disk:
        first = await keep(disk, b"key", 10, nominated=((b"accept-language", b"en"),))
        writing = spawn(disk.flush(), name="flush")
        await asyncio.sleep(0)
        second = await keep(disk, b"key", 10, nominated=((b"accept-language", b"de"),), response_time=2000.0)
        await writing
        assert await disk.lookup(b"key") == (second, first)
        await disk.flush()
        assert await disk.lookup(b"key") == (second, first)


async def test_a_new_response_replaces_its_variant_and_its_content_goes(tmp_path):
    async with a_disk(tmp_path) as disk:
        other = await keep(disk, b"key", 20, nominated=((b"accept", b"a"),))
        old = await keep(disk, b"key", 300_000)
        await disk.flush()
        source = disk.open(old, 0, 300_000)
        first = await source.read()
        new = await keep(disk, b"key", 1000)
        assert set(await disk.lookup(b"key")) == {new, other}
        await disk.flush()
        assert set(await disk.lookup(b"key")) == {new, other}
        # Whoever began to read it can read it to its end.
        assert bytes(first) + await read_all(source) == content_of(b"key", 300_000)
        await asyncio.sleep(0)
        await disk.flush()
        with pytest.raises(StoreDamaged):
            await read_all(disk.open(old, 0, 300_000))
        assert await content_or_none(disk, b"key") is not None


async def test_put_replaces_the_head_alone(tmp_path):
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", 5000)
        freshened = stored.with_fields(FieldSection([(b"age", b"0")]))
        disk.put(freshened)
        assert await disk.lookup(b"key") == (freshened,)
        await disk.flush()
        disk.put(stored)
        await disk.flush()
        disk.put(freshened)
    async with a_disk(tmp_path) as disk:
        assert await disk.lookup(b"key") == (freshened,)
        assert await content_or_none(disk, b"key") == content_of(b"key", 5000)


async def test_put_of_what_is_gone_is_an_error(tmp_path):
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", 10)
        assert await disk.remove(b"key") == 1
        with pytest.raises(StoreError):
            disk.put(stored)
        assert await disk.lookup(b"key") == ()


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("alone", [True, False])
async def test_what_is_removed_is_not_found(tmp_path, alone, flushed):
    async with a_disk(tmp_path, memory=MIB) as disk:
        one = await keep(disk, b"key", 10)
        two = await keep(disk, b"key", 10, nominated=((b"accept", b"a"),))
        if flushed:
            await disk.flush()
        assert len(await disk.lookup(b"key")) == 2
        assert await disk.remove(b"key", one.generation if alone else None) == (1 if alone else 2)
        assert await disk.lookup(b"key") == ((two,) if alone else ())
        assert await disk.remove(b"key", one.generation) == 0
    async with a_disk(tmp_path) as disk:
        assert await disk.lookup(b"key") == ((two,) if alone else ())
        assert await disk.remove(b"unheard of") == 0


async def test_a_fill_that_cannot_be_expressed_is_not_stored(tmp_path):
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(b"key", length=None)
        with pytest.raises(StoreError):
            await writer.commit(a_stored(b"key", writer.generation, fields=FieldSection([(b"a", b"b\r\nc: d")])))
        assert await disk.lookup(b"key") == ()


async def test_a_key_with_the_hash_of_another_is_not_found(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.store.disk.key_hash", lambda _: bytes(16))
    async with a_disk(tmp_path, memory=MIB) as disk:
        await keep(disk, b"key", 10)
        assert await disk.lookup(b"another") == ()
        assert len(await disk.lookup(b"key")) == 1
        assert await disk.lookup(b"another") == ()


@pytest.mark.parametrize("length", [10, 3000, 60_000, 900_000])
async def test_the_quota_holds_under_a_flood_of_single_keys(tmp_path, length):
    quota = 16 * MIB
    async with a_disk(tmp_path, quota=quota, memory=MIB) as disk:
        for number in range(min(60 * MIB // (length + 3000), 8000)):
            await keep(disk, b"key %d" % number, length)
            if number % 50 == 0:
                await disk.flush()
                assert directory_size(tmp_path) <= quota
        await disk.flush()
        assert directory_size(tmp_path) <= quota
        stats = disk.stats()
        assert stats.disk_bytes <= quota
        assert stats.memory_bytes <= MIB
        assert (stats.damaged, stats.write_errors) == (0, 0)
        assert await content_or_none(disk, b"key %d" % number) == content_of(b"key %d" % number, length)


async def test_a_content_over_the_quota_is_refused(tmp_path):
    async with a_disk(tmp_path, quota=16 * MIB) as disk:
        with pytest.raises(StoreFull):
            await disk.writer(b"key", length=20 * MIB)
        writer = await disk.writer(b"key", length=None)
        with pytest.raises(StoreFull):
            await write_for_ever(writer)
        writer.abort()
        await keep(disk, b"small", 1000)
        await disk.flush()
        assert await content_or_none(disk, b"small") == content_of(b"small", 1000)


async def test_a_smaller_quota_frees_the_oldest(tmp_path):
    async with a_disk(tmp_path, quota=64 * MIB) as disk:
        for number in range(40):
            await keep(disk, b"key %d" % number, MIB)
    async with a_disk(tmp_path, quota=16 * MIB) as disk:
        assert directory_size(tmp_path) <= 16 * MIB
        kept = [number for number in range(40) if await content_or_none(disk, b"key %d" % number) is not None]
        assert kept == list(range(kept[0], 40))
        assert len(kept) > 3


async def test_a_second_opener_is_refused(tmp_path):
    async with a_disk(tmp_path):
        script = "from tests.store.keeping import *; import asyncio, pathlib, sys\n"
        script += "asyncio.run(Disk.start(pathlib.Path(sys.argv[1]), Settings(quota=1 << 25, memory=0), ManualClock()))"
        second = subprocess.run(
            [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False
        )  # fmt: skip
        assert f"is in use by process {os.getpid()}" in second.stderr
        with pytest.raises(StoreError, match="in use"):
            await Disk.start(tmp_path, Settings(quota=16 * MIB, memory=0), ManualClock())


async def test_a_store_that_is_closed_takes_and_gives_nothing(tmp_path):
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", 3 * MIB)
        await disk.flush()
        source = disk.open(stored, 0, 3 * MIB)
        await source.read()
    await disk.close()
    with pytest.raises(StoreFull):
        await disk.writer(b"key", length=None)
    with pytest.raises(StoreFull):
        disk.put(stored)
    with pytest.raises(StoreDamaged):
        await source.read()


async def test_many_at_once(tmp_path):
    async def store_and_read(number: int) -> None:
        key, length = b"key %d" % number, number * 40_000 % 1_300_000
        await keep(disk, key, length)
        assert await content_or_none(disk, key) == content_of(key, length)
        await asyncio.sleep(0)
        assert await content_or_none(disk, key) == content_of(key, length)

    async with a_disk(tmp_path, quota=128 * MIB) as disk, asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(store_and_read(number))


@pytest.mark.parametrize("memory", [0, 4 * MIB], ids=["disk", "memory"])
@pytest.mark.parametrize("length", [0, 1, 1000, ALWAYS])
async def test_what_is_kept_at_once_comes_back_as_what_a_writer_wrote(tmp_path, length, memory):
    content = content_of(b"key", length)
    async with a_disk(tmp_path, memory=memory) as disk:
        assert disk.lookup_nowait(b"key") == ()
        stored = a_stored(b"key", disk.generation(), length)
        assert disk.keep(stored, content)
        assert disk.lookup_nowait(b"key")
        assert await disk.lookup(b"key") == (stored,)
        assert await content_or_none(disk, b"key") == content
        await disk.flush()
        assert disk.lookup_nowait(b"key")
        assert await content_or_none(disk, b"key") == content
    async with a_disk(tmp_path, memory=memory) as disk:
        assert await content_or_none(disk, b"key") == content


async def test_what_is_kept_at_once_replaces_its_variant(tmp_path):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", 10)
        stored = a_stored(b"key", disk.generation(), 3)
        assert disk.keep(stored, b"new")
        await disk.flush()
        assert await disk.lookup(b"key") == (stored,)
        assert await read_all(disk.open(stored, 0, 3)) == b"new"


async def test_a_long_content_is_for_a_writer(tmp_path):
    async with a_disk(tmp_path) as disk:
        assert not disk.keep(a_stored(b"key", disk.generation(), ALWAYS + 1), bytes(ALWAYS + 1))
        assert disk.lookup_nowait(b"key") == ()


async def test_a_head_that_cannot_be_stored_leaves_nothing_behind(tmp_path):
    async with a_disk(tmp_path) as disk:
        with pytest.raises(StoreError):
            disk.keep(a_stored(b"key", disk.generation(), 3, fields=FieldSection([(b"connection", b"x")])), b"abc")
        assert disk.lookup_nowait(b"key") == ()
        await disk.flush()
        assert disk.stats().objects == 0


async def test_nothing_is_kept_once_the_store_is_closed(tmp_path):
    async with a_disk(tmp_path) as disk:
        await disk.close()
        with pytest.raises(StoreFull):
            disk.keep(a_stored(b"key", disk.generation(), 3), b"abc")


@pytest.mark.parametrize("memory", [0, 4 * MIB], ids=["disk", "memory"])
@pytest.mark.parametrize("length", [0, 1, 64 << 10])
async def test_what_is_written_can_be_had_without_waiting(tmp_path, length, memory):
    async with a_disk(tmp_path, memory=memory) as disk:
        other = await keep(disk, b"key", length, nominated=((b"accept-encoding", b"gzip"),), response_time=1500.0)
        stored = await keep(disk, b"key", length)
        await disk.flush()
        assert list(disk.lookup_nowait(b"key")) == [other, stored]
        assert disk.read_nowait(stored) == content_of(b"key", length)
        assert disk.lookup_nowait(b"another") == ()


async def test_what_takes_waiting_cannot_be_had_without(tmp_path):
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", (64 << 10) + 1)
        assert disk.read_nowait(stored) is None
        unwritten = await keep(disk, b"other", 10)
        assert list(disk.lookup_nowait(b"other")) == [unwritten]
        assert disk.read_nowait(unwritten) is None


async def test_what_is_damaged_cannot_be_had_without_waiting_and_is_quarantined_by_whoever_waits(tmp_path):
    async with a_disk(tmp_path) as disk:
        stored = {key: await keep(disk, key, 100) for key in (b"head", b"chunk")}
        await disk.flush()
        for segment in disk._segments:
            for offset, header in segment.headers(FIRST, segment.tail):
                if header.kind.name.lower().encode() == next(
                    k for k in stored if stored[k].generation == header.generation
                ):
                    flip(segment.path, offset + HEADER_SIZE + 20, 3)
        assert disk.lookup_nowait(b"head") is None
        assert disk.lookup_nowait(b"chunk") is None
        assert disk.read_nowait(stored[b"chunk"]) is None
        assert disk.stats().damaged == 0
        assert [await content_or_none(disk, key) for key in stored] == [None, None]
        assert disk.stats().damaged == 2


async def test_what_was_replaced_or_removed_cannot_be_had_without_waiting(tmp_path):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", 10)
        await disk.flush()
        new = await keep(disk, b"key", 11)
        await disk.flush()
        assert disk.lookup_nowait(b"key") == [new]
        await disk.remove(b"key")
        assert disk.lookup_nowait(b"key") == ()
        await disk.close()
        assert disk.lookup_nowait(b"key") == ()


class TestAgain:
    async def test_a_small_content_is_read_where_it_lies_and_nothing_else_for_it(self, tmp_path):
        async with a_disk(tmp_path) as disk:
            stored = await keep(disk, b"key", 5000)
            again = disk.again(stored)
            assert again.read() is None
            await disk.flush()
            for _ in range(2):
                assert again.read() == content_of(b"key", 5000)
            assert disk.again(await keep(disk, b"long", (64 << 10) + 1)) is None
            assert disk.again(await keep(disk, b"empty", 0)) is None
            for segment in disk._segments:
                (offset,) = [
                    offset
                    for offset, header in segment.headers(FIRST, segment.tail)
                    if (header.kind, header.generation) == (Kind.CHUNK, stored.generation)
                ]
                for at in (offset + HEADER_SIZE + 20, offset + 9):
                    flip(segment.path, at, 3)
                    assert again.read() is None
                    assert disk.again(stored).read() is None
                    flip(segment.path, at, 3)
                    assert again.read() == content_of(b"key", 5000)

    async def test_it_is_followed_when_it_is_moved(self, tmp_path):
        async with a_disk(tmp_path, quota=16 * MIB) as disk:
            stored = await keep(disk, b"key", 5000)
            await disk.flush()
            again = disk.again(stored)
            again.read()
            place = disk._index.first_chunk(stored.generation)
            for number in range(400):
                await keep(disk, b"other %d" % number, 100_000)
                await disk.flush()
                assert again.read() == content_of(b"key", 5000)
                # As the head was found for each answer.
                assert disk.lookup_nowait(b"key") == [stored]
            assert disk._index.first_chunk(stored.generation) != place

    async def test_memory_spares_the_reading_as_long_as_it_lasts(self, tmp_path):
        async with a_disk(tmp_path, memory=4 * MIB) as disk:
            stored = await keep(disk, b"key", 5000)
            await disk.flush()
            disk.memory.drop(stored.generation)
            again = disk.again(stored)
            assert again.read() == content_of(b"key", 5000)
            assert again.read() is disk.at_hand(stored)

    @pytest.mark.parametrize("change", ["removed", "replaced", "retired", "damaged"])
    async def test_a_watch_ends_with_what_was_found(self, tmp_path, change):
        async with a_disk(tmp_path) as disk:
            stored = await keep(disk, b"key", 10)
            await disk.flush()
            token = disk.watch(b"key", disk.lookup_nowait(b"key"))
            assert disk.watch(b"key", disk.lookup_nowait(b"key")) is token
            await keep(disk, b"another", 10)
            disk.memory.keep_heads(key_hash(b"key"), Known(b"key", (stored,)))
            assert token.is_current
            match change:
                case "removed":
                    await disk.remove(b"key")
                case "replaced":
                    disk.put(replace(stored, response_time=1001.0))
                case "retired":
                    await disk.retire()
                case "damaged":
                    disk._ledger.quarantine(key_hash(b"key"), stored.generation)
            assert not token.is_current
            after = disk.watch(b"key", ())
            assert after is None if change == "retired" else after is not token


async def test_a_full_memory_takes_every_eighth_of_what_is_read(tmp_path):
    async with a_disk(tmp_path, memory=100_000) as disk:
        stored = [await keep(disk, b"key %d" % number, 10_000) for number in range(64)]
        await disk.flush()
        for one in stored[:20]:
            await content_or_none(disk, one.key)
        assert disk.memory.is_full
        missing = [one for one in stored if disk.at_hand(one) is None]
        for one in missing:
            assert list(disk.lookup_nowait(one.key)) == [one]
            assert disk.read_nowait(one) == content_of(one.key, 10_000)
        promoted = [one for one in missing if disk.at_hand(one) is not None]
        assert 0 < len(promoted) <= len(missing) // 8 + 1
        assert all(disk.token(one.key) is not None for one in promoted)


@pytest.mark.parametrize(
    ("length", "pieces"), [(SMALL, [1, 1, 1]), (SMALL + 1, [2, 1, 1]), (MIB, [5, 1, 1]), (MIB + 1, [6, 6, 6])]
)
async def test_a_chunk_is_kept_whole_once_it_is_asked_for_again_and_again(tmp_path, length, pieces):
    async with a_disk(tmp_path, memory=4 * MIB) as disk:
        stored = await keep(disk, b"key", length)
        await disk.flush()
        disk.memory.drop(stored.generation)
        await disk.lookup(b"key")
        for number in pieces:
            assert await disk.lookup(b"key") == (stored,)
            source = disk.open(stored, 0, length)
            read = [await source.read() for _ in range(number)]
            assert b"".join(read) == content_of(b"key", length)
            assert await source.read() == b""
            assert await read_all(disk.open(stored, 1, length - 1)) == content_of(b"key", length)[1:-1]
        assert (disk.at_hand(stored) is not None) == (length <= MIB)


async def keep_a_wanted_chunk(disk: Disk) -> StoredResponse:
    """Store a chunk under `key` that was looked up so often that it is to be kept in memory once it is read."""
    stored = await keep(disk, b"key", MIB)
    await disk.flush()
    for _ in range(3):
        await disk.lookup(b"key")
    return stored


async def test_of_many_who_ask_at_once_for_a_chunk_one_reads_it_whole(tmp_path):
    async with a_disk(tmp_path, memory=4 * MIB) as disk:
        stored = await keep_a_wanted_chunk(disk)
        sources = [disk.open(stored, 0, MIB) for _ in range(20)]
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(source.read()) for source in sources]
        first = [task.result() for task in reading]
        assert sorted(map(len, first)) == [*[64 << 10] * 19, MIB]
        sources[5].close()
        for source, piece in zip(sources[6:], first[6:], strict=True):
            assert bytes(piece) + await read_all(source) == content_of(b"key", MIB)


async def test_a_chunk_that_is_not_read_after_all_may_be_by_the_next(tmp_path):
    async with a_disk(tmp_path, memory=4 * MIB) as disk:
        stored = await keep_a_wanted_chunk(disk)
        disk.open(stored, 0, MIB).close()
        assert await disk.open(stored, 0, MIB).read() == content_of(b"key", MIB)


async def test_a_chunk_that_is_damaged_is_not_kept(tmp_path):
    async with a_disk(tmp_path, memory=4 * MIB) as disk:
        stored = await keep_a_wanted_chunk(disk)
        place = disk._index.first_chunk(stored.generation)
        flip(next(tmp_path.rglob("*.seg")), place.offset + HEADER_SIZE + 500_000, 3)
        assert await content_or_none(disk, b"key") is None
        assert (disk.at_hand(stored), disk.stats().damaged) == (None, 1)


async def test_generations_differ(tmp_path):
    async with a_disk(tmp_path) as disk:
        generations = [disk.generation() for _ in range(1000)]
        assert len(set(generations)) == 1000
        assert {len(generation) for generation in generations} == {8}
