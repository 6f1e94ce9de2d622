"""Segments as files."""

import os
import resource
import stat

import pytest

from edge.errors import StoreDamaged, StoreError
from edge.store.record import Kind, encode_header, header_of
from edge.store.segment import Segment, Segments
from edge.store.segment_header import FIRST

SIZE = 1 << 20


def a_record(segment: Segment, number: int, body: bytes = b"content") -> bytes:
    header = header_of(Kind.CHUNK, body, key_hash=bytes(16), generation=bytes(8), sequence=number)
    return encode_header(header, segment.tag) + body


@pytest.fixture
def segments(tmp_path):
    segments = Segments(tmp_path / "segments")
    segments.open_all()
    yield segments
    segments.close()


def opened_again(segments: Segments) -> Segments:
    segments.close()
    again = Segments(segments._folder)
    again.open_all()
    return again


def test_a_new_segment_takes_its_size_of_the_disk_at_once(segments):
    segment = segments.create(SIZE)
    status = segment.path.stat()
    assert (status.st_size, stat.S_IMODE(status.st_mode), segments.size, segment.tail) == (SIZE, 0o600, SIZE, FIRST)
    assert status.st_blocks * 512 >= SIZE


def test_records_come_back_in_their_order(segments):
    segment = segments.create(SIZE)
    for number in range(3):
        segment.write(a_record(segment, number))
    found = list(segment.headers(FIRST, segment.tail))
    assert [header.sequence for _, header in found] == [0, 1, 2]
    assert [segment.body(*one) for one in found] == [b"content"] * 3


def test_records_end_where_one_is_damaged(segments):
    segment = segments.create(SIZE)
    for number in range(3):
        segment.write(a_record(segment, number))
    places = [offset for offset, _ in segment.headers(FIRST, segment.tail)]
    os.pwrite(segment.fd, b"\xff", places[1] + 20)
    assert [header.sequence for _, header in segment.headers(FIRST, SIZE)] == [0]


def test_a_freed_segment_stays_readable_for_whoever_has_it(segments):
    segment = segments.create(SIZE)
    segment.write(a_record(segment, 1))
    segments.drop(segment)
    assert (len(segments), segments.size, segment.path.exists()) == (0, 0, False)
    assert segment.read(FIRST, 4) == segment.tag[:4]


def test_segments_are_found_again_and_ids_go_on(segments):
    first, second = segments.create(SIZE), segments.create(2 * SIZE)
    segments.drop(first)
    again = opened_again(segments)
    assert [(segment.id, segment.size) for segment in again] == [(second.id, 2 * SIZE)]
    assert again.create(SIZE).id == second.id + 1
    again.close()


def test_ids_that_the_index_may_name_are_not_used_again(segments):
    segments.reserve_ids(41)
    assert segments.create(SIZE).id == 42


@pytest.mark.parametrize("how", ["symlink", "hard link", "pipe", "directory"])
def test_a_segment_that_is_not_its_own_file_is_refused_and_left_alone(segments, tmp_path, how):
    path = segments.create(SIZE).path
    victim = path.rename(tmp_path / "victim")
    match how:
        case "symlink":
            path.symlink_to(victim)
        case "hard link":
            path.hardlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    again = opened_again(segments)
    assert (len(again), again.refused, victim.exists()) == (0, 1, True)
    assert again.create(SIZE).path != path
    again.close()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(b"something else"), id="no segment"),
        pytest.param(lambda path: os.truncate(path, SIZE // 2), id="shorter than it was"),
        pytest.param(lambda path: os.truncate(path, 0), id="empty"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes().replace(b"FLsg\2", b"FLsg\x09")), id="another version"
        ),
    ],
)
def test_a_file_that_is_no_segment_is_freed(segments, damage):
    path = segments.create(SIZE).path
    damage(path)
    again = opened_again(segments)
    assert (len(again), again.refused, path.exists()) == (0, 1, False)


def test_a_segment_of_another_id_is_freed(segments):
    path = segments.create(SIZE).path
    path.rename(path.with_name("000000ff.seg"))
    assert len(opened_again(segments)) == 0


def test_reading_behind_the_end_is_damage(segments):
    segment = segments.create(SIZE)
    with pytest.raises(StoreDamaged):
        segment.read(SIZE - 2, 4)


def test_a_folder_that_was_deleted_is_made_again(segments):
    segments.create(SIZE).path.unlink()
    segments._folder.rmdir()
    assert segments.create(SIZE).path.exists()


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "segments").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        Segments(tmp_path / "segments").open_all()


def test_what_is_written_in_part_is_not_there(segments):
    """As when a disk takes some of a group and fails then."""
    segment = segments.create(SIZE)
    segment.write(a_record(segment, 1))
    tail, limits = segment.tail, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (tail + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            segment.write(2 * a_record(segment, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (segment.tail, segment.read(tail, 200)) == (tail, bytes(200))
    segment.write(a_record(segment, 3))
    assert [header.sequence for _, header in segment.headers(FIRST, SIZE)] == [1, 3]
