"""A generation: the workers that run one configuration, started, put to work and ended together."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence

from edge.supervisor.channel import Begin, Prepared, Retire, Retired, Serving, Take
from edge.supervisor.child import Child
from edge.supervisor.faults import StartError
from edge.supervisor.fork import Become
from edge.supervisor.page import SLOTS, Page
from edge.supervisor.plan import Plan

# A worker has so long to import its program, and to open its store.
_PREPARE_SECONDS, _TAKE_SECONDS = 60.0, 300.0
# Clients wait in the queues of the sockets meanwhile; who takes longer to let go is ended.
_RETIRE_SECONDS = 5.0


class Workers:
    """All workers that live, of whichever generation.

    Attributes:
        become: what is done in forks of this process to be a worker, as long as they are made; None to start programs.
    """

    def __init__(self, page: Page, watch: Callable[[Child], None], become: Become | None) -> None:
        """Call `watch` with each that is started."""
        self.become = become
        self._page, self._watch = page, watch
        self._slots = list(range(SLOTS))
        self.alive: list[Child] = []

    async def start(self, plan: Plan, index: int, sockets: Sequence[socket.socket]) -> Child:
        """Start worker `index` of a generation; StartError when it cannot be prepared."""
        if not self._slots:
            raise StartError("too many processes of earlier generations are still alive")
        slot = self._slots.pop(0)
        self._page.clear(slot)
        begin = Begin(
            plan.config, index, plan.workers, slot, [bound.fileno() for bound in sockets], self._page.fd
        )  # fmt: skip
        try:
            child = await Child.start(begin, self.become)
        except OSError as error:
            self._slots.append(slot)
            raise StartError(f"no process can be started: {error.strerror}") from error
        self.add(child)
        try:
            await child.expect(Prepared, _PREPARE_SECONDS)
        except StartError:
            child.kill()
            raise
        return child

    def add(self, child: Child) -> None:
        """Take note of a worker."""
        if child.slot in self._slots:
            self._slots.remove(child.slot)
        self.alive.append(child)
        self._watch(child)

    def remove(self, child: Child) -> None:
        """Forget a worker that has ended."""
        self.alive.remove(child)
        self._page.clear(child.slot)
        self._slots.append(child.slot)


class Generation:
    """The workers of one plan, by index."""

    def __init__(self, plan: Plan, workers: dict[int, Child]) -> None:
        self.plan, self.workers = plan, workers

    @classmethod
    async def prepare(cls, plan: Plan, sockets: Sequence[socket.socket], workers: Workers) -> "Generation":
        """Start the processes; StartError, with none left, when one of them cannot be prepared."""
        generation = cls(plan, {})

        async def one(index: int) -> None:
            generation.workers[index] = await workers.start(plan, index, sockets)

        await generation._all(one(index) for index in range(plan.workers))
        return generation

    async def take(self) -> None:
        """Let it open its stores and accept clients; StartError, with no process left, when it cannot."""
        await self._all(put_to_work(child) for child in self.workers.values())

    async def retire(self) -> None:
        """Let it accept no more and let go of its stores; it ends by itself after that."""
        async with asyncio.TaskGroup() as group:
            for child in self.workers.values():
                group.create_task(_retire(child))

    def kill(self) -> None:
        """End every process."""
        for child in self.workers.values():
            child.kill()

    async def _all(self, steps: Iterable[Coroutine[object, object, None]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for step in steps:
                    group.create_task(step)
        except* StartError as errors:
            self.kill()
            raise errors.exceptions[0] from None


async def put_to_work(child: Child) -> None:
    """Let a prepared worker accept clients; StartError when it cannot."""
    child.say(Take())
    await child.expect(Serving, _TAKE_SECONDS)


async def _retire(child: Child) -> None:
    child.is_leaving = True
    child.say(Retire())
    try:
        await child.expect(Retired, _RETIRE_SECONDS)
    except StartError:
        child.kill()
        await child.ended
