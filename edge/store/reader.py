"""Reading: windows of a chunk, straight from the page cache, and through a thread only when the disk must be waited for.

Nothing is returned that does not follow the header that was looked for.  A chunk of up to a window is checked whenever
it is read; a longer one is checked whole when it comes from the disk, and then read window by window for as long as it
stays in the page cache.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from edge.errors import StoreDamaged, StoreError
from edge.ports import Piece
from edge.store.buffers import LARGE, Buffers
from edge.store.index import Index, Place
from edge.store.ledger import Ledger
from edge.store.record import HEADER_SIZE, Kind, body_of, check_header, is_body
from edge.store.segment import WINDOW, Segment

#: Seconds after which what the disk has not returned counts as gone.
PATIENCE = 10.0
# Most of what a source gives first: a client that has others sent to it before this one need not have more in memory.
_FIRST = 64 << 10
# Reads that wait for the disk; with more of them, one more would not be answered in time.
_MOST_WAITING = 1000
_WOULD_WAIT = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that is being read: its octets are [start, end) of the content."""

    segment: Segment
    place: Place
    start: int
    end: int


class Opened(Protocol):
    """The segments that can be read."""

    def get(self, segment_id: int) -> Segment | None:
        """Return a segment, None when it is gone."""
        ...


class Reader:
    """Reads records.

    Attributes:
        patience: seconds after which a read that the disk has not answered fails.
    """

    def __init__(self, segments: Opened, index: Index, pool: Executor) -> None:
        self._segments, self._index, self._pool = segments, index, pool
        self._buffers = Buffers()
        self.patience, self._waiting = PATIENCE, 0

    async def head(self, key_hash: bytes, generation: bytes, place: Place) -> bytes | None:
        """Return the body of a head, None when its segment was freed; StoreDamaged if it is not what it should be."""
        segment = self._segments.get(place.segment)
        if segment is None:
            return None
        segment.visit(place.offset)
        raw = await self._read(segment, place.offset, place.length)
        return bytes(body_of(raw, segment.tag, Kind.HEAD, key_hash, generation, 0))

    def at_once(self, kind: Kind, key_hash: bytes, generation: bytes, place: Place) -> memoryview | None:
        """Return the body of a head, or of a first chunk, None when that cannot be had without waiting for the disk.

        StoreDamaged if it is not what it should be.
        """
        found = self.with_header(kind, key_hash, generation, place)
        return None if found is None else found[1]

    def both_at_once(
        self, key_hash: bytes, generation: bytes, chunk: Place, head: Place
    ) -> tuple[memoryview, memoryview] | None:
        """Return the bodies of a first chunk and of the head that was written behind it, as `at_once` does; in one read."""
        segment = self._segments.get(head.segment)
        length = chunk.length
        raw = None if segment is None else self._at_once(segment, chunk.offset, bytearray(length + head.length))
        if segment is None or raw is None:
            return None
        segment.visit(chunk.offset)
        segment.visit(head.offset)
        return (
            body_of(raw[:length], segment.tag, Kind.CHUNK, key_hash, generation, 0),
            body_of(raw[length:], segment.tag, Kind.HEAD, key_hash, generation, 0),
        )

    def with_header(
        self, kind: Kind, key_hash: bytes, generation: bytes, place: Place
    ) -> tuple[memoryview, memoryview] | None:
        """Return header and body of a record, as `at_once` does the body."""
        segment = self._segments.get(place.segment)
        raw = None if segment is None else self._at_once(segment, place.offset, bytearray(place.length))
        if segment is None or raw is None:
            return None
        segment.visit(place.offset)
        return raw[:HEADER_SIZE], body_of(raw, segment.tag, kind, key_hash, generation, 0)

    def again(self, place: Place, header: bytes) -> memoryview | None:
        """Return the body of the record that `with_header` has read before; None when it cannot be had, or is another.

        StoreDamaged if the disk refuses.
        """
        segment = self._segments.get(place.segment)
        raw = None if segment is None else self._at_once(segment, place.offset, bytearray(place.length))
        if segment is None or raw is None or raw[:HEADER_SIZE] != header:
            return None
        body = raw[HEADER_SIZE:]
        if not is_body(header, body):
            return None
        segment.visit(place.offset)
        return body

    def find(self, generation: bytes, offset: int) -> Chunk:
        """Return the chunk of `generation` that holds the octet at `offset`; StoreDamaged if there is none."""
        # Once more for a chunk that was moved, and its segment freed, between the two looks.
        for _ in range(2):
            found = self._index.chunk(generation, offset)
            if found is not None and (segment := self._segments.get(found.place.segment)) is not None:
                return Chunk(segment, found.place, found.start, found.end)
        raise StoreDamaged("a chunk is gone")

    async def first(self, chunk: Chunk, key_hash: bytes, generation: bytes, offset: int, end: int) -> Piece:
        """Return some of `chunk` from `offset` on, having checked whose it is and that it is whole."""
        segment, place = chunk.segment, chunk.place
        segment.visit(place.offset)
        if place.length <= WINDOW:
            raw = await self._read(segment, place.offset, place.length)
            body_of(raw, segment.tag, Kind.CHUNK, key_hash, generation, chunk.start)
            return _window(raw, chunk, offset, end)
        if segment.is_verified(place.offset):
            header = self._at_once(segment, place.offset, bytearray(HEADER_SIZE))
            if header is not None:
                found = check_header(header, segment.tag, Kind.CHUNK, key_hash, generation, chunk.start)
                if found.size != place.length:
                    raise StoreDamaged("a record has another length than the index says")
                return await self.more(chunk, key_hash, generation, offset, end)
        return await self._verified(chunk, key_hash, generation, offset, end)

    async def whole(self, chunk: Chunk, key_hash: bytes, generation: bytes) -> Piece:
        """Return all of `chunk`, having checked it: what is kept is checked once, and not again."""
        segment, place = chunk.segment, chunk.place
        segment.visit(place.offset)

        def read() -> Piece:
            raw = memoryview(segment.read(place.offset, place.length))
            return body_of(raw, segment.tag, Kind.CHUNK, key_hash, generation, chunk.start)

        return await self._in_thread(read)

    async def more(self, chunk: Chunk, key_hash: bytes, generation: bytes, offset: int, end: int) -> Piece:
        """Return some of `chunk`, which is longer than a window and was checked, from `offset` on."""
        left = min(end, chunk.end) - offset
        octets = generation, offset, min(left, LARGE)
        raw = self._buffers.find(octets) if left > WINDOW else None
        if raw is None:
            # Slow clients may hold all of the large buffers.
            large = self._buffers.take(octets[2]) if left > WINDOW else None
            into = bytearray(min(left, WINDOW)) if large is None else large
            raw = self._at_once(chunk.segment, chunk.place.offset + HEADER_SIZE + offset - chunk.start, into)
            if raw is not None and large is not None and chunk.segment.visits(chunk.place.offset) > 1:
                self._buffers.keep(octets, large)
                raw = raw.toreadonly()
        if raw is not None:
            if len(raw) > _FIRST:
                # Clients that take all at once would keep every other connection waiting.
                await asyncio.sleep(0)
            return raw
        # What was checked has left the memory since: the disk may return something else now.
        return await self._verified(chunk, key_hash, generation, offset, end)

    async def _verified(self, chunk: Chunk, key_hash: bytes, generation: bytes, offset: int, end: int) -> Piece:
        """Read a long chunk whole in a thread and check it."""

        def read() -> Piece:
            raw = memoryview(chunk.segment.read(chunk.place.offset, chunk.place.length))
            body_of(raw, chunk.segment.tag, Kind.CHUNK, key_hash, generation, chunk.start)
            window = _window(raw, chunk, offset, end)
            # The chunk is not to stay in memory for the sake of a part that waits for a slow client.
            return window if 2 * len(window) >= len(raw) else bytes(window)

        window = await self._in_thread(read)
        chunk.segment.verified(chunk.place.offset)
        return window

    async def _read(self, segment: Segment, offset: int, length: int) -> memoryview:
        raw = self._at_once(segment, offset, bytearray(length))
        if raw is not None:
            return raw
        return memoryview(await self._in_thread(partial(segment.read, offset, length)))

    async def _in_thread(self, read: Callable[[], Piece]) -> Piece:
        """Return what `read` does; StoreError when the disk does not answer in time."""
        if self._waiting >= _MOST_WAITING:
            raise StoreError("too many reads wait for the disk")
        self._waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._pool, read)
        try:
            async with asyncio.timeout(self.patience):
                return await work
        except TimeoutError as error:
            raise StoreError("the disk does not answer") from error
        finally:
            self._waiting -= 1

    @staticmethod
    def _at_once(segment: Segment, offset: int, into: bytearray | memoryview) -> memoryview | None:
        """Fill `into` with what can be read without waiting for the disk; return None if it is not all of it."""
        try:
            if os.preadv(segment.fd, [into], offset, os.RWF_NOWAIT) == len(into):
                return memoryview(into)
        except OSError as error:
            if error.errno not in _WOULD_WAIT:
                raise StoreDamaged(f"{segment.path.name} cannot be read: {error.strerror}") from error
        return None


