"""Writing in groups, and disks that take nothing."""

import asyncio
import errno
import os
import resource
from contextlib import contextmanager

import pytest

from edge.errors import StoreError, StoreFull
from edge.store import ledger
from edge.store.flush import PAUSE_SECONDS
from edge.testing.clock import ManualClock
from tests.store.keeping import MIB, a_disk, a_stored, content_of, content_or_none, keep, read_all


@contextmanager
def no_file_longer_than(size: int):
    """The operating system refuses to make files longer, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_without_room_stops_storing_and_nothing_else(tmp_path, caplog):
    clock = ManualClock()
    async with a_disk(tmp_path, clock=clock) as disk:
        with no_file_longer_than(MIB):
            writer = await disk.writer(b"key", length=None)
            await writer.write(content_of(b"key", 2 * MIB))
            follower = writer.open(0, 2 * MIB)
            with pytest.raises(StoreError):
                await disk.flush()
            with pytest.raises(StoreFull):
                await writer.write(b"more")
            # Those who follow get what was taken.
            assert await read_all(follower) == content_of(b"key", 2 * MIB)
            with pytest.raises(StoreFull):
                await writer.commit(a_stored(b"key", writer.generation, 2 * MIB))
            with pytest.raises(StoreFull):
                await disk.writer(b"another", length=None)
            assert (disk.stats().is_storing, disk.stats().write_errors) == (False, 1)
        clock.advance(PAUSE_SECONDS)
        await keep(disk, b"key", 3 * MIB)
        await disk.flush()
        assert await content_or_none(disk, b"key") == content_of(b"key", 3 * MIB)
        assert disk.stats().is_storing
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_a_disk_without_room_lives_on_the_room_it_has(tmp_path):
    async with a_disk(tmp_path) as disk:
        for number in range(10):
            await keep(disk, b"old %d" % number, MIB)
        await disk.flush()
        before = disk.stats().segments
        create = disk._segments.create
        tried = []

        def create_or_refuse(size: int):
            tried.append(size)
            if len(tried) % 2:
                raise StoreFull("no room")
            return create(size)

        disk._segments.create = create_or_refuse
        for number in range(10):
            await keep(disk, b"new %d" % number, MIB)
        await disk.flush()
        assert disk.stats().segments == before
        assert await content_or_none(disk, b"new 9") == content_of(b"new 9", MIB)
        assert await content_or_none(disk, b"old 0") is None


async def test_a_head_that_is_not_written_leaves_the_old_one(tmp_path, monkeypatch):
    async with a_disk(tmp_path) as disk:
        old = await keep(disk, b"key", 1000)
        await disk.flush()
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", refuse)
            new = await keep(disk, b"key", 2000)
            disk.put(await anew(disk))
            assert (await disk.lookup(b"key"))[0].generation == new.generation
            with pytest.raises(StoreError):
                await disk.flush()
        assert await disk.lookup(b"key") == (old,)
        assert await content_or_none(disk, b"key") == content_of(b"key", 1000)


async def anew(disk):
    (stored,) = await disk.lookup(b"key")
    return stored.with_fields(stored.fields.without(b"set-cookie"))


def refuse(*_):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("alone", [True, False])
async def test_what_is_removed_stays_removed_while_the_disk_takes_nothing(tmp_path, monkeypatch, alone):
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", 1000)
        await disk.flush()
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", refuse)
            assert await disk.remove(b"key", stored.generation if alone else None) == 1
            for _ in range(3):
                with pytest.raises(StoreError):
                    await disk.flush()
                assert await disk.lookup(b"key") == ()
        await disk.flush()
        assert await disk.lookup(b"key") == ()
    async with a_disk(tmp_path) as disk:
        assert await disk.lookup(b"key") == ()


async def test_a_disk_that_takes_nothing_any_more_is_not_left_cleanly(tmp_path, monkeypatch):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", 1000)
        await disk.flush()
        monkeypatch.setattr(os, "pwrite", refuse)
        await disk.remove(b"key")
        await disk.close()
        monkeypatch.undo()
    async with a_disk(tmp_path) as disk:
        assert not disk._node.was_clean


async def test_writers_wait_while_too_much_is_unwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "WAITING_LIMIT", 2 * MIB)
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(b"key", length=None)
        most = 0
        for first in range(0, 20 * MIB, MIB):
            await writer.write(content_of(b"%d" % first, MIB))
            most = max(most, disk.stats().waiting_bytes)
        assert 2 * MIB < most < 4 * MIB
        writer.abort()


async def test_nothing_waits_for_long(tmp_path):
    """Without anybody asking for it."""
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", 1000)
        assert disk.stats().waiting_bytes > 1000
        while disk.stats().waiting_bytes:
            await asyncio.sleep(0)
        assert disk.stats().objects == 1


async def test_closing_writes_what_a_cancelled_flush_has_left(tmp_path):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", 1000)
        disk._flush._task.cancel()
    async with a_disk(tmp_path) as disk:
        assert await content_or_none(disk, b"key") == content_of(b"key", 1000)
        assert disk._node.was_clean
