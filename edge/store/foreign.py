"""The store of another worker, looked at: never written, never waited for, and never believed longer than it is true."""

import os
from concurrent.futures import Executor
from pathlib import Path

from edge.caching.stored import StoredResponse
from edge.errors import StoreError
from edge.ports import Piece
from edge.store import head
from edge.store.index import Index
from edge.store.memory import Memory
from edge.store.reader import Chunk, Reader
from edge.store.segment import WINDOW, Segment
from edge.store.segment_header import FIRST, decode_segment_header
from edge.store.shared import Shared


class ForeignSegments:
    """Segments of another process, opened when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_id: dict[int, Segment] = {}

    def get(self, segment_id: int) -> Segment | None:
        """Return a segment, None when it is gone; StoreDamaged when it is none."""
        segment = self._by_id.get(segment_id)
        if segment is None:
            path = self._folder / f"{segment_id:08x}.seg"
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return None
            segment = Segment(path, segment_id, fd, os.fstat(fd).st_size)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            segment.tag = decode_segment_header(segment.read(0, FIRST), segment_id, segment.size)
            self._by_id[segment_id] = segment
        return segment

    def sweep(self) -> None:
        """Let go of what its owner has freed, so that the disk has its room back."""
        for segment in list(self._by_id.values()):
            if os.fstat(segment.fd).st_nlink == 0:
                del self._by_id[segment.id]


class Foreign:
    """One other worker's partition, open."""

    def __init__(self, path: Path, pool: Executor) -> None:
        """Open it; StoreDamaged when it cannot be."""
        self._path = path
        self._index = Index.look(path / "index")
        self._file = self._identity()
        self._segments = ForeignSegments(path / "segments")
        self.reader = Reader(self._segments, self._index, pool)

    async def stored(self, key_hash: bytes) -> list[StoredResponse] | None:
        """Return the heads of a key; None when one of them cannot be read, which is for its owner to find out."""
        found = []
        for ref in self._index.heads(key_hash):
            body = None if ref.place is None else await self.reader.head(key_hash, ref.generation, ref.place)
            if body is None:
                return None
            found.append(head.decode(body))
        return found

    def is_current(self) -> bool:
        """Return whether what is open here is what its owner has now opened, too: an index made anew is another file."""
        return self._identity() == self._file

    def _identity(self) -> tuple[int, int]:
        try:
            status = (self._path / "index" / "data.mdb").stat()
        except OSError:
            return 0, 0
        return status.st_dev, status.st_ino

    def sweep(self) -> None:
        """Let go of segments that are no more."""
        self._segments.sweep()

    def close(self) -> None:
        """Let go of the index; segments stay with those who still read them."""
        self._index.close()


class ForeignSource:
    """Octets [start, end) of a generation of another worker.

    With `memory`, they are the whole of a content of one chunk and are kept there once they were read.
    """

    def __init__(
        self, reader: Reader, shared: Shared, key_hash: bytes, generation: bytes, *, start: int, end: int,
        memory: Memory | None,
    ) -> None:  # fmt: skip
        self._reader, self._shared, self._key_hash, self._generation = reader, shared, key_hash, generation
        self._at, self._end, self._memory = start, end, memory
        self._chunk: Chunk | None = None
        self._is_open = True
        shared.pin(generation)

    async def read(self) -> Piece:
        """Return the next piece, b"" at the end; StoreDamaged when it is gone or fails its checksum."""
        if self._at >= self._end:
            self.close()
        if not self._is_open:
            return b""
        try:
            piece = await self._read()
        except StoreError:
            self.close()
            raise
        if self._memory is not None:
            if len(piece) == self._end:
                piece = bytes(piece)
                self._memory.keep_content(self._generation, piece, of=self._key_hash)
            self._memory.awaits_no_more(self._key_hash)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Let the generation go."""
        if self._is_open:
            self._is_open = False
            self._chunk = None
            if self._memory is not None:
                self._memory.awaits_no_more(self._key_hash)
            self._shared.unpin(self._generation)

    async def _read(self) -> Piece:
        chunk = self._chunk
        if chunk is not None and self._at < chunk.end and chunk.place.length > WINDOW:
            return await self._reader.more(chunk, self._key_hash, self._generation, self._at, self._end)
        chunk = self._chunk = self._reader.find(self._generation, self._at)
        if self._memory is not None and not self._at and self._end > WINDOW:
            return await self._reader.whole(chunk, self._key_hash, self._generation)
        end = min(self._end, chunk.end)
        return await self._reader.first(chunk, self._key_hash, self._generation, self._at, end)
