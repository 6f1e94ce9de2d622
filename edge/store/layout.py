"""How a quota is divided between segments and the index."""

from dataclasses import dataclass
from typing import Self

from edge.errors import StoreError
from edge.store import visits

MIB = 1 << 20
SMALLEST_QUOTA = 16 * MIB

# The lock file, the control file, the lock table of the index and the directories themselves; not the visits.
_SMALL_FILES = 64 << 10


@dataclass(frozen=True, slots=True)
class Layout:
    """The shares of a quota, in bytes.

    Attributes:
        quota: what the whole node directory may take.
        index: what the index may take; reserved as a whole, so that a full disk cannot keep segments from being freed.
        segments: what all segments together may take.
        segment_size: the size of a new segment.
        pinned: what pinned content may take of the segments.
    """

    quota: int
    index: int
    segments: int
    segment_size: int
    pinned: int

    @classmethod
    def of(cls, quota: int, pinned: int | None = None) -> Self:
        """Return the shares of `quota`, a quarter for `pinned` content if not told; StoreError if it is too small."""
        if quota < SMALLEST_QUOTA:
            raise StoreError(f"a store needs a quota of at least {SMALLEST_QUOTA // MIB} MiB")
        # A third of the map holds live entries of some 130 bytes: one per 12 KB of quota.
        index = max(quota // 32, min(quota // 8, 64 * MIB)) // 4096 * 4096
        segment_size = min(max(quota // 256, 4 * MIB), 256 * MIB, quota // 5) // 4096 * 4096
        segments = quota - index - _SMALL_FILES - visits.size_limit(quota)
        # Whatever is pinned is moved once in each turn of the log: more than half would leave it nothing to turn with.
        return cls(quota, index, segments, segment_size, min(quota // 4 if pinned is None else pinned, segments // 2))
