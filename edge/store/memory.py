"""The memory tier: decoded heads and small whole contents, under one bound in bytes."""

from dataclasses import dataclass

from edge.caching.stored import StoredResponse
from edge.policy.eviction import Evictor

#: The longest content that is kept in memory: what one read of a chunk returns.
SMALL = 256 << 10

# What the interpreter needs for one entry, its head and its places in the tables, beyond the bytes themselves.
_ENTRY_COST = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """The stored responses of a key, the newest first.

    Attributes:
        stripe: where to look whether another process that owns the key has changed something, -1 for our own.
        stamp: what stood there.
    """

    key: bytes
    stored: tuple[StoredResponse, ...]
    stripe: int = -1
    stamp: int = 0


class Memory:
    """Heads by key hash (16 bytes) and contents by generation (8 bytes)."""

    def __init__(self, capacity: int) -> None:
        self._evictor: Evictor[bytes] = Evictor(capacity)
        self._heads: dict[bytes, Known] = {}
        self._contents: dict[bytes, bytes] = {}

    @property
    def used(self) -> int:
        """How many bytes are held."""
        return self._evictor.used

    @property
    def is_full(self) -> bool:
        """Whether something must leave before more is held."""
        return self._evictor.is_full

    def names(self) -> list[bytes]:
        """Return the key hashes and generations of what is held; may be asked by any thread."""
        return [*tuple(self._heads), *tuple(self._contents)]

    def visits(self, name: bytes) -> int:
        """Return how often the heads of a key hash, or the content of a generation, were used, with their coming."""
        return self._evictor.visits(name)

    def heads(self, key_hash: bytes) -> Known | None:
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

    def peek_heads(self, key_hash: bytes) -> Known | None:
        """Return the heads of a key without their counting as used, or None when they are not held."""
        return self._heads.get(key_hash)

    def peek_content(self, generation: bytes) -> bytes | None:
        """Return the whole content of a generation without its counting as used, or None when it is not held."""
        return self._contents.get(generation)

    def keep_heads(self, key_hash: bytes, known: Known) -> None:
        """Hold the heads of a key, as long as they are worth it."""
        self._heads[key_hash] = known
        lines = sum(len(line[0]) + len(line[1]) + 150 for stored in known.stored for line in stored.fields)
        self._admit(key_hash, lines + len(known.key) + _ENTRY_COST * len(known.stored))

    def keep_content(self, generation: bytes, content: bytes) -> None:
        """Hold a whole content of at most SMALL octets, as long as it is worth it."""
        self._contents[generation] = content
        self._admit(generation, len(content) + _ENTRY_COST)

    def drop(self, name: bytes) -> None:
        """Hold the heads of a key hash, or the content of a generation, no longer."""
        self._heads.pop(name, None)
        self._contents.pop(name, None)
        self._evictor.discard(name)

    def _admit(self, name: bytes, size: int) -> None:
        for victim in self._evictor.admit(name, size):
            self._heads.pop(victim, None)
            self._contents.pop(victim, None)
