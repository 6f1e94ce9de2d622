"""A store that keeps everything in memory and can be told to fail."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged, StoreFull
from edge.semantics.fields import FieldSection

_PIECE = 64 << 10
_NO_FIELDS = FieldSection()


class MemoryStore:
    """The exchange's `Store`; `is_full` refuses writes, `damaged` generations fail to read."""

    def __init__(self) -> None:
        self.heads: dict[bytes, list[StoredResponse]] = {}
        self.contents: dict[bytes, bytearray] = {}
        self.damaged: set[bytes] = set()
        self.is_full = False
        self._numbers = itertools.count(1)

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Return the stored responses of `key`, newest first."""
        return list(self.heads.get(key, ()))

    def open(self, stored: StoredResponse, start: int, end: int) -> "MemorySource":
        """Return octets of a stored content."""
        return MemorySource(self, stored, start, end)

    async def writer(
        self, key: bytes, *, length: int | None, extends: StoredResponse | None = None, start: int = 0
    ) -> "MemoryWriter":
        """Begin to store."""
        if self.is_full:
            raise StoreFull
        generation = extends.generation if extends else next(self._numbers).to_bytes(8, "big")
        return MemoryWriter(self, key, generation, start)

    async def put(self, stored: StoredResponse) -> None:
        """Replace a head."""
        self._replace(stored)

    async def remove(self, key: bytes, generation: bytes | None = None) -> int:
        """Forget heads."""
        heads = self.heads.get(key, [])
        kept = [head for head in heads if generation is not None and head.generation != generation]
        self.heads[key] = kept
        return len(heads) - len(kept)

    def _replace(self, stored: StoredResponse) -> None:
        others = [
            head
            for head in self.heads.get(stored.key, ())
            if head.generation != stored.generation and head.nominated != stored.nominated
        ]
        self.heads[stored.key] = [stored, *others]


class MemorySource:
    """Octets [start, end) of a content."""

    def __init__(self, store: MemoryStore, stored: StoredResponse, start: int, end: int) -> None:
        self._store, self._stored, self._position, self._end = store, stored, start, end

    async def read(self) -> bytes:
        """Return the next piece."""
        generation = self._stored.generation
        if generation in self._store.damaged:
            await self._store.remove(self._stored.key, generation)
            raise StoreDamaged
        piece = bytes(self._store.contents[generation][self._position : min(self._end, self._position + _PIECE)])
        self._position += len(piece)
        return piece

    def close(self) -> None:
        """Do nothing: memory is not held open."""


class MemoryWriter:
    """Content being stored."""

    def __init__(self, store: MemoryStore, key: bytes, generation: bytes, start: int) -> None:
        self._store, self._key, self._position = store, key, start
        self.generation = generation
        self._content = store.contents.setdefault(generation, bytearray())

    async def write(self, data: bytes) -> None:
        """Append."""
        if self._store.is_full:
            raise StoreFull
        end = self._position + len(data)
        if len(self._content) < end:
            self._content.extend(bytes(end - len(self._content)))
        self._content[self._position : end] = data
        self._position = end

    def open(self, start: int, end: int) -> MemorySource:
        """Return octets written so far."""
        place = StoredResponse(self._key, self.generation, b"", (), 0, b"", _NO_FIELDS, 0.0, 0.0, None)
        return MemorySource(self._store, place, start, end)

    async def commit(self, stored: StoredResponse) -> None:
        """Make the content findable."""
        if self._store.is_full:
            raise StoreFull
        self._store._replace(replace(stored, generation=self.generation))

    def abort(self) -> None:
        """Do nothing: nothing finds the content."""
