"""A clock that moves only when told."""


class ManualClock:
    """Both clocks, moved together by `advance`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        """Return the wall clock in seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return the clock that never goes back, in seconds."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += seconds
