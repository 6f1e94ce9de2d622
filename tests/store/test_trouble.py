"""Disks that are full, gone or read-only: storing stops, what is stored is still read, and storing goes on by itself."""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EIO
from os import strerror
from pathlib import Path

import pytest

from edge.errors import StoreError, StoreFull
from edge.store.flush import PAUSE_SECONDS
from edge.testing.clock import ManualClock
from tests.store.keeping import MIB, a_disk, content_of, content_or_none, directory_size, keep
from tests.store.mounting import CAN_MOUNT, a_small_disk, an_ext4


@dataclass
class Trouble:
    """A place for a node, how to break it, and how to mend it."""

    node: Path
    breaks: Callable[[], object]
    mends: Callable[[], object]


@contextmanager
def a_folder_that_is_deleted(path: Path) -> Iterator[Trouble]:
    yield Trouble(path / "node", lambda: shutil.rmtree(path / "node"), lambda: None)


@contextmanager
def a_folder_that_is_moved(path: Path) -> Iterator[Trouble]:
    yield Trouble(path / "node", lambda: (path / "node").rename(path / "elsewhere"), lambda: None)


@contextmanager
def a_folder_that_takes_no_files(path: Path) -> Iterator[Trouble]:
    """As on a disk without inodes."""
    segments = path / "node" / "segments"

    def breaks() -> None:
        segments.rename(path / "aside")
        segments.write_bytes(b"")

    def mends() -> None:
        segments.unlink()
        (path / "aside").rename(segments)

    yield Trouble(path / "node", breaks, mends)


async def write(writer, length: int) -> None:
    for _ in range(0, length, MIB):
        await writer.write(bytes(MIB))


@contextmanager
def failing(segment) -> Iterator[None]:
    """Let every read and write of a segment's file fail with EIO, as those at an unmapped address of a process do."""
    kept, bad = os.dup(segment.fd), os.open("/proc/self/mem", os.O_RDWR)
    os.dup2(bad, segment.fd)
    try:
        yield
    finally:
        os.dup2(kept, segment.fd)
        os.close(kept)
        os.close(bad)


@contextmanager
def stuck(executor, threads: int) -> Iterator[None]:
    """Let every thread of an executor hang, as on a disk that does not answer."""
    answers = threading.Event()
    jobs = [executor.submit(answers.wait) for _ in range(threads)]
    try:
        yield
    finally:
        answers.set()
        wait(jobs)


TROUBLES = [a_folder_that_is_deleted, a_folder_that_is_moved, a_folder_that_takes_no_files]


async def store_until_it_is_refused(disk) -> None:
    for number in range(200):
        try:
            # Refused by the flush that is asked for, or already by the one in the background.
            await keep(disk, b"refused %d" % number, 400_000)
            await disk.flush()
        except StoreError:
            return
    pytest.fail("the disk takes everything")


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES, ids=[trouble.__name__ for trouble in TROUBLES])
async def test_trouble_with_the_disk_comes_and_goes(tmp_path, caplog, trouble):
    caplog.set_level(logging.WARNING, "edge.store")
    clock = ManualClock()
    with trouble(tmp_path) as place:
        async with a_disk(place.node, quota=32 * MIB, clock=clock) as disk:
            for number in range(6):
                await keep(disk, b"before %d" % number, 100_000)
            await disk.flush()
            place.breaks()
            await store_until_it_is_refused(disk)
            assert not disk.stats().is_storing
            with pytest.raises(StoreError):
                await disk.writer(b"while it lasts", length=1)
            answers = [await content_or_none(disk, b"before %d" % number) for number in range(6)]
            assert answers == [content_of(b"before %d" % number, 100_000) for number in range(6)]
            place.mends()
            clock.advance(PAUSE_SECONDS)
            await keep(disk, b"after", 3 * MIB)
            await disk.flush()
            assert disk.stats().is_storing
            assert await content_or_none(disk, b"after") == content_of(b"after", 3 * MIB)
            assert directory_size(place.node) <= 32 * MIB
        async with a_disk(place.node, quota=32 * MIB) as disk:
            assert await content_or_none(disk, b"after") == content_of(b"after", 3 * MIB)
            assert disk.stats().damaged == 0
    said = [record.message for record in caplog.records if "nothing is stored until" in record.message]
    assert len(said) == 1


