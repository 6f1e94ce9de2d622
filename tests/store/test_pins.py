"""Pinned responses: never reclaimed, and charged to a quota of their own."""

import random
import shutil
import signal
import subprocess
import sys

import pytest

from edge.errors import StoreError, StoreFull
from edge.store.pins import Pins, charge_of
from tests.store.floods import PINNED, QUOTA, keep_pinned
from tests.store.keeping import MIB, a_disk, a_stored, content_of, content_or_none, directory_size, keep


async def flood(disk, mebibytes: int = 40, name: bytes = b"flood") -> None:
    """Write the disk over, again and again."""
    for number in range(mebibytes * 5):
        await keep(disk, name + b" %d" % number, MIB // 5)
        if number % 10 == 0:
            await disk.flush()
    await disk.flush()


async def assert_kept(disk) -> None:
    for key, length in PINNED.items():
        assert await content_or_none(disk, key) == content_of(key, length), key
        assert [stored.pinned for stored in await disk.lookup(key)] == [True]


def test_what_a_response_is_charged():
    assert charge_of(a_stored(length=100)) == 0
    assert charge_of(a_stored(length=100, pinned=True)) - 100 == charge_of(a_stored(length=0, pinned=True)) == 16 << 10


def test_charges_add_up_to_the_limit_and_no_further():
    pins = Pins({b"a": 60}, 100)
    pins.check(40)
    with pytest.raises(StoreFull):
        pins.check(41)
    pins.check(100, instead_of=[b"a", b"unknown"])
    pins.put(b"a", 30)
    pins.put(b"b", 70)
    assert pins.used == 100
    pins.put(b"a", 0)
    pins.put(b"a", 0)
    assert pins.used == 70


def test_a_limit_that_was_lowered_takes_nothing_away():
    pins = Pins({b"a": 60}, 10)
    pins.check(60, instead_of=[b"a"])
    pins.check(0)
    with pytest.raises(StoreFull):
        pins.check(1)


async def test_a_flood_does_not_push_out_what_is_pinned(tmp_path):
    async with a_disk(tmp_path / "node", quota=QUOTA) as disk:
        for key, length in PINNED.items():
            await keep_pinned(disk, key, length)
        await keep(disk, b"not pinned", 1000)
        await flood(disk)
        assert await content_or_none(disk, b"not pinned") is None
        await assert_kept(disk)
        assert directory_size(tmp_path / "node") <= QUOTA
        shutil.copytree(tmp_path / "node", tmp_path / "killed")
    for folder, index in (("node", "kept"), ("killed", "kept"), ("killed", "deleted")):
        if index == "deleted":
            shutil.rmtree(tmp_path / folder / "index")
        async with a_disk(tmp_path / folder, quota=QUOTA) as disk:
            await flood(disk, 20, folder.encode())
            await assert_kept(disk)
            assert directory_size(tmp_path / folder) <= QUOTA
            assert disk.stats().pinned_bytes == sum(PINNED.values()) + len(PINNED) * (16 << 10)


async def test_a_stored_response_is_pinned_and_unpinned(tmp_path):
    async with a_disk(tmp_path, quota=QUOTA) as disk:
        stored = await keep(disk, b"key", 100_000)
        assert await disk.pin(b"key", stored.generation)
        assert not await disk.pin(b"key", b"another-")
        await flood(disk, 20)
        assert await content_or_none(disk, b"key") == content_of(b"key", 100_000)
        (held,) = await disk.lookup(b"key")
        # Freshened: another head, the same content.
        disk.put(held.with_fields(held.fields.replacing(b"age", b"1")))
        assert disk.stats().pinned_bytes == 100_000 + (16 << 10)
        assert await disk.pin(b"key", stored.generation, pinned=False)
        assert disk.stats().pinned_bytes == 0
        await flood(disk, 40, b"another flood")
        assert await disk.lookup(b"key") == ()


async def test_what_does_not_fit_the_quota_for_pinned_content_is_refused(tmp_path):
    async with a_disk(tmp_path, quota=QUOTA) as disk:
        limit = disk.stats().pinned_quota
        await keep_pinned(disk, b"most", limit - (16 << 10))
        with pytest.raises(StoreFull):
            await keep_pinned(disk, b"more", 1)
        stored = await keep(disk, b"more", 1)
        with pytest.raises(StoreFull):
            await disk.pin(b"more", stored.generation)
        given_up = await disk.writer(b"given up", length=None, pinned=True)
        with pytest.raises(StoreFull):
            await given_up.write(b"?")
        given_up.abort()
        await disk.remove(b"most")
        assert await disk.pin(b"more", stored.generation)
        await disk.flush()
        await disk.flush()
        assert disk.stats().pinned_bytes == 1 + (16 << 10)
        assert sum(disk._index.pins().values()) == 1 + (16 << 10)


async def test_a_response_that_replaces_a_pinned_one_is_not_pinned(tmp_path):
    async with a_disk(tmp_path, quota=QUOTA) as disk:
        await keep_pinned(disk, b"key", 1000)
        await disk.flush()
        await keep(disk, b"key", 2000)
        await disk.flush()
        await disk.flush()
        assert [stored.pinned for stored in await disk.lookup(b"key")] == [False]
        assert (disk.stats().pinned_bytes, disk._index.pins()) == (0, {})


async def test_a_smaller_quota_keeps_what_is_pinned_or_is_refused(tmp_path):
    async with a_disk(tmp_path, quota=64 * MIB) as disk:
        for key, length in PINNED.items():
            await keep_pinned(disk, key, length)
            await flood(disk, 8, key)
    async with a_disk(tmp_path, quota=20 * MIB) as disk:
        assert directory_size(tmp_path) <= 20 * MIB
        await assert_kept(disk)
        await keep_pinned(disk, b"more", 2 * MIB)
        await flood(disk)
        await assert_kept(disk)
        assert directory_size(tmp_path) <= 20 * MIB
    async with a_disk(tmp_path, quota=64 * MIB) as disk:
        await keep_pinned(disk, b"most", 12 * MIB)
    with pytest.raises(StoreError, match="the quota is too small for the"):
        async with a_disk(tmp_path, quota=20 * MIB):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_no_kill_in_the_midst_of_moving_loses_what_is_pinned(tmp_path, seed, request):
    rng = random.Random(seed)
    for _ in range(5):
        program = [sys.executable, "-m", "tests.store.floods", str(tmp_path)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=request.config.rootpath) as process:
            for _ in range(rng.randrange(10, 40)):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert directory_size(tmp_path) <= QUOTA
        async with a_disk(tmp_path, quota=QUOTA) as disk:
            await assert_kept(disk)
            assert disk.stats().damaged == 0
