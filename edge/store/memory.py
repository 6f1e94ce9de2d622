"""The memory tier: decoded heads and small whole contents, under one bound in bytes."""

from functools import partial
from typing import Protocol
from weakref import ref

from edge.caching.stored import StoredResponse
from edge.policy.eviction import Evictor

#: The longest content that is kept in memory when it is first read, which is what one read of a chunk returns, and the
#: longest that is once it is asked for again and again, which is a chunk.
SMALL, MEDIUM = 256 << 10, 1 << 20
#: Uses after which that is so, with the first; and so many such contents are read at a time.
AGAIN, _AT_ONCE = 3, 16

# What the interpreter needs for one entry, its head and its places in the tables, beyond the bytes themselves.
_ENTRY_COST = 1000


class Heads(Protocol):
    """The stored responses of a key, the newest first, and whether a lookup still finds them."""

    @property
    def key(self) -> bytes:
        """The whole cache key."""
        ...

    @property
    def stored(self) -> tuple[StoredResponse, ...]:
        """Its stored responses."""
        ...

    @property
    def is_current(self) -> bool:
        """Whether they are what a lookup finds, and held here."""
        ...

    def expire(self) -> None:
        """Take note that they are not any more."""
        ...


class Known:
    """The stored responses of a key that nobody else changes."""

    __slots__ = ("__weakref__", "is_current", "key", "stored")

    def __init__(self, key: bytes, stored: tuple[StoredResponse, ...]) -> None:
        self.key, self.stored, self.is_current = key, stored, True

    def expire(self) -> None:
        """Take note that they are not current any more."""
        self.is_current = False


class Memory:
    """Heads by key hash (16 bytes) and contents by generation (8 bytes)."""

    def __init__(self, capacity: int) -> None:
        self._evictor: Evictor[bytes] = Evictor(capacity)
        self._asked = 0
        # Keys whose contents are read to be held.
        self._awaited: set[bytes] = set()
        self._heads: dict[bytes, Heads] = {}
        self._contents: dict[bytes, bytes] = {}
        # What others hold, and are told of here.
        self._watched: dict[bytes, ref[Known]] = {}

    @property
    def used(self) -> int:
        """How many bytes are held."""
        return self._evictor.used

    @property
    def is_full(self) -> bool:
        """Whether something must leave before more is held."""
        return self._evictor.is_full

    def promotes(self) -> bool:
        """Count a reading from the disk, and return whether what was read is to be held.

        All is, or every eighth while there is no room: what is used often is soon here all the same, and what is not
        does not cost the others their place.
        """
        self._asked += 1
        return not self.is_full or not self._asked & 7

    def awaits(self, key_hash: bytes, length: int) -> bool:
        """Return whether a content of a key, of which all is wanted now, is to be read whole and held.

        A longer one is for one reader at a time to bring, who then calls `awaits_no_more`.
        """
        if length <= SMALL:
            return True
        uses, awaited = self.visits(key_hash), self._awaited
        if length > MEDIUM or uses < AGAIN or key_hash in awaited or len(awaited) >= _AT_ONCE:
            return False
        if not (self._evictor.would_stay(length, uses) and self.promotes()):
            return False
        awaited.add(key_hash)
        return True

    def awaits_no_more(self, key_hash: bytes) -> None:
        """Take note that a content has come, or will not."""
        self._awaited.discard(key_hash)

    def names(self) -> list[bytes]:
        """Return the key hashes and generations of what is held; may be asked by any thread."""
        return [*tuple(self._heads), *tuple(self._contents)]

    def visits(self, name: bytes) -> int:
        """Return how often the heads of a key hash, or the content of a generation, were used, with their coming."""
        return self._evictor.visits(name)

    def heads(self, key_hash: bytes) -> Heads | None:
        """Return the heads of a key, or None when they are not held."""
        known = self._heads.get(key_hash)
        if known is not None:
            self._evictor.visit(key_hash)
        return known

    def content(self, generation: bytes) -> bytes | None:
        """Return the whole content of a generation, or None when it is not held."""
        content = self._contents.get(generation)
        if content is not None:
            self._evictor.visit(generation)
        return content

    def peek_heads(self, key_hash: bytes) -> Heads | None:
        """Return the heads of a key without their counting as used, or None when they are not held."""
        return self._heads.get(key_hash)

    def peek_content(self, generation: bytes) -> bytes | None:
        """Return the whole content of a generation without its counting as used, or None when it is not held."""
        return self._contents.get(generation)

    def keep_heads(self, key_hash: bytes, known: Heads) -> None:
        """Hold the heads of a key, as long as they are worth it."""
        self._forget_heads(key_hash)
        self._heads[key_hash] = known
        lines = sum(len(line[0]) + len(line[1]) + 150 for stored in known.stored for line in stored.fields)
        self._admit(key_hash, lines + len(known.key) + _ENTRY_COST * len(known.stored))

    def watch(self, key_hash: bytes, known: Known) -> Known:
        """Let `known`, or what is known as well, expire when the heads of a key change, held here or not; return which."""
        there = self._watched.get(key_hash)
        if there is not None and (as_well := there()) is not None:
            return as_well
        self._watched[key_hash] = ref(known, partial(self._unwatch, key_hash))
        return known

    def _unwatch(self, key_hash: bytes, gone: "ref[Known]") -> None:
        if self._watched.get(key_hash) is gone:
            del self._watched[key_hash]

    def keep_content(self, generation: bytes, content: bytes, *, of: bytes = b"") -> None:
        """Hold a whole content as long as it is worth it, at first by the uses of the key `of` whose hash it is."""
        self._contents[generation] = content
        self._admit(generation, len(content) + _ENTRY_COST, max(self.visits(of), 1))

    def drop(self, name: bytes) -> None:
        """Hold the heads of a key hash, or the content of a generation, no longer."""
        if name in self._watched and (watched := self._watched.pop(name)()) is not None:
            watched.expire()
        if name in self._heads or name in self._contents:
            self._forget_heads(name)
            self._contents.pop(name, None)
            self._evictor.discard(name)

    def expire(self) -> None:
        """Take note that none of the heads are current any more."""
        for known in self._heads.values():
            known.expire()
        for watched in list(self._watched.values()):
            if (held := watched()) is not None:
                held.expire()

    def _forget_heads(self, key_hash: bytes) -> None:
        if (known := self._heads.pop(key_hash, None)) is not None:
            known.expire()

    def _admit(self, name: bytes, size: int, uses: int = 1) -> None:
        for victim in self._evictor.admit(name, size, uses):
            self._forget_heads(victim)
            self._contents.pop(victim, None)
