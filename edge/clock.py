"""The two clocks, as arguments: pure code takes `now`, shells take a `Clock`."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Return the wall clock in seconds since 1970-01-01T00:00Z."""
        ...

    def monotonic(self) -> float:
        """Return a clock that never goes back, in seconds."""
        ...


class SystemClock:
    """The clocks of the operating system: called for every request several times, so there is nothing in between."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
