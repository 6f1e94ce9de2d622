"""Opening a node that was not left cleanly."""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from edge.store import head
from edge.store.record import Kind, encode_header, header_of, key_hash
from edge.store.segment_header import FIRST
from tests.store.keeping import MIB, a_disk, a_stored, content_of, content_or_none, flip, keep, read_all
from tests.store.test_fill import keep_part

LENGTHS = {b"key %d" % number: number * 77_777 % 1_400_000 for number in range(40)}


@pytest.fixture
async def left(tmp_path):
    """A copy of a node directory as it was while the node was running, so not left cleanly."""
    async with a_disk(tmp_path / "node") as disk:
        for key, length in LENGTHS.items():
            await keep(disk, key, length)
        await disk.flush()
        shutil.copytree(tmp_path / "node", tmp_path / "copy")
    return tmp_path / "copy"


async def assert_whole(path: Path) -> None:
    async with a_disk(path) as disk:
        for key, length in LENGTHS.items():
            assert await content_or_none(disk, key) == content_of(key, length)
        assert disk.stats().damaged == 0


def last_segment(path: Path) -> Path:
    return max((path / "segments").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_killed_at_any_moment(tmp_path, seed, request):
    """What was flushed is there, and no byte of anything is wrong."""
    rng = random.Random(seed)
    program = [sys.executable, "-m", "tests.store.keeps_storing", str(tmp_path / "node")]
    durable = -1
    for _ in range(3):
        with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=request.config.rootpath) as process:
            for _ in range(rng.randrange(1, 60)):
                durable = int(process.stdout.readline())
            # Any number of bytes of its next writes from here.
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            durable = int(rest[-1]) if rest else durable
        await assert_right(tmp_path / "node", durable)


async def assert_right(path: Path, durable: int) -> None:
    async with a_disk(path) as disk:
        for number in range(durable + 100):
            key = b"response %d" % number
            answer = await content_or_none(disk, key)
            assert answer == content_of(key, number * 7919 % 150_000) or (answer is None and number > durable), number


async def test_an_index_behind_its_segments_is_completed(tmp_path, left):
    """As after a kill between the write to a segment and the index."""
    async with a_disk(tmp_path / "behind") as disk:
        await keep(disk, b"key 0", LENGTHS[b"key 0"])
        await disk.flush()
        shutil.copytree(tmp_path / "behind" / "index", tmp_path / "old")
        for key in list(LENGTHS)[1:]:
            await keep(disk, key, LENGTHS[key])
        removed = await keep(disk, b"removed", 10)
        await disk.remove(b"removed", removed.generation)
        await disk.flush()
        shutil.copytree(tmp_path / "behind", tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / "index")
    (tmp_path / "old").rename(tmp_path / "killed" / "index")
    await assert_whole(tmp_path / "killed")
    async with a_disk(tmp_path / "killed") as disk:
        assert await disk.lookup(b"removed") == ()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: None, id="killed"),
        pytest.param(lambda path: shutil.rmtree(path / "index"), id="the index is deleted"),
        pytest.param(lambda path: (path / "index" / "data.mdb").write_bytes(b"?" * 100_000), id="it is overwritten"),
        pytest.param(lambda path: os.truncate(path / "index" / "data.mdb", 8192), id="it is cut short"),
        pytest.param(lambda path: (path / "control").unlink(), id="nobody knows how it was left"),
        pytest.param(lambda path: flip(path / "control", 20, 1), id="it is from before the machine started"),
    ],
)
async def test_everything_is_there_after(left, damage):
    damage(left)
    await assert_whole(left)
    await assert_whole(left)


async def test_an_index_made_anew_knows_what_was_removed_replaced_and_given_up(tmp_path):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"removed", 1000)
        await keep(disk, b"all removed", 1000)
        await keep(disk, b"replaced", 1000, status=404)
        await disk.flush()
        (stored,) = await disk.lookup(b"removed")
        await disk.remove(b"removed", stored.generation)
        await disk.remove(b"all removed")
        await keep(disk, b"replaced", 1000)
        part = await keep_part(disk, 500_000, 600_000)
        writer = await disk.writer(part.key, length=None, extends=part, start=600_000)
        await writer.write(b"wrong" * 100_000)
        await disk.flush()
        writer.abort()
        abandoned = await disk.writer(b"abandoned", length=None)
        await abandoned.write(bytes(2 * MIB))
        await disk.flush()
        abandoned.abort()
    shutil.rmtree(tmp_path / "index")
    async with a_disk(tmp_path) as disk:
        assert await disk.lookup(b"removed") == await disk.lookup(b"all removed") == ()
        assert [stored.status for stored in await disk.lookup(b"replaced")] == [200]
        with disk._index.reading() as transaction:
            assert len(list(disk._index.generations(transaction))) == 2
        (part,) = await disk.lookup(part.key)
        whole = await keep_part(disk, 550_000, 1_500_000, part)
        await disk.flush()
        content = content_of(part.key, whole.complete_length)
        assert await read_all(disk.open(whole, 500_000, 1_500_000)) == content[500_000:1_500_000]


