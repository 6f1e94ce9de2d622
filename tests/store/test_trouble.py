"""Disks that are full, gone or read-only: storing stops, what is stored is still read, and storing goes on by itself."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.errors import StoreError
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
