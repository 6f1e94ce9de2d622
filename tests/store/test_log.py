"""Appending to segments and telling the index."""

import errno
import os

import pytest

from edge.errors import StoreError, StoreFull
from edge.store import head
from edge.store.entry import Entry
from edge.store.index import Index
from edge.store.layout import Layout
from edge.store.log import Log
from edge.store.pins import Pins
from edge.store.record import HEADER_SIZE, Kind
from edge.store.segment import Segments
from edge.store.segment_header import FIRST
from tests.store.keeping import MIB, a_stored

HASH = bytes(16)
LAYOUT = Layout.of(16 * MIB)


class Parts:
    """A log and what it works on."""

    def __init__(self, folder) -> None:
        self.segments = Segments(folder / "segments")
        self.segments.open_all()
        self.index = Index.open(folder / "index", LAYOUT.index)
        self.needed: set[bytes] = set()
        self.log = Log(
            self.segments, self.index, LAYOUT, sequence=0, active=None,
            is_needed=self.needed.__contains__, visits=lambda name: 0, pins=Pins({}, 0),
        )  # fmt: skip

    def held(self, generation: bytes):
        with self.index.reading() as transaction:
            return self.index.held(transaction, generation)


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path)
    yield parts
    parts.index.close()
    parts.segments.close()


def a_chunk(number: int, length: int = MIB, offset: int = 0) -> Entry:
    return Entry(Kind.CHUNK, HASH, b"gen%05d" % number, bytes(length), offset)


def a_head(number: int, length: int = MIB, **changes) -> Entry:
    stored = a_stored(b"key", b"gen%05d" % number, length, **changes)
    return Entry(Kind.HEAD, HASH, stored.generation, head.encode(stored), stored=stored)


def test_entries_are_indexed_where_they_are(parts):
    outcome = parts.log.append([a_chunk(1, 100), a_head(1, 100)])
    assert (outcome.done, outcome.error) == (2, None)
    (segment,) = parts.segments
    (chunk, chunk_header), (at, head_header) = segment.headers(FIRST, segment.tail)
    assert (chunk, chunk_header.kind, head_header.kind) == (FIRST, Kind.CHUNK, Kind.HEAD)
    assert parts.index.chunk(b"gen00001", 0).place == (segment.id, chunk, HEADER_SIZE + 100)
    assert parts.index.heads(HASH)[0].place == (segment.id, at, head_header.size)
    assert parts.index.tails() == {segment.id: segment.tail}


def test_a_record_that_does_not_fit_begins_the_next_segment(parts):
    outcome = parts.log.append([a_chunk(number) for number in range(4)])
    assert (outcome.done, len(parts.segments)) == (4, 2)
    assert parts.index.chunk(b"gen00003", 0).place.segment == 2


def test_the_oldest_goes_before_the_share_is_exceeded(parts):
    for number in range(40):
        assert parts.log.append([a_chunk(number), a_head(number, status=200 + number)]).error is None
        assert parts.segments.size <= LAYOUT.segments
    assert parts.held(b"gen00000") == ()
    assert parts.held(b"gen00039") == ((0, MIB),)


def test_what_is_needed_and_cannot_be_kept_is_reported(parts):
    parts.needed.add(b"generatn")
    lost = set()
    for offset in range(0, 40 * MIB, MIB):
        outcome = parts.log.append([Entry(Kind.CHUNK, HASH, b"generatn", bytes(MIB), offset)])
        assert outcome.error is None
        lost |= outcome.lost
    assert lost == {b"generatn"}


def test_what_replaces_a_response_names_it(parts):
    assert parts.log.append([a_chunk(1), a_head(1)]).replaced == []
    assert parts.log.append([a_chunk(2), a_head(2)]).replaced == [b"gen00001"]
    # Its content is for the caller to forget: somebody may be reading it.
    assert parts.held(b"gen00001") == ((0, MIB),)
    parts.log.append([Entry(None, b"", b"gen00001")])
    assert parts.held(b"gen00001") == ()


def test_a_group_that_cannot_be_written_is_not_indexed(parts, monkeypatch):
    parts.log.append([a_chunk(1, 100), a_head(1, 100)])
    (segment,) = parts.segments
    tail = segment.tail

    def pwrite(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", pwrite)
        outcome = parts.log.append([a_chunk(2, 100), a_head(2, 100)])
    assert (outcome.done, type(outcome.error)) == (0, StoreError)
    assert (segment.tail, parts.held(b"gen00002")) == (tail, ())
    assert [ref.generation for ref in parts.index.heads(HASH)] == [b"gen00001"]
    assert parts.log.append([a_chunk(2, 100), a_head(2, 100)]).error is None
    assert [ref.generation for ref in parts.index.heads(HASH)] == [b"gen00002"]


def test_short_writes_are_completed(parts, monkeypatch):
    pwrite = os.pwrite
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:1000], offset))
        assert parts.log.append([a_chunk(1), a_head(1)]).error is None
    (segment,) = parts.segments
    assert next(segment.body(*found) for found in segment.headers(FIRST, segment.tail)) == bytes(MIB)


def test_a_segment_that_cannot_be_freed_is_not_forgotten(parts, monkeypatch):
    def unlink(*_, **__):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    for number in range(9):
        parts.log.append([a_chunk(number)])
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", unlink)
        outcomes = [parts.log.append([a_chunk(number)]) for number in range(9, 20)]
        assert isinstance(outcomes[-1].error, StoreError)
        assert parts.segments.size <= LAYOUT.segments
    assert parts.log.append([a_chunk(30)]).error is None


def test_nothing_to_free_and_no_room_is_full(parts, monkeypatch):
    def posix_fallocate(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", posix_fallocate)
    outcome = parts.log.append([a_chunk(1)])
    assert (outcome.done, type(outcome.error)) == (0, StoreFull)
    assert list((parts.segments._folder).iterdir()) == []


def test_a_file_system_that_cannot_preallocate_will_do(parts, monkeypatch):
    def posix_fallocate(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", posix_fallocate)
    assert parts.log.append([a_chunk(1)]).error is None
    (segment,) = parts.segments
    assert segment.path.stat().st_size == segment.size
