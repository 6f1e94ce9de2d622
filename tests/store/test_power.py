"""Power cuts: whatever was not on disk may be gone, in whole or in part; no byte that comes back is wrong."""

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.keeping import MIB, a_disk, content_of, content_or_none, flip, keep
from tests.store.mounting import CAN_MOUNT, an_ext4

_PAGE = 4096


def started_since(path: Path) -> None:
    """Let the machine have been started since the node was used: the note of it does not even pass its checksum."""
    flip(path / "control", 20, 1)


def torn(old: Path, new: Path, rng: random.Random) -> None:
    """Let each page of each file of `new` have got to the disk or not; `old` is what was there for certain.

    A page that did not is as it was, or, where there was none, zeros; every hundredth is torn in its middle.
    """
    for path in (path for path in new.rglob("*") if path.is_file()):
        before = old / path.relative_to(new)
        had = before.read_bytes() if before.exists() else b""
        raw = bytearray(path.read_bytes())
        for at in range(0, len(raw), _PAGE):
            if raw[at : at + _PAGE] == had[at : at + _PAGE] or rng.random() < 0.5:
                continue
            page = had[at : at + _PAGE].ljust(min(_PAGE, len(raw) - at), b"\0")
            first = rng.randrange(8) * 512 if rng.random() < 0.01 else 0
            raw[at + first : at + len(page)] = page[first:]
        path.write_bytes(raw)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
async def test_pages_that_did_not_get_to_the_disk_are_noticed(tmp_path, seed):
    """The file-level equivalent of a cut: works everywhere, and is more cruel than a file system with a journal."""
    rng = random.Random(seed)
    lengths = {b"key %d" % number: int(2 ** rng.uniform(0, 20.5)) for number in range(60)}
    synced = list(lengths)[:30]
    async with a_disk(tmp_path / "node") as disk:
        for key in synced:
            await keep(disk, key, lengths[key])
        await disk.flush()
        shutil.copytree(tmp_path / "node", tmp_path / "synced")
        for key in list(lengths)[30:]:
            await keep(disk, key, lengths[key])
        await disk.remove(synced[0])
        await disk.flush()
        shutil.copytree(tmp_path / "node", tmp_path / "cut")
    torn(tmp_path / "synced", tmp_path / "cut", rng)
    started_since(tmp_path / "cut")
    async with a_disk(tmp_path / "cut") as disk:
        for key, length in lengths.items():
            answer = await content_or_none(disk, key)
            assert answer == content_of(key, length) or (answer is None and key not in synced[1:]), key
            await keep(disk, key, length)
    async with a_disk(tmp_path / "cut") as disk:
        for key, length in lengths.items():
            assert await content_or_none(disk, key) == content_of(key, length)


async def keeps_what_was_synced(folder: Path, root: Path, rng: random.Random) -> None:
    """Store, sync, store on, cut the power, and look."""
    with an_ext4(folder, 160 * MIB) as disk:
        node, durable = disk.path / "node", -1
        for _ in range(2):
            program = [sys.executable, "-m", "tests.store.keeps_storing", str(node)]
            with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=root) as process:
                for _ in range(rng.randrange(1, 20)):
                    durable = int(process.stdout.readline())
                disk.sync()
                for _ in range(rng.randrange(1, 20)):
                    last = int(process.stdout.readline())
                disk.cut_power()
                process.send_signal(signal.SIGKILL)
            disk.power_up()
            started_since(node)
            async with a_disk(node) as store:
                for number in range(last + 10):
                    key = b"response %d" % number
                    answer = await content_or_none(store, key)
                    right = content_of(key, number * 7919 % 150_000)
                    assert answer == right or (answer is None and number > durable), number


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2) if CAN_MOUNT else ())
async def test_a_file_system_whose_power_is_cut(tmp_path, seed, request):
    await keeps_what_was_synced(tmp_path, request.config.rootpath, random.Random(seed))


async def test_what_the_machine_did_not_get_to_unlink_comes_back_and_harms_nobody(tmp_path):
    """A segment that was freed, but is there again after the cut, says what was replaced since."""
    async with a_disk(tmp_path / "node", quota=16 * MIB) as disk:
        await keep(disk, b"replaced", 1000, status=404)
        await keep(disk, b"hot", 1000)
        await disk.flush()
        (first,) = (tmp_path / "node" / "segments").iterdir()
        shutil.copy(first, tmp_path / "freed")
        await keep(disk, b"replaced", 2000)
        for number in range(200):
            await keep(disk, b"flood %d" % number, 100_000)
            if number % 10 == 0:
                await disk.flush()
                assert await content_or_none(disk, b"hot") == content_of(b"hot", 1000)
        await disk.flush()
        assert not first.exists()
        there = await content_or_none(disk, b"replaced")
    shutil.copy(tmp_path / "freed", first)
    started_since(tmp_path / "node")
    async with a_disk(tmp_path / "node", quota=16 * MIB) as disk:
        assert await content_or_none(disk, b"hot") == content_of(b"hot", 1000)
        statuses = [stored.status for stored in await disk.lookup(b"replaced")]
        assert statuses == ([404] if there is None else [200])
        assert sum(path.stat().st_size for path in first.parent.iterdir()) <= 16 * MIB
