"""A node directory that is looked at, and every record of it that is verified, while its node runs or not."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import pytest

from edge.errors import StoreDamaged, StoreError
from edge.store.faults import Fault
from edge.store.inspect import Inspection
from edge.store.record import HEADER_SIZE, Kind
from edge.store.segment import Segment
from edge.store.segment_header import FIRST, decode_segment_header
from edge.store.verify import Verification
from tests.store.keeping import MIB, a_disk, content_of, flip, keep, read_all
from tests.store.test_fill import CONTENT, KEY, keep_part

LENGTHS = {b"key %d" % number: number * 77_777 % 1_400_000 for number in range(30)}


def digest(path: Path) -> dict[str, tuple[str, int]]:
    """What every file of a directory holds, and when it was changed."""
    files = [file for file in path.rglob("*") if file.is_file()]
    return {str(file): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) for file in files}


def verified(path: Path):
    with Inspection(path) as inspection:
        verification = Verification(inspection)
        return list(verification.failures()), verification.tally


def records_of(path: Path):
    """Every record of the segments: file, offset and header."""
    for file in sorted((path / "segments").iterdir()):
        with file.open("rb") as opened:
            segment = Segment(file, int(file.stem, 16), os.dup(opened.fileno()), file.stat().st_size)
            segment.tag = decode_segment_header(segment.read(0, FIRST), segment.id, segment.size)
            yield from ((file, offset, header) for offset, header in segment.headers(FIRST, segment.size))
            segment.close()


@pytest.fixture
async def left(tmp_path):
    """A node directory that was left cleanly."""
    async with a_disk(tmp_path / "node") as disk:
        for key, length in LENGTHS.items():
            await keep(disk, key, length)
        await disk.remove(b"key 3")
        await keep_part(disk, 100, 2 * MIB)
    return tmp_path / "node"


@contextmanager
def storing_process(path: Path, root: Path):
    """A process that stores until the block ends, and is killed then; yields once something is written."""
    program = [sys.executable, "-m", "tests.store.keeps_storing", str(path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=root) as process:
        for _ in range(5):
            process.stdout.readline()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.stdout.read()


async def test_what_was_stored_is_found(left):
    with Inspection(left) as inspection:
        found = {located.stored.key: located.stored for located in inspection.responses()}
        contents = {key: b"".join(inspection.content(stored)) for key, stored in found.items()}
    expected = {key: content_of(key, length) for key, length in LENGTHS.items() if key != b"key 3"}
    assert contents == expected | {KEY: CONTENT[100 : 2 * MIB]}


async def test_looking_changes_nothing(left):
    before = digest(left)
    with Inspection(left) as inspection:
        for located in inspection.responses():
            b"".join(inspection.content(located.stored))
        inspection.lookup(b"key 1")
    verified(left)
    assert digest(left) == before


async def test_a_key_has_its_variants_newest_first(tmp_path):
    async with a_disk(tmp_path) as disk:
        await keep(disk, b"key", 10, nominated=((b"accept", b"a"),), response_time=1000.0)
        await keep(disk, b"key", 20, nominated=((b"accept", b"b"),), response_time=1002.0)
        await disk.flush()
        with Inspection(tmp_path) as inspection:
            lengths = [located.stored.complete_length for located in inspection.lookup(b"key")]
            assert inspection.lookup(b"other") == []
    assert lengths == [20, 10]


async def test_an_open_node_is_looked_at(tmp_path):
    """By the process that has it open, even: nothing is locked and nothing is opened twice."""
    async with a_disk(tmp_path) as disk:
        stored = await keep(disk, b"key", 2 * MIB)
        await disk.flush()
        with Inspection(tmp_path) as inspection:
            assert [located.stored for located in inspection.responses()] == [stored]
            assert not inspection.was_clean
        assert verified(tmp_path)[0] == []
        assert await read_all(disk.open(stored, 0, 2 * MIB)) == content_of(b"key", 2 * MIB)


async def test_a_node_left_cleanly_verifies(left):
    failures, tally = verified(left)
    assert failures == []
    assert (tally.orphans, tally.dangling, tally.unindexed, tally.vanished) == (0, 0, 0, 0)
    assert tally.records == sum(1 for _ in records_of(left))
    assert tally.live < tally.records


async def test_progress_ends_with_all_of_it(left):
    steps = []
    with Inspection(left) as inspection:
        list(Verification(inspection, steps.append).failures())
    assert sum(steps) + FIRST * len(inspection.segment_ids()) == sum(
        file.stat().st_size for file in (left / "segments").iterdir()
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_every_flipped_record_is_named(left, seed):
    """Whichever bit of it: of a header or a body, of a record that is used or not."""
    rng = random.Random(seed)
    flipped = {}
    for file, offset, header in rng.sample(list(records_of(left)), 8):
        flip(file, offset + rng.randrange(header.size), rng.randrange(8))
        flipped[int(file.stem, 16), offset] = header
    failures, _ = verified(left)
    assert {(failure.segment, failure.offset) for failure in failures} == set(flipped)
    for failure in failures:
        header = flipped[failure.segment, failure.offset]
        if failure.is_live:
            assert (failure.kind, failure.generation, failure.start) == (header.kind, header.generation, header.offset)
        if failure.is_live and failure.kind is Kind.CHUNK:
            assert failure.key in LENGTHS or failure.key in {KEY, None}


async def test_a_flipped_chunk_is_named_by_its_key(left):
    for file, offset, header in records_of(left):
        if header.kind is Kind.CHUNK and header.length == LENGTHS[b"key 1"]:
            flip(file, offset + HEADER_SIZE + 5, 1)
    (failure,), _ = verified(left)
    assert (failure.fault, failure.key, failure.is_live) == (Fault.CHECKSUM, b"key 1", True)


async def test_a_flipped_header_is_named_by_its_key(left):
    for file, offset, header in records_of(left):
        if header.kind is Kind.CHUNK and header.length == LENGTHS[b"key 1"]:
            flip(file, offset, 1)
    (failure,), _ = verified(left)
    assert (failure.fault, failure.key, failure.is_live) == (Fault.HEADER, b"key 1", True)


async def test_a_flipped_head_is_left_out_and_counted(left):
    file, offset, header = next(record for record in records_of(left) if record[2].kind is Kind.HEAD)
    flip(file, offset + header.size - 1, 1)
    with Inspection(left) as inspection:
        assert sum(1 for _ in inspection.responses()) == len(LENGTHS) - 1
        assert (inspection.damaged, inspection.vanished) == (1, 0)
    (failure,), _ = verified(left)
    assert (failure.fault, failure.kind) == (Fault.CHECKSUM, Kind.HEAD)


async def test_a_damaged_chunk_is_never_handed_out(left):
    for file, offset, header in records_of(left):
        if header.kind is Kind.CHUNK and header.length == LENGTHS[b"key 1"]:
            flip(file, offset + HEADER_SIZE + 5, 1)
    with Inspection(left) as inspection:
        (located,) = inspection.lookup(b"key 1")
        with pytest.raises(StoreDamaged, match="fails its checksum"):
            b"".join(inspection.content(located.stored))


async def test_a_flipped_segment_header_is_named(left):
    flip(next((left / "segments").iterdir()), 9, 0)
    (failure,), _ = verified(left)
    assert (failure.fault, failure.offset) == (Fault.SEGMENT, 0)


@pytest.mark.parametrize("raw", [b"", bytes(4096)])
async def test_a_segment_that_is_being_made_is_no_failure(left, raw):
    (left / "segments" / "0000ffff.seg").write_bytes(raw)
    failures, tally = verified(left)
    assert (failures, tally.unindexed) == ([], 0)


async def test_a_segment_that_was_cut_off_is_named_with_what_it_lacks(left):
    first, *_ = sorted((left / "segments").iterdir())
    os.truncate(first, 20)
    failures, tally = verified(left)
    assert [failure.fault for failure in failures if failure.offset == 0] == [Fault.SEGMENT]
    assert 0 < tally.dangling < tally.failures


async def test_a_segment_that_is_gone_leaves_dangling_entries(left):
    first, *_ = sorted((left / "segments").iterdir())
    named = Counter(header.kind for file, _, header in records_of(left) if file == first)
    first.unlink()
    failures, tally = verified(left)
    assert {failure.fault for failure in failures} <= {Fault.DANGLING, Fault.LACKING}
    assert 0 < tally.dangling <= named[Kind.HEAD] + named[Kind.CHUNK]
    with Inspection(left) as inspection:
        list(inspection.responses())
        assert inspection.vanished == sum(failure.kind is Kind.HEAD for failure in failures)


async def test_a_chunk_without_a_head_is_an_orphan_and_no_failure(tmp_path):
    async with a_disk(tmp_path) as disk:
        writer = await disk.writer(b"key", length=None)
        await writer.write(bytes(MIB + 5))
        await disk.flush()
        failures, tally = verified(tmp_path)
        writer.abort()
    assert (failures, tally.orphans) == ([], 1)


async def test_a_damaged_index_is_a_failure_and_the_records_are_read_all_the_same(left):
    with (left / "index" / "data.mdb").open("r+b") as file:
        file.truncate(3 * 4096)
    failures, tally = verified(left)
    assert [failure.fault for failure in failures] == [Fault.INDEX]
    assert tally.records == sum(1 for _ in records_of(left))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_no_flipped_bit_of_the_index_is_more_than_a_failure(left, seed):
    rng = random.Random(seed)
    size = 40 * 4096
    with Inspection(left) as inspection:
        before = {located.stored for located in inspection.responses()}
    for _ in range(40):
        offset, bit = rng.randrange(size), rng.randrange(8)
        flip(left / "index" / "data.mdb", offset, bit)
        try:
            with Inspection(left) as inspection:
                assert {located.stored for located in inspection.responses()} <= before
            verified(left)
        except StoreDamaged:
            pass
        flip(left / "index" / "data.mdb", offset, bit)
    assert verified(left)[0] == []


async def test_records_that_a_killed_node_did_not_index_are_counted(tmp_path):
    async with a_disk(tmp_path / "node") as disk:
        await keep(disk, b"key", 1000)
        await disk.flush()
        shutil.copytree(tmp_path / "node" / "index", tmp_path / "old")
        await keep(disk, b"key 2", 1000)
        await disk.flush()
        shutil.copytree(tmp_path / "node", tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / "index")
    shutil.copytree(tmp_path / "old", tmp_path / "killed" / "index")
    failures, tally = verified(tmp_path / "killed")
    assert (failures, tally.live, tally.unindexed) == ([], 2, 2)


@pytest.mark.slow
def test_a_node_that_stores_meanwhile(tmp_path, request):
    """It is looked at again and again; everything that is found is right, and it goes on storing."""
    with storing_process(tmp_path, request.config.rootpath) as process:
        for _ in range(5):
            with Inspection(tmp_path) as inspection:
                assert check_contents(inspection) > 0
                assert inspection.damaged == 0
            failures, tally = verified(tmp_path)
            assert (failures, tally.dangling) == ([], 0)
            assert process.stdout.readline()
        assert process.poll() is None


@pytest.mark.slow
def test_a_node_that_was_killed(tmp_path, request):
    with storing_process(tmp_path, request.config.rootpath):
        pass
    before = digest(tmp_path)
    with Inspection(tmp_path) as inspection:
        assert check_contents(inspection) > 0
        assert not inspection.was_clean
    assert verified(tmp_path)[0] == []
    assert digest(tmp_path) == before


def check_contents(inspection: Inspection) -> int:
    """Check all that can be read, and return how much that is; a running node may free what is being looked at."""
    right = 0
    for located in inspection.responses():
        stored = located.stored
        try:
            content = b"".join(inspection.content(stored))
        except StoreDamaged as error:
            assert str(error) == "a chunk is gone"  # noqa: PT017 - and nothing worse
            continue
        assert content == content_of(stored.key, stored.complete_length)
        right += 1
    return right


def test_what_is_no_node_directory_is_refused(tmp_path):
    with pytest.raises(StoreError, match="cannot be looked at as a store: No such file"):
        Inspection(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_another_format_is_refused_in_the_words_of_the_store(left):
    control = left / "control"
    raw = bytearray(control.read_bytes())
    raw[8] = 9
    raw[52:56] = crc32(bytes(raw[:52])).to_bytes(4, "little")
    control.write_bytes(raw)
    with pytest.raises(StoreError, match="has store format 9 and this program knows only formats 1 to 2"):
        Inspection(left)


async def test_more_segments_than_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.store.inspect._OPEN_SEGMENTS", 1)
    async with a_disk(tmp_path) as disk:
        for number in range(12):
            await keep(disk, b"key %d" % number, MIB)
    with Inspection(tmp_path) as inspection:
        assert len(inspection.segment_ids()) > 2
        assert check_contents(inspection) == 12