@pytest.mark.parametrize("index", ["kept", "deleted"])
@pytest.mark.parametrize("cut", [20, 30, 59, 61, 1000, 100_000])
async def test_a_torn_tail_is_cut_and_appending_goes_on(left, tmp_path, cut, index):
    path = last_segment(left)
    async with a_disk(tmp_path / "node") as disk:
        tail = disk._segments.get(int(path.stem, 16)).tail
    with path.open("r+b") as file:
        file.seek(tail - cut)
        file.write(bytes(cut))
    if index == "deleted":
        shutil.rmtree(left / "index")
    async with a_disk(left) as disk:
        answers = {key: await content_or_none(disk, key) for key in LENGTHS}
        assert all(answer in {None, content_of(key, LENGTHS[key])} for key, answer in answers.items())
        assert 0 < list(answers.values()).count(None) <= 3
        for key, length in LENGTHS.items():
            await keep(disk, key, length)
    await assert_whole(left)


async def test_damage_inside_a_segment_costs_one_response_when_the_index_is_made_anew(left):
    shutil.rmtree(left / "index")
    flip(min((left / "segments").iterdir()), FIRST + 3, 1)
    async with a_disk(left) as disk:
        answers = {key: await content_or_none(disk, key) for key in LENGTHS}
        assert all(answer in {None, content_of(key, LENGTHS[key])} for key, answer in answers.items())
        assert list(answers.values()).count(None) == 1
        assert disk.stats().damaged == 1


async def test_no_content_passes_for_records(tmp_path):
    """Not even one that is made for it, and where the header in front of it is damaged."""
    body = head.encode(a_stored(b"victim", b"forgery-", 7, ranges=()))
    forged = header_of(Kind.HEAD, body, key_hash=key_hash(b"victim"), generation=b"forgery-", sequence=1 << 40)
    content = 100 * (encode_header(forged) + body)
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(b"attacker", length=len(content))
        await writer.write(content)
        await writer.commit(a_stored(b"attacker", writer.generation, len(content)))
    shutil.rmtree(tmp_path / "index")
    flip(last_segment(tmp_path), FIRST + 3, 1)
    async with a_disk(tmp_path) as disk:
        assert await disk.lookup(b"victim") == ()


async def test_a_segment_of_the_format_before_is_read(tmp_path):
    """It has no tag, and its control file another number."""
    body = head.encode(a_stored(b"key", b"oldform-", None, ranges=()))
    fields = struct.pack("<4sIIQ", b"FLsg", 1, 1, 4 * MIB)
    record = header_of(Kind.HEAD, body, key_hash=key_hash(b"key"), generation=b"oldform-", sequence=1)
    raw = (fields + crc32(fields).to_bytes(4, "little")).ljust(FIRST, b"\0") + encode_header(record) + body
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments/00000001.seg").write_bytes(raw.ljust(4 * MIB, b"\0"))
    control = struct.pack("<8sII36s", b"FLstore\n", 1, 1, bytes(36))
    (tmp_path / "control").write_bytes(control + crc32(control).to_bytes(4, "little"))
    for _ in range(2):
        async with a_disk(tmp_path) as disk:
            assert [stored.generation for stored in await disk.lookup(b"key")] == [b"oldform-"]


async def test_a_head_whose_chunks_are_gone_says_what_is_left(left):
    segments = sorted((left / "segments").iterdir())
    segments[0].unlink()
    shutil.rmtree(left / "index")
    async with a_disk(left) as disk:
        for key, length in LENGTHS.items():
            for stored in await disk.lookup(key):
                for first, last in stored.ranges:
                    assert await read_all(disk.open(stored, first, last)) == content_of(key, length)[first:last]
        assert disk.stats().damaged == 0


async def test_a_segment_copied_over_another_is_no_segment(left):
    first, second, *_ = sorted((left / "segments").iterdir())
    shutil.copy(first, second)
    async with a_disk(left) as disk:
        answers = {key: await content_or_none(disk, key) for key in LENGTHS}
        assert all(answer in {None, content_of(key, LENGTHS[key])} for key, answer in answers.items())
        assert disk.stats().damaged > 0


async def test_a_fill_that_was_cut_off_by_a_kill_is_not_found(tmp_path):
    async with a_disk(tmp_path / "node") as disk:
        writer = await disk.writer(b"key", length=None)
        await writer.write(bytes(2 * MIB))
        await disk.flush()
        shutil.copytree(tmp_path / "node", tmp_path / "killed")
        await writer.commit(a_stored(b"key", writer.generation, 2 * MIB))
    async with a_disk(tmp_path / "killed") as disk:
        assert await disk.lookup(b"key") == ()
