"""The ways to the other workers of a node, over Unix sockets, by what each of them owns."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from edge.clock import Clock
from edge.errors import UpstreamError
from edge.semantics.messages import Request
from edge.upstream.origin import Origin
from edge.upstream.settings import Limits, OriginSettings, Timeouts

log = logging.getLogger("edge.upstream")

# Every client of a worker may wait for one other worker.
_LIMITS = Limits(connections=10_000, queue=10_000, queue_seconds=30.0, idle_seconds=3600.0)
_CONNECT_SECONDS = 1.0
# A worker that was killed is back within this time, unless something is wrong with the node.
_PATIENCE_SECONDS, _PAUSE_SECONDS = 10.0, 0.05


class Ring:
    """The exchange's `Ring`.

    Args:
        workers: how many there are, `index` being this one.
        address: returns the address of a worker's socket.
        everyone: returns which workers there are in the latest generation.
        owner_of: returns which worker owns a key; None when this one owns them all.
        invalidating: returns the request that invalidates a key.
        answer_seconds: how long the owner may take for the head of an answer.
    """

    def __init__(
        self,
        index: int,
        workers: int,
        address: Callable[[int], str],
        everyone: Callable[[], Iterable[int]],
        owner_of: Callable[[bytes], int] | None,
        invalidating: Callable[[bytes], Request],
        *,
        clock: Clock,
        answer_seconds: float,
    ) -> None:
        self._index, self._owner_of, self._invalidating = index, owner_of, invalidating
        self._address, self._everyone, self._clock = address, everyone, clock
        self._timeouts = Timeouts(_CONNECT_SECONDS, answer_seconds, answer_seconds)
        self._has_left = False
        self._workers = {worker: self._way_to(worker) for worker in range(workers)}

    def owner(self, key: bytes) -> Origin | None:
        """Return the way to the owner of `key`, None when that is this worker."""
        if self._owner_of is None:
            return None
        owner = self._owner_of(key)
        return None if owner == self._index else self._workers[owner]

    async def invalidate(self, key: bytes) -> None:
        """Have the owner of `key` forget what is stored under it, and return when nobody finds it any more."""
        if self._has_left:
            # Who owns what is for the next generation to know.
            async with asyncio.TaskGroup() as group:
                for worker in self._everyone():
                    group.create_task(self._tell(self._workers.get(worker) or self._way_to(worker), key))
        elif (owner := self.owner(key)) is not None:
            await self._tell(owner, key)

    def leave(self) -> None:
        """Own nothing any more: another generation does."""
        self._has_left = True

    def close(self) -> None:
        """Close the connections."""
        for worker in self._workers.values():
            worker.close()

    def _way_to(self, worker: int) -> Origin:
        settings = OriginSettings(
            f"worker-{worker}", "http", "127.0.0.1", 0, timeouts=self._timeouts, limits=_LIMITS,
            path=self._address(worker),
        )  # fmt: skip
        return Origin(settings, self._clock)

    async def _tell(self, worker: Origin, key: bytes) -> None:
        """Tell one worker, again and again while it is being restarted: it must not come back with what is out of date."""
        request = self._invalidating(key)
        until = self._clock.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                response = await worker.send(request, None, None)
                await response.read()
            except UpstreamError as error:
                if self._clock.monotonic() >= until:
                    log.error("%s could not be told of an invalidation: %s", worker.settings.name, error)  # noqa: TRY400 - no bug
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return
