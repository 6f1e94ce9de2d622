"""One forward request that other requests may follow (request collapsing, RFC 9111 §4)."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from edge.caching.stored import StoredResponse
from edge.errors import UpstreamError

if TYPE_CHECKING:
    from edge.exchange.fill import Fill

#: So many followers of one flight may be on their own way to the origin at a time, once they gave up waiting.
GO_ALONE_AT_ONCE = 16


class Outcome(Enum):
    """How a flight turned out for its followers."""

    FILLING = auto()
    FRESHENED = auto()
    RELEASED = auto()
    FAILED = auto()


class Flight:
    """What the lead tells its followers, once: a fill to follow, a freshened response, an error, or to go on alone."""

    __slots__ = ("_landed", "_told", "alone", "error", "fill", "is_superseded", "outcome", "stored")

    def __init__(self, landed: Callable[[], None]) -> None:
        """Begin; `landed` is called when there is nothing left to follow."""
        self._landed = landed
        self._told = asyncio.Event()
        self.alone = asyncio.Semaphore(GO_ALONE_AT_ONCE)
        self.outcome: Outcome | None = None
        self.fill: Fill | None = None
        self.stored: StoredResponse | None = None
        self.error: UpstreamError | None = None
        self.is_superseded = False

    def filling(self, fill: "Fill") -> None:
        """The response is being stored: follow it until `ended`."""
        self.fill = fill
        if self.is_superseded:
            fill.forbid_storing()
        self._tell(Outcome.FILLING)

    def ended(self) -> None:
        """The fill is over: what it stored can be looked up."""
        self._landed()

    def freshened(self, stored: StoredResponse) -> None:
        """The stored response holds: reuse it."""
        self.stored = stored
        self._tell(Outcome.FRESHENED)

    def failed(self, error: UpstreamError) -> None:
        """The origin gave no response."""
        self.error = error
        self._tell(Outcome.FAILED)

    def released(self) -> None:
        """The response is not for others, or the lead is lost.  Does nothing after another outcome."""
        self._tell(Outcome.RELEASED)

    def supersede(self) -> None:
        """What is in flight was asked for before an invalidation: deliver it to those who wait, but do not store it."""
        self.is_superseded = True
        if self.fill is not None:
            self.fill.forbid_storing()

    async def wait(self, seconds: float) -> Outcome | None:
        """Return the outcome, None when there is none after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return None
        return self.outcome

    def _tell(self, outcome: Outcome) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self._told.set()
            if outcome is not Outcome.FILLING:
                self._landed()
