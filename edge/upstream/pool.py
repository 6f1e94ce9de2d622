"""The connections to one origin: reuse the one used last, open more up to a limit, then wait in a queue.

A slot is the right to have one connection.  Who waits is given either a connection that has just come back or a slot
that has just become free, in the order of asking, so a newcomer never overtakes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from edge.clock import Clock
from edge.errors import NoHealthyOrigin, UpstreamConnectError
from edge.upstream.connection import Connection
from edge.upstream.settings import Limits

Waiter = asyncio.Future[Connection | None]


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """How a pool is used.

    Attributes:
        active: connections in use or being opened.
        idle: connections waiting to be reused.
        queued: exchanges waiting for a connection.
        opened: connections opened so far.
        reused: exchanges so far that began on a connection used before.
    """

    active: int
    idle: int
    queued: int
    opened: int
    reused: int


class Pool:
    """Keeps the connections that `connect` makes; their `Keeper`."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], limits: Limits, clock: Clock) -> None:
        self._connect = connect
        self._limits = limits
        self._clock = clock
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Waiter] = deque()
        self._slots_taken = 0
        self._opened = 0
        self._reused = 0
        self._is_closed = False
        self._sweeper: asyncio.TimerHandle | None = None

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """Return a usable connection, on which an exchange must begin at once.

        With `fresh` it is one that has not been idle, which an origin cannot be about to close.

        Raises:
            UpstreamConnectError, UpstreamTimeout: `connect` raised it.
            NoHealthyOrigin: the queue is full, the wait was too long, or the pool is closed.
        """
        while not self._is_closed:
            if not fresh and (connection := self.take_idle()) is not None:
                return connection
            if self._take_slot(evict=fresh):
                return await self._open()
            connection = await self._wait_turn()
            if connection is None:
                return await self._open()
            if connection.is_usable:
                self._reused += 1
                return connection
        raise NoHealthyOrigin("the pool is closed")

    def take_idle(self) -> Connection | None:
        """Return a connection that can be reused, on which an exchange must begin at once; None when there is none."""
        if self._is_closed:
            return None
        idle, now = self._idle, self._clock.monotonic()
        while idle:
            connection = idle.pop()
            if connection.is_usable and now < connection.idle_until:
                self._reused += 1
                return connection
            # An origin has, or may have, given it up.
            connection.close()
        return None

    def release(self, connection: Connection) -> None:
        """Give a connection to the first who waits, or keep it for the next who asks."""
        now, kept = self._clock.monotonic(), self._limits.idle_seconds
        if self._is_closed or now - connection.opened >= self._limits.age_seconds:
            connection.close()
        elif self._waiting and (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            if connection.idle_timeout is not None:
                # A second less than the origin says it will.
                kept = min(kept, connection.idle_timeout - 1)
            connection.idle_since, connection.idle_until = now, now + kept
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweep_in(self._limits.idle_seconds)

    def discard(self, connection: Connection) -> None:
        """Forget a connection and free its slot."""
        with suppress(ValueError):
            self._idle.remove(connection)
        self._free_slot()

    def statistics(self) -> PoolStatistics:
        """Return how the pool is used."""
        idle = len(self._idle)
        return PoolStatistics(self._slots_taken - idle, idle, len(self._waiting), self._opened, self._reused)

    def close(self) -> None:
        """Close what is idle, refuse who waits; connections in use are closed after their exchange."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(NoHealthyOrigin("the pool is closed"))
        while self._idle:
            self._idle.pop().close()

    def _take_slot(self, *, evict: bool) -> bool:
        if self._slots_taken >= self._limits.connections and evict and self._idle:
            self._idle.popleft().close()
        if self._slots_taken >= self._limits.connections:
            return False
        self._slots_taken += 1
        return True

    def _free_slot(self) -> None:
        if (waiter := self._next_waiter()) is not None:
            waiter.set_result(None)
        else:
            self._slots_taken -= 1

    async def _open(self) -> Connection:
        """Open a connection in a slot that was taken for it."""
        connection = None
        try:
            connection = await self._connect()
            if not connection.is_usable:
                connection = None
                raise UpstreamConnectError("the origin closed a new connection")
        finally:
            if connection is None:
                self._free_slot()
        connection.keeper = self
        self._opened += 1
        return connection

    async def _wait_turn(self) -> Connection | None:
        """Return a connection that came back, or None for a slot that became free and now is taken."""
        if len(self._waiting) >= self._limits.queue:
            raise NoHealthyOrigin("the queue for a connection is full")
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._limits.queue_seconds):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            self._give_back(waiter)
            if isinstance(error, TimeoutError):
                raise NoHealthyOrigin("no connection became free in time") from None
            raise

    def _give_back(self, waiter: Waiter) -> None:
        """Undo the wait of one who left, though what was waited for may have come at that very moment."""
        if waiter.cancelled() or not waiter.done():
            with suppress(ValueError):
                self._waiting.remove(waiter)
        elif waiter.exception() is None:
            connection = waiter.result()
            if connection is None:
                self._free_slot()
            elif connection.is_usable:
                self.release(connection)

    def _next_waiter(self) -> Waiter | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _sweep_in(self, seconds: float) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """Close connections that have been idle for too long; the one used longest ago is first."""
        self._sweeper = None
        horizon = self._clock.monotonic() - self._limits.idle_seconds
        while self._idle and self._idle[0].idle_since <= horizon:
            self._idle.popleft().close()
        if self._idle:
            self._sweep_in(self._idle[0].idle_since - horizon)