@pytest.mark.parametrize("size", [128 * MIB] if CAN_MOUNT else ())
async def test_a_file_system_that_becomes_read_only_is_read_on(tmp_path, caplog, size):
    """As ext4 does by itself when it finds an error; only a new mount mends it."""
    with an_ext4(tmp_path, size, "-O", "^has_journal") as file_system:
        file_system.remount("errors=remount-ro")
        clock, node = ManualClock(), file_system.path / "node"
        async with a_disk(node, quota=32 * MIB, clock=clock) as disk:
            await keep(disk, b"before", 100_000)
            await disk.flush()
            file_system.sync()
            file_system.fail()
            for _ in range(3):
                await store_until_it_is_refused(disk)
                assert await content_or_none(disk, b"before") == content_of(b"before", 100_000)
                clock.advance(PAUSE_SECONDS)
        file_system.power_up()
        async with a_disk(node, quota=32 * MIB) as disk:
            await keep(disk, b"after", 100_000)
            await disk.flush()
            for key in (b"before", b"after"):
                assert await content_or_none(disk, key) == content_of(key, 100_000)
    said = [record.message for record in caplog.records if "nothing is stored until" in record.message]
    assert len(said) == 1


async def test_a_disk_that_fails_to_write_and_recovers(tmp_path, caplog):
    clock = ManualClock()
    async with a_disk(tmp_path, clock=clock) as disk:
        before = await keep(disk, b"before", 100_000)
        await disk.flush()
        with failing(disk._log._active):
            await store_until_it_is_refused(disk)
            assert not disk.stats().is_storing
            with pytest.raises(StoreError):
                disk.put(before)
        clock.advance(PAUSE_SECONDS)
        await keep(disk, b"after", 100_000)
        await disk.flush()
        assert disk.stats().is_storing
        assert disk.stats().write_errors == 1
        for key in (b"before", b"after"):
            assert await content_or_none(disk, key) == content_of(key, 100_000)
    async with a_disk(tmp_path) as disk:
        for key in (b"before", b"after"):
            assert await content_or_none(disk, key) == content_of(key, 100_000)
    said = [record.message for record in caplog.records if "nothing is stored until" in record.message]
    assert said == [f"nothing is stored until the disk takes it again: 00000001.seg cannot be written: {strerror(EIO)}"]


async def test_what_was_not_written_leaves_pinned_what_was(tmp_path):
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", 1000)
        await disk.pin(b"key", stored.generation)
        await disk.flush()
        with failing(disk._log._active):
            # Once as its own head that says otherwise, and once as its replacement.
            disk.put(stored)
            for errors in (1, 2, 3):
                # What writes in the background may have been told first.
                with suppress(StoreError):
                    await disk.flush()
                assert disk.stats().write_errors == errors
                assert disk.stats().pinned_bytes == 1000 + (16 << 10)
                if errors < 3:
                    disk._flush._paused_until = None
                    await keep(disk, b"key", 2000)
        assert [found.pinned for found in await disk.lookup(b"key")] == [True]


@pytest.mark.parametrize("length", [1000, 3 * MIB])
async def test_what_fails_to_be_read_is_a_miss_and_is_stored_again(tmp_path, length):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", length)
        await disk.flush()
        with failing(disk._segments.oldest):
            assert await content_or_none(disk, b"key") is None
            assert (await disk.lookup(b"key"), disk.stats().damaged) == ((), 1)
        await keep(disk, b"key", length)
        assert await content_or_none(disk, b"key") == content_of(b"key", length)


async def test_a_disk_that_fails_at_the_end_is_not_left_cleanly(tmp_path, caplog):
    """What was not synced is not believed to be: the next start looks at it."""
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", 100_000)
        await disk.flush()
        # A file that cannot be synced, and that the store closes.
        mem = os.open("/proc/self/mem", os.O_RDWR)
        os.dup2(mem, disk._segments.oldest.fd)
        os.close(mem)
    assert "is not left cleanly: 00000001.seg cannot be synced" in caplog.text
    async with a_disk(tmp_path) as disk:
        assert not disk._node.was_clean
        assert await content_or_none(disk, b"key") == content_of(b"key", 100_000)


