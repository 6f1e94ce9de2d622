"""What the operator decides about a store."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Sizes in bytes, times in seconds.

    Attributes:
        quota: what the node directory may take of the disk.
        memory: what heads and small contents may take of the memory.
        min_age: large contents are written on their second request only, while the quota would otherwise be written over
            in less than this; 0 to write everything.
        pinned: what pinned responses may take of the quota, at most about a half; None for a quarter.
        scrub_rate: how much the scrubber reads in a second; 0 for no scrubber.
    """

    quota: int
    memory: int
    min_age: float = 0.0
    pinned: int | None = None
    scrub_rate: int = 0

    def part(self, quota: int) -> "Settings":
        """Return the settings of a store that has `quota` of this quota, and as much of all else."""
        pinned = None if self.pinned is None else self.pinned * quota // self.quota
        memory, scrub_rate = (amount * quota // self.quota for amount in (self.memory, self.scrub_rate))
        return replace(self, quota=quota, memory=memory, pinned=pinned, scrub_rate=scrub_rate)