class MemorySource:
    """Octets [start, end) of a content that is in memory."""

    def __init__(self, content: bytes, start: int = 0, end: int | None = None) -> None:
        is_whole = not start and (end is None or end == len(content))
        self._data: Piece = content if is_whole else memoryview(content)[start:end]

    async def read(self) -> Piece:
        """Return all of it, then b""."""
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        """Let go of the octets."""
        self._data = b""


class DiskSource:
    """Octets [start, end) of a generation, from wherever each of them is at the moment it is read.

    The generation is kept for as long as the source is open.  With `whole`, the octets are the whole of a content of one
    chunk and are kept in memory once they were read.
    """

    def __init__(
        self,
        ledger: Ledger,
        reader: Reader,
        key_hash: bytes,
        generation: bytes,
        *,
        start: int,
        end: int,
        whole: bool = False,
    ) -> None:
        self._ledger, self._reader, self._key_hash, self._generation = ledger, reader, key_hash, generation
        self._at, self._end, self._whole = start, end, whole
        self._chunk: Chunk | None = None
        self._open = True
        ledger.pin(generation)

    async def read(self) -> Piece:
        """Return the next piece, b"" at the end; StoreDamaged when it is gone or fails its checksum."""
        if self._at >= self._end:
            self.close()
        if not self._open:
            return b""
        waiting = self._ledger.waiting(self._generation, self._at)
        if waiting is not None:
            piece: Piece = bytes(waiting[: min(self._end - self._at, WINDOW)])
        else:
            piece = await self._read()
        if self._whole:
            if len(piece) == self._end and self._open:
                piece = bytes(piece)
                self._ledger.memory.keep_content(self._generation, piece, of=self._key_hash)
            self._ledger.memory.awaits_no_more(self._key_hash)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Let the generation go."""
        if self._open:
            self._open = False
            self._chunk = None
            if self._whole:
                self._ledger.memory.awaits_no_more(self._key_hash)
            self._ledger.unpin(self._generation)

    async def _read(self) -> Piece:
        try:
            chunk = self._chunk
            if chunk is not None and self._at < chunk.end and chunk.place.length > WINDOW:
                return await self._reader.more(chunk, self._key_hash, self._generation, self._at, self._end)
            is_first = chunk is None
            chunk = self._chunk = self._reader.find(self._generation, self._at)
            if self._whole and not self._at and self._end > WINDOW:
                return await self._reader.whole(chunk, self._key_hash, self._generation)
            end = min(self._end, chunk.end)
            if is_first and end - self._at > WINDOW:
                end = min(end, self._at + _FIRST)
            return await self._reader.first(chunk, self._key_hash, self._generation, self._at, end)
        except StoreDamaged:
            self.close()
            self._ledger.quarantine(self._key_hash, self._generation)
            raise
        except StoreError:
            self.close()
            raise


def _window(raw: memoryview, chunk: Chunk, offset: int, end: int) -> memoryview:
    """Return the content of `chunk`, whose record is `raw`, from `offset` on."""
    first = HEADER_SIZE + offset - chunk.start
    return raw[first : first + min(end, chunk.end) - offset]
