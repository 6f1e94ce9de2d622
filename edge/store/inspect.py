"""Looking into a node directory, whether its node runs or not: takes no lock, writes nothing, starts no thread.

What is written is seen some tens of milliseconds after it is stored.  A running node may free a segment while it is
looked at: what was in it is then gone, which is counted and is no fault.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged, StoreError
from edge.store import head
from edge.store.index import Found, HeadRef, Heads, Place, chunk_key, decode_chunk, decode_heads, decode_tails
from edge.store.node import Node
from edge.store.pages import Pages
from edge.store.record import CHUNK_SIZE, HEADER_SIZE, Kind, check_body, check_header, key_hash
from edge.store.segment import Segment
from edge.store.segment_header import FIRST, decode_segment_header

# A large node has more segments than a process may have files open.
_OPEN_SEGMENTS = 64
_is_segment = re.compile(r"([0-9a-f]{8})\.seg").fullmatch


class Located(NamedTuple):
    """A stored response, the place of its head record, and the hash of its key."""

    stored: StoredResponse
    place: Place
    key_hash: bytes


class Inspection:
    """A node directory that is looked at.

    Attributes:
        path: where it is.
        was_clean: whether it was left cleanly; a running node has not left.
        vanished: how many heads were gone by the time they were looked at.
        damaged: how many heads could not be read.
    """

    def __init__(self, path: Path) -> None:
        """Open the node directory at `path`; StoreError if it is none, or of another format."""
        self.path, self.vanished, self.damaged = path, 0, 0
        self.was_clean = _Left(path).was_clean
        self._pages = Pages(path / "index" / "data.mdb")
        self._segments: dict[int, Segment] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file."""
        self._pages.close()
        self._segments.clear()

    # Stored responses.

    def responses(self) -> Iterator[Located]:
        """Yield every stored response, in no order that means anything; StoreDamaged if the index cannot be read."""
        for name, heads in self.heads():
            yield from self._located(name, heads)

    def lookup(self, key: bytes) -> list[Located]:
        """Return the stored responses of `key`, the newest response first."""
        name = key_hash(key)
        found = [located for located in self._located(name, self.heads_of(name)) if located.stored.key == key]
        return sorted(found, key=lambda located: located.stored.response_time, reverse=True)

    def key_of(self, name: bytes, generation: bytes) -> bytes | None:
        """Return the key whose hash is `name`, as a readable head says, that of `generation` first; None if none does.

        Whichever head says it: a hash has one key.
        """
        for ref in sorted(self.heads_of(name), key=lambda ref: ref.generation != generation):
            with suppress(StoreDamaged):
                if ref.place is not None and (stored := self._head(name, ref, ref.place)) is not None:
                    return stored.key
        return None

    def content(self, stored: StoredResponse) -> Iterator[bytes]:
        """Yield the octets that are held, in order, each chunk checked before any of it is yielded.

        StoreDamaged: something is gone or fails its checksum.
        """
        name = key_hash(stored.key)
        for first, last in stored.ranges:
            at = first
            while at < last:
                start, data = self._chunk(name, stored.generation, at)
                piece = data[at - start : last - start]
                yield piece
                at += len(piece)

    def check_chunk(self, name: bytes, generation: bytes, found: Found) -> bytes | None:
        """Return the octets of a chunk, None when its segment was freed; StoreDamaged if it is another or damaged."""
        return self._body(Kind.CHUNK, name, generation, found.start, found.place)

    # The index.

    def heads(self) -> Iterator[tuple[bytes, Heads]]:
        """Yield the hash of every key with its heads."""
        for name, raw in self._pages.items(b"heads"):
            yield name, decode_heads(raw)

    def heads_of(self, name: bytes) -> Heads:
        """Return the heads of the key whose hash is `name`, as the index has them now."""
        return decode_heads(self._pages.get(b"heads", name) or b"")

    def chunks(self) -> Iterator[tuple[bytes, Found]]:
        """Yield every chunk after its generation, generation by generation, in order of content offset."""
        for key, value in self._pages.items(b"chunks"):
            yield key[:8], decode_chunk(key, value)

    def chunks_of(self, generation: bytes, offset: int = 0) -> Iterator[Found]:
        """Yield the chunks of `generation` that begin at `offset` or behind it, as the index has them now."""
        for key, value in self._pages.items(b"chunks", chunk_key(generation, offset)):
            if key[:8] != generation:
                return
            yield decode_chunk(key, value)

    def tails(self) -> dict[int, int]:
        """Return up to where each segment that was written to is indexed, by id."""
        return decode_tails(self._pages.items(b"marks"))

    # Segments.

    def segment_ids(self) -> list[int]:
        """Return the ids of the segments there are, the oldest first."""
        try:
            names = os.listdir(self.path / "segments")
        except OSError as error:
            raise StoreError(f"{self.path} has segments that cannot be listed: {error.strerror}") from error
        return sorted(int(match[1], 16) for name in names if (match := _is_segment(name)) is not None)

    def size(self) -> int:
        """Return how long all segments are together, bytes."""
        total = 0
        for segment_id in self.segment_ids():
            with suppress(FileNotFoundError):
                total += (self.path / "segments" / f"{segment_id:08x}.seg").stat().st_size
        return total

    def segment(self, segment_id: int) -> Segment | None:
        """Return the segment called `segment_id`, None when it is gone; StoreDamaged if it cannot be opened."""
        segment = self._segments.pop(segment_id, None) or _opened(self.path / "segments", segment_id)
        if segment is not None:
            # The last one is the one used last.
            self._segments[segment_id] = segment
            if len(self._segments) > _OPEN_SEGMENTS:
                del self._segments[next(iter(self._segments))]
        return segment

    def _located(self, name: bytes, heads: Heads) -> Iterator[Located]:
        for ref in heads:
            try:
                stored = self._head(name, ref, ref.place) if ref.place is not None else None
            except StoreDamaged:
                self.damaged += 1
                continue
            if stored is None or ref.place is None:
                self.vanished += 1
            else:
                yield Located(stored, ref.place, name)

    def _head(self, name: bytes, ref: HeadRef, place: Place) -> StoredResponse | None:
        body = self._body(Kind.HEAD, name, ref.generation, 0, place)
        return head.decode(body) if body is not None else None

    def _chunk(self, name: bytes, generation: bytes, offset: int) -> tuple[int, bytes]:
        """Return the chunk that holds the octet at `offset`, after the offset at which it begins."""
        # Once more for a chunk that was moved, and its segment freed, between the two looks.
        for _ in range(2):
            # No chunk crosses a multiple of CHUNK_SIZE, so none that begins below the last one reaches so far.
            for found in self.chunks_of(generation, offset - offset % CHUNK_SIZE):
                if found.start > offset:
                    break
                if found.end > offset and (data := self.check_chunk(name, generation, found)) is not None:
                    return found.start, data
        raise StoreDamaged("a chunk is gone")

    def _body(self, kind: Kind, name: bytes, generation: bytes, offset: int, place: Place) -> bytes | None:
        segment = self.segment(place.segment)
        if segment is None:
            return None
        header = check_header(segment.read(place.offset, HEADER_SIZE), segment.tag, kind, name, generation, offset)
        if header.size != place.length:
            raise StoreDamaged("a record has another length than the index says")
        body = segment.read(place.offset + HEADER_SIZE, header.length)
        check_body(header, body)
        return body


class _Left(Node):
    """How a node directory was left, read without making or locking it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._control = os.open(path / "control", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{path} cannot be looked at as a store: {error.strerror}") from error
        try:
            self.was_clean, self.was_this_boot = self._read()
        finally:
            os.close(self._control)


def _opened(folder: Path, segment_id: int) -> Segment | None:
    path = folder / f"{segment_id:08x}.seg"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreDamaged(f"{path.name} cannot be opened: {error.strerror}") from error
    status = os.fstat(fd)
    segment = Segment(path, segment_id, fd, status.st_size)
    if not stat.S_ISREG(status.st_mode):
        segment.close()
        raise StoreDamaged(f"{path.name} is not a file")
    # With both copies of its header gone, its records are as well: each of them is then damaged.
    with suppress(StoreDamaged):
        segment.tag = decode_segment_header(os.pread(fd, FIRST, 0), segment_id, segment.size)
    return segment
