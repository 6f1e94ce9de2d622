"""A store that keeps everything in memory and can be told to fail."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

from edge.caching.stored import StoredResponse
from edge.errors import NotAdmitted, StoreDamaged, StoreError, StoreFull
from edge.ports import Again, Piece, Token
from edge.semantics.fields import FieldSection
from edge.testing.pauses import Pauses

_PIECE = 64 << 10
_NO_FIELDS = FieldSection()


class MemoryStore:
    """The exchange's `Store`.

    Attributes:
        heads: the stored responses by key, newest first.
        contents: the octets by generation.
        damaged: generations that fail to read.
        is_full: whether writes are refused.
        is_slow: whether nothing can be looked up or read without waiting.
        admits: whether what writers take is kept.
        holds: whether whole contents are at hand.
        takes: writes wait while it is not set.
        writers: how many are neither committed nor aborted.
        sources: how many are not closed.
    """

    def __init__(self, pauses: Pauses | None = None) -> None:
        self.heads: dict[bytes, list[StoredResponse]] = {}
        self.contents: dict[bytes, bytearray] = {}
        self.damaged: set[bytes] = set()
        self.is_full = self.is_slow = False
        self.admits = self.holds = True
        self.takes = asyncio.Event()
        self.takes.set()
        self.writers = 0
        self.sources = 0
        self.pauses = pauses or Pauses()
        self._tokens: dict[bytes, _Held] = {}
        self._at_hand: dict[bytes, bytes] = {}
        self._numbers = itertools.count(1)

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Return the stored responses of `key`, newest first."""
        await self.pauses()
        return list(self.heads.get(key, ()))

    def lookup_nowait(self, key: bytes) -> Sequence[StoredResponse] | None:
        """Return the stored responses of `key`, newest first, unless they are on a slow disk."""
        return None if self.is_slow else list(self.heads.get(key, ()))

    def read_nowait(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content, unless it is damaged or on a slow disk."""
        is_there = stored.is_complete and not self.is_slow and stored.generation not in self.damaged
        return bytes(self.contents.get(stored.generation, b"")) if is_there else None

    def generation(self) -> bytes:
        """Return the next generation."""
        return next(self._numbers).to_bytes(8, "big")

    def keep(self, stored: StoredResponse, content: bytes) -> bool:
        """Store at once."""
        if self.is_full:
            raise StoreFull
        self.contents[stored.generation] = bytearray(content)
        self._replace(stored)
        return True

    def open(self, stored: StoredResponse, start: int, end: int) -> "MemorySource":
        """Return octets of a stored content."""
        return MemorySource(self, stored, start, end)

    async def writer(
        self,
        key: bytes,
        *,
        length: int | None,
        extends: StoredResponse | None = None,
        start: int = 0,
        pinned: bool = False,
    ) -> "MemoryWriter":
        """Begin to store."""
        await self.pauses()
        if self.is_full:
            raise StoreFull
        generation = extends.generation if extends else self.generation()
        return MemoryWriter(self, key, generation, start, is_extension=extends is not None, pinned=pinned)

    def put(self, stored: StoredResponse) -> None:
        """Replace a head."""
        if not self._has(stored.key, stored.generation):
            raise StoreError("the stored response is gone")
        self._replace(stored)

    async def pin(self, key: bytes, generation: bytes, *, pinned: bool = True) -> bool:
        """Mark a head."""
        found = [head for head in await self.lookup(key) if head.generation == generation]
        for head in found:
            self._replace(replace(head, pinned=pinned))
        return bool(found)

    async def flush(self) -> None:
        """Do nothing: nothing survives."""

    def token(self, key: bytes) -> Token | None:
        """Return what says for how long `lookup` finds the same."""
        return self._tokens.setdefault(key, _Held()) if self.heads.get(key) else None

    def watch(self, key: bytes, _found: Sequence[StoredResponse]) -> Token | None:
        """Return what says for how long `lookup` finds the same."""
        return self.token(key)

    def again(self, stored: StoredResponse) -> Again | None:
        """Return what reads the content as long as it is not damaged or slow."""
        return _Reading(self, stored)

    def at_hand(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content."""
        if stored.generation in self.damaged or not self.holds:
            return None
        content = bytes(self.contents.get(stored.generation, b""))
        return self._at_hand.setdefault(stored.generation, content)

    def forget_memory(self) -> None:
        """Let go of what is in memory, as a store does that needs the room."""
        for key in list(self._tokens):
            self._expire(key)
        self.forget_contents()

    def forget_contents(self) -> None:
        """Let go of the contents in memory."""
        self._at_hand.clear()

    def visit(self, stored: StoredResponse) -> None:
        """Do nothing: nothing is ever let go of."""

    async def remove(self, key: bytes, generation: bytes | None = None) -> int:
        """Forget heads."""
        await self.pauses()
        return self._drop(key, generation)

    def _expire(self, key: bytes) -> None:
        if (token := self._tokens.pop(key, None)) is not None:
            token.is_current = False

    def _has(self, key: bytes, generation: bytes) -> bool:
        return any(head.generation == generation for head in self.heads.get(key, ()))

    def _drop(self, key: bytes, generation: bytes | None) -> int:
        self._expire(key)
        heads = self.heads.pop(key, [])
        kept = [head for head in heads if generation is not None and head.generation != generation]
        if kept:
            self.heads[key] = kept
        return len(heads) - len(kept)

    def _replace(self, stored: StoredResponse) -> None:
        self._expire(stored.key)
        others = [
            head
            for head in self.heads.get(stored.key, ())
            if head.generation != stored.generation and head.nominated != stored.nominated
        ]
        self.heads[stored.key] = [stored, *others]


class _Held:
    """What says for how long a lookup finds the same."""

    is_current = True


class _Reading:
    def __init__(self, store: MemoryStore, stored: StoredResponse) -> None:
        self._store, self._stored = store, stored

    def read(self) -> bytes | None:
        return self._store.read_nowait(self._stored)


class MemorySource:
    """Octets [start, end) of a content."""

    def __init__(self, store: MemoryStore, stored: StoredResponse, start: int, end: int) -> None:
        self._store, self._stored, self._position, self._end = store, stored, start, end
        self._is_open = True
        store.sources += 1

    async def read(self) -> bytes:
        """Return the next piece."""
        await self._store.pauses()
        generation = self._stored.generation
        if generation in self._store.damaged:
            self._store._drop(self._stored.key, generation)
            raise StoreDamaged
        piece = bytes(self._store.contents[generation][self._position : min(self._end, self._position + _PIECE)])
        self._position += len(piece)
        return piece

    def close(self) -> None:
        """Let go."""
        if self._is_open:
            self._is_open = False
            self._store.sources -= 1


class MemoryWriter:
    """Content being stored."""

    def __init__(
        self, store: MemoryStore, key: bytes, generation: bytes, start: int, *, is_extension: bool, pinned: bool
    ) -> None:
        self._store, self._key, self._position, self._is_extension = store, key, start, is_extension
        self._pinned = pinned
        self.generation, self.is_admitted = generation, store.admits
        self._content = store.contents.setdefault(generation, bytearray())
        self._is_over = False
        store.writers += 1

    async def write(self, data: Piece) -> None:
        """Append."""
        await self._store.pauses()
        await self._store.takes.wait()
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
        await self._store.pauses()
        if self._store.is_full:
            raise StoreFull
        if self._is_extension and not self._store._has(self._key, self.generation):
            raise StoreError("the extended response is gone")
        if not self.is_admitted:
            raise NotAdmitted
        self._end()
        self._store._replace(replace(stored, generation=self.generation, pinned=self._pinned or stored.pinned))

    def abort(self) -> None:
        """Let go: nothing finds the content."""
        self._end()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._store.writers -= 1
