"""What was used outlasts a restart."""

import os
import shutil

import pytest

from edge.store import visits
from edge.store.segment import Segments
from tests.store.keeping import MIB, a_disk, content_of, content_or_none, flip, keep

QUOTA = 16 * MIB


@pytest.fixture
def segments(tmp_path):
    segments = Segments(tmp_path / "segments")
    segments.open_all()
    yield segments
    segments.close()


def saved(segments: Segments, path) -> Segments:
    """The same segments, as they are opened after a save."""
    visits.save(path, segments)
    again = Segments(segments._folder)
    again.open_all()
    return again


def test_what_is_saved_is_loaded(segments, tmp_path):
    first, second = segments.create(MIB), segments.create(2 * MIB)
    first.visit(64)
    second.visit(MIB, 2)
    again = saved(segments, tmp_path / "visits")
    visits.load(tmp_path / "visits", again)
    assert [segment.access for segment in again] == [first.access, second.access]
    # Over what was there before, and without what was freed meanwhile.
    segments.drop(first)
    second.visit(0)
    again = saved(segments, tmp_path / "visits")
    visits.load(tmp_path / "visits", again)
    assert [segment.visits(0) for segment in again] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["segments", "visits"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="it is gone"),
        pytest.param(lambda path: flip(path, 30, 1), id="a bit is another"),
        pytest.param(lambda path: os.truncate(path, 20), id="it is cut"),
        pytest.param(lambda path: os.truncate(path, 0), id="it is empty"),
        pytest.param(lambda path: path.write_bytes(b"FLvisits"), id="it is only begun"),
        pytest.param(lambda path: path.rename(path.with_name("other")) or path.symlink_to("other"), id="it is a link"),
    ],
)
def test_a_file_that_is_not_whole_is_ignored(segments, tmp_path, damage):
    segments.create(MIB).visit(64)
    again = saved(segments, tmp_path / "visits")
    damage(tmp_path / "visits")
    visits.load(tmp_path / "visits", again)
    assert [segment.visits(64) for segment in again] == [0]


def test_a_segment_of_the_same_id_is_not_the_same(segments, tmp_path):
    segment = segments.create(MIB)
    segment.visit(64)
    again = saved(segments, tmp_path / "visits")
    for each in again:
        each.tag = b"another-"
    visits.load(tmp_path / "visits", again)
    assert [each.visits(64) for each in again] == [0]


@pytest.mark.parametrize("memory", [0, MIB])
@pytest.mark.parametrize("end", ["closed", "killed"])
async def test_after_a_restart_what_was_used_stays_and_the_rest_goes(tmp_path, memory, end):
    async with a_disk(tmp_path / "node", quota=QUOTA, memory=memory) as disk:
        for name in (b"used", b"between", b"unused"):
            await keep(disk, name, 100_000)
        await disk.flush()
        for _ in range(3):
            assert await content_or_none(disk, b"used") == content_of(b"used", 100_000)
        if end == "killed":
            disk._save_visits()
            shutil.copytree(tmp_path / "node", tmp_path / "killed")
    path = tmp_path / ("node" if end == "closed" else "killed")
    async with a_disk(path, quota=QUOTA) as disk:
        for number in range(26):
            await keep(disk, b"flood %d" % number, MIB // 2)
        await disk.flush()
        assert await disk.lookup(b"unused") == ()
        assert await content_or_none(disk, b"used") == content_of(b"used", 100_000)


async def test_the_file_is_within_the_quota(tmp_path):
    async with a_disk(tmp_path, quota=QUOTA) as disk:
        for number in range(200):
            await keep(disk, b"%d" % number, 90_000)
        await disk.flush()
        for segment in disk._segments:
            # As bad to compress as it gets.
            segment.restore_access(os.urandom(len(segment.access)))
        disk._save_visits()
        assert 2 * (tmp_path / "visits").stat().st_size <= visits.size_limit(QUOTA)
