"""What happens to a node, for those who look on: the last events, and a wait for the next."""

import asyncio
from collections import deque
from datetime import UTC, datetime

import msgspec

from edge.clock import Clock

#: So many events are remembered.
CAPACITY = 500


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    Attributes:
        id: greater than that of every event before, those before a restart included.
        ts: when.
        kind: a word, such as "purge" or "reload".
        about: a sentence, or nothing.
    """

    id: int
    ts: str
    kind: str
    about: str


class Events:
    """The last events of a node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=CAPACITY)
        self._last = int(clock.now() * 1000)
        self._waiting: set[asyncio.Future[None]] = set()
        self.has_ended = False

    def add(self, kind: str, about: str = "") -> None:
        """Let everybody know of something."""
        now = self._clock.now()
        self._last = max(self._last + 1, int(now * 1000))
        when = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._events.append(Event(self._last, when, kind, about))
        self._wake()

    def end(self) -> None:
        """Let nobody wait any longer."""
        self.has_ended = True
        self._wake()

    def after(self, last: int) -> list[Event]:
        """Return the events that came after `last`, the oldest first, as far as they are remembered."""
        return [event for event in self._events if event.id > last]

    async def wait(self, seconds: float) -> None:
        """Wait until something happens, or there is an end to it, or so many seconds."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(seconds):
                await waiting
        except TimeoutError:
            return
        finally:
            self._waiting.discard(waiting)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
