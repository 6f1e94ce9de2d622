"""A watch over an event loop: when it does not turn, its stack is logged, from a thread."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

log = logging.getLogger("edge.stall")

#: How often the loop shows that it turns.
BEAT_SECONDS = 0.25


class StallWatch:
    """Watches the loop of the thread it is made in, until it is stopped.

    Args:
        limit: how long a stall may last before it is logged, once, seconds.
        beat: called whenever the loop turns, with the monotonic time and by how many seconds it is late.
    """

    def __init__(self, limit: float, beat: Callable[[float, float], None]) -> None:
        self._limit, self._beat = limit, beat
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._last = time.monotonic()
        self._stopped = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._turn()
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.join()

    def _turn(self) -> None:
        now = time.monotonic()
        self._beat(now, max(0.0, now - self._last - BEAT_SECONDS))
        self._last = now
        self._timer = self._loop.call_later(BEAT_SECONDS, self._turn)

    def _watch(self) -> None:
        logged = 0.0
        while not self._stopped.wait(min(BEAT_SECONDS, self._limit / 2)):
            last = self._last
            stalled = time.monotonic() - last - BEAT_SECONDS
            if stalled < self._limit or last == logged:
                continue
            logged = last
            frame = sys._current_frames().get(self._watched)
            stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
            log.warning("the event loop has not turned for %.1f s; it is here:\n%s", stalled, stack)
