"""One forward request that other requests may follow (request collapsing, RFC 9111 §4)."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from edge.caching import vary
from edge.caching.stored import StoredResponse
from edge.caching.vary import Nominated
from edge.errors import UpstreamError
from edge.semantics.fields import FieldSection

if TYPE_CHECKING:
    from edge.exchange.fill import Fill

#: So many followers of one flight may be on their own way to the origin at a time, once they gave up waiting.
GO_ALONE_AT_ONCE = 16


class Outcome(Enum):
    """How a flight turned out for its followers."""

    FILLING = auto()
    ASSEMBLING = auto()
    FRESHENED = auto()
    STALE = auto()
    RELEASED = auto()
    LOST = auto()
    FAILED = auto()


class Flight:
    """What followers are told, once, by whoever first knows: most often the lead, or one of them that went alone.

    Attributes:
        nominated: the request fields that requests like the lead's share: a guess until there is a response.
        epoch: the purge epoch when it began, before the origin was asked.
        outcome: what was told, None as long as nothing was.
        fill: the content to follow, when FILLING.
        stored: the response that holds, when FRESHENED.
        error: why there is no response, when FAILED.
    """

    __slots__ = ("_alone", "_landed", "_told", "epoch", "error", "fill", "nominated", "outcome", "stored")

    def __init__(
        self, nominated: Nominated = (), landed: Callable[["Flight"], None] = lambda _: None, *, epoch: int = 0
    ) -> None:
        """Begin; `landed` is told of this when there is nothing left to follow."""
        self.nominated = nominated
        self.epoch = epoch
        self._landed = landed
        # Most flights have no followers, who are the ones that need these.
        self._told: asyncio.Event | None = None
        self._alone: asyncio.Semaphore | None = None
        self.outcome: Outcome | None = None
        self.fill: Fill | None = None
        self.stored: StoredResponse | None = None
        self.error: UpstreamError | None = None

    @property
    def alone(self) -> asyncio.Semaphore:
        """Taken by each follower that asks the origin itself."""
        if self._alone is None:
            self._alone = asyncio.Semaphore(GO_ALONE_AT_ONCE)
        return self._alone

    @property
    def has_followers(self) -> bool:
        """Whether anybody ever waited for the outcome."""
        return self._told is not None

    def land(self) -> None:
        """Nobody need follow any more: what the lead was told can be looked up.  Only without followers."""
        self._landed(self)

    def filling(self, fill: "Fill") -> None:
        """The response is being stored: follow it as long as it lasts; then what it stored can be looked up."""
        if self._tell(Outcome.FILLING):
            self.fill = fill
            self.nominated = fill.stored.nominated
            fill.call_when_over(self.land)

    def assembling(self) -> None:
        """Its parts are being brought in: read the assembly."""
        self._tell(Outcome.ASSEMBLING)

    def freshened(self, stored: StoredResponse) -> None:
        """The stored response holds: reuse it."""
        if self._tell(Outcome.FRESHENED):
            self.stored = stored

    def stands_in(self) -> None:
        """The origin answered with a server error: reuse the stale response."""
        self._tell(Outcome.STALE)

    def failed(self, error: UpstreamError) -> None:
        """The origin gave no response."""
        if self._tell(Outcome.FAILED):
            self.error = error

    def released(self) -> None:
        """The response is not for others, and the next will not be either: go alone."""
        self._tell(Outcome.RELEASED)

    def lost(self) -> None:
        """The lead is gone, or its response is for it alone: one of the others leads."""
        self._tell(Outcome.LOST)

    async def wait(self, seconds: float) -> Outcome | None:
        """Return the outcome, None when there is none after `seconds`."""
        if self.outcome is not None:
            return self.outcome
        if self._told is None:
            self._told = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return None
        return self.outcome

    def _tell(self, outcome: Outcome) -> bool:
        if self.outcome is not None:
            return False
        self.outcome = outcome
        if self._told is not None:
            self._told.set()
        if outcome is not Outcome.FILLING:
            self._landed(self)
        return True


class Flights:
    """The flights of a node.

    Attributes:
        by_key: them, the newest last.
    """

    __slots__ = ("by_key",)

    def __init__(self) -> None:
        self.by_key: dict[bytes, list[Flight]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self.by_key.values()))

    def find(self, key: bytes, fields: FieldSection) -> Flight | None:
        """Return the newest flight that is about what a request for `key` with `fields` selects."""
        for flight in reversed(self.by_key.get(key, ())):
            if all(vary.normalised(name, fields) == value for name, value in flight.nominated):
                return flight
        return None

    def begin(self, key: bytes, nominated: Nominated, epoch: int) -> Flight:
        """Return a new flight of a request for `key` that those with the same nominated values may join; it came at `epoch`."""
        # Held by nothing of its own, a flight goes as soon as it is over.
        flight = Flight(nominated, partial(self._land, key), epoch=epoch)
        self.by_key.setdefault(key, []).append(flight)
        return flight

    def forget(self, key: bytes) -> None:
        """Let nobody who comes from now on find what is in flight for `key`."""
        self.by_key.pop(key, None)

    def _land(self, key: bytes, flight: Flight) -> None:
        flights = self.by_key.get(key)
        if flights is not None and flight in flights:
            if len(flights) == 1:
                del self.by_key[key]
            else:
                flights.remove(flight)
