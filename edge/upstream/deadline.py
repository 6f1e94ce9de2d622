"""A time limit that moves with every event, on one timer of the event loop."""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `passed` once a set limit has passed.

    Moving the limit further only writes it down: the timer looks again when it fires.
    """

    __slots__ = ("_at", "_loop", "_passed", "_timer", "_timer_at")

    def __init__(self, passed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._passed = passed
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, seconds: float) -> None:
        """Set the limit to `seconds` from now."""
        self._at = at = self._loop.time() + seconds
        if self._timer is None or at < self._timer_at:
            self._start(at)

    def clear(self) -> None:
        """Take the limit away."""
        self._at = None

    def close(self) -> None:
        """Take the limit away and let go of the loop."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._fired)
        self._timer_at = at

    def _fired(self) -> None:
        self._timer = None
        if self._at is None:
            return
        # The timer may fire early by the resolution of the clock: `_timer_at` is then what was waited for.
        if self._at > self._timer_at:
            self._start(self._at)
        else:
            self._at = None
            self._passed()