async def test_a_disk_that_takes_a_write_and_does_not_end_it_is_one_that_refuses(tmp_path, caplog):
    """Whoever stores goes on without the store, and storing resumes by itself."""
    async with a_disk(tmp_path, quota=256 * MIB) as disk:
        disk._flush.patience = 0.01
        with stuck(disk._thread, 1):
            writer = await disk.writer(b"key", length=None)
            with pytest.raises(StoreFull):
                await write(writer, 100 * MIB)
            writer.abort()
            assert not disk.stats().is_storing
            with pytest.raises(StoreFull):
                await disk.writer(b"another", length=1)
            assert disk.stats().waiting_bytes <= 18 * MIB
        await disk.flush()
        assert disk.stats().is_storing
        await keep(disk, b"key", 1000)
        assert await content_or_none(disk, b"key") == content_of(b"key", 1000)
    said = [record.message for record in caplog.records]
    assert said == [
        "nothing is stored until the disk takes it again: it does not answer",
        "the store takes new content again",
    ]


async def test_a_disk_that_does_not_answer_a_read_is_a_miss_and_nothing_is_thrown_away(tmp_path):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", MIB)
        await disk.flush()
        (stored,) = await disk.lookup(b"key")
        disk._reader.patience = 0.01
        with stuck(disk._pool, 4):
            # The first read of a long chunk waits for all of it.
            with pytest.raises(StoreError, match="does not answer"):
                await disk.open(stored, 0, MIB).read()
            disk._reader._waiting = 1000
            with pytest.raises(StoreError, match="too many"):
                await disk.open(stored, 0, MIB).read()
            disk._reader._waiting = 0
        disk._reader.patience = 10.0
        assert await content_or_none(disk, b"key") == content_of(b"key", MIB)
        assert disk.stats().damaged == 0


def fill_up(ballast: Path) -> None:
    """Let others take all that is left of the disk."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


@pytest.mark.parametrize("size", [40 * MIB] if CAN_MOUNT else ())
async def test_a_disk_that_others_have_filled(tmp_path, size):
    """Nothing can be stored without a segment; with some, the store lives on those."""
    with a_small_disk(tmp_path / "small", size) as small:
        clock = ManualClock()
        async with a_disk(small / "node", quota=32 * MIB, clock=clock) as disk:
            fill_up(small / "ballast")
            await store_until_it_is_refused(disk)
            (small / "ballast").unlink()
            clock.advance(PAUSE_SECONDS)
            for _ in range(2):
                for number in range(60):
                    key = b"key %d" % number
                    await keep(disk, key, 400_000)
                    await disk.flush()
                    assert await content_or_none(disk, key) == content_of(key, 400_000)
                fill_up(small / "ballast")
            assert directory_size(small / "node") <= 32 * MIB
            assert disk.stats().damaged == 0


async def test_a_quota_is_never_exceeded_and_a_flood_takes_no_more_memory(tmp_path):
    """Unique contents without end, of all sizes, and a few that are asked for meanwhile."""
    hot = {b"hot %d" % number: 5_000 * number for number in range(1, 8)}
    async with a_disk(tmp_path, quota=32 * MIB, memory=MIB) as disk:
        for key, length in hot.items():
            await keep(disk, key, length)
        for number in range(1200):
            await keep(disk, b"flood %d" % number, number * 7919 % 150_000)
            if number % 10 == 0:
                assert directory_size(tmp_path) <= 32 * MIB
                assert disk.stats().waiting_bytes <= 17 * MIB
                for key, length in hot.items():
                    assert await content_or_none(disk, key) == content_of(key, length)
        await disk.flush()
        assert (directory_size(tmp_path) <= 32 * MIB, disk.stats().waiting_bytes, disk.stats().damaged) == (True, 0, 0)
        assert disk.stats().memory_bytes <= MIB
        assert disk.stats().evictions > 500


async def test_many_unfinished_contents_take_a_bounded_memory(tmp_path):
    async with a_disk(tmp_path, quota=256 * MIB) as disk:
        writers = [await disk.writer(b"key %d" % number, length=900_000) for number in range(60)]
        for first in range(0, 900_000, 100_000):
            for number, writer in enumerate(writers):
                await writer.write(content_of(b"key %d" % number, 900_000)[first : first + 100_000])
                assert disk._ledger.buffered <= 17 * MIB
        await disk.flush()
        for number, writer in enumerate(writers):
            assert b"".join([piece async for piece in pieces(writer.open(0, 900_000))]) == content_of(
                b"key %d" % number, 900_000
            )
            writer.abort()
        assert disk._ledger.buffered == 0


async def pieces(source):
    while piece := await source.read():
        yield piece
    source.close()
