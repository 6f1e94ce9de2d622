"""The supervisor: keeps a generation of workers serving, and replaces it without a moment in which nobody listens.

A generation is replaced in three steps: the new one is prepared while the old one serves; the old one accepts no more
and lets go of its stores; the new one opens them and accepts.  Between the last two, connections wait in the queues of
the listening sockets, which this process holds open all the time.
"""

import asyncio
import logging
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from edge.supervisor.channel import Message, Retire, Stop, Told
from edge.supervisor.child import Child, told_end
from edge.supervisor.faults import Refused, StartError
from edge.supervisor.fork import Become
from edge.supervisor.generation import Generation, Workers, put_to_work
from edge.supervisor.notify import Notify
from edge.supervisor.page import Page
from edge.supervisor.plan import STATE_VARIABLE, Left, Plan, State, leave, take_back
from edge.supervisor.sockets import Sockets
from edge.tasks import spawn

log = logging.getLogger("edge.supervisor")

#: So many workers may end unasked within so many seconds; then something is wrong that no restart mends.
MOST_CRASHES, CRASH_SECONDS = 8, 60.0
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 5.0
_ANSWER_SECONDS = 5.0
_REPORT_SECONDS, _LOOK_SECONDS, _STOP_SECONDS = 1.0, 1.0, 5.0


class Supervisor:
    """The processes of a node.

    Attributes:
        problems: what kept this program from taking over from the one before.
        happened: told of what happens to the node: a word, and a sentence or nothing.
        reloaded: called when a configuration was loaded again and is in force.

    Args:
        load: returns the plan of the configuration as it is now; Refused when there is a problem with it.
        check: returns what keeps the program on disk from running, nothing when it can.
        ended: given what a worker told last, when it has ended.
        numbers: returns what `ended` was given so far, for the next program.
        become: is a worker, in a fork of this process; None to start a program for each.
    """

    def __init__(
        self,
        load: Callable[[], Plan],
        check: Callable[[], Awaitable[list[str]]],
        *,
        sockets: Sockets,
        page: Page,
        notify: Notify,
        ended: Callable[[Told], None],
        numbers: Callable[[], bytes],
        become: Become | None = None,
    ) -> None:
        self.reloaded: Callable[[], None] = lambda: None
        self._load, self._check, self._ended, self._numbers = load, check, ended, numbers
        self.happened: Callable[[str, str], None] = lambda _word, _sentence: None
        self._sockets, self._page, self._notify = sockets, page, notify
        self._workers = Workers(page, self._begin_to_watch, become)
        self.problems: list[str] = []
        self._current: Generation | None = None
        self._changing = asyncio.Lock()
        self._stopping, self._hurry, self._changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._crashes: deque[float] = deque(maxlen=MOST_CRASHES)
        self._failure: StartError | None = None
        self._is_reload_waiting = False

    @property
    def state(self) -> str:
        """Why the node should get no traffic, "" when it should."""
        if self._stopping.is_set():
            return "draining"
        return "" if self._current is not None else "starting"

    @property
    def pids(self) -> list[int]:
        """The processes of the node, this one first."""
        return [os.getpid(), *(child.pid for child in self._workers.alive)]

    async def adopt(self, state: State) -> None:
        """Take over the workers of the program that was here before."""
        serving = {}
        for left in state.workers:
            child = await Child.adopt(left.pid, socket.socket(fileno=left.fd), left.index, left.slot)
            child.is_leaving = left.is_leaving
            self._workers.add(child)
            if not left.is_leaving:
                serving[left.index] = child
        self._current = Generation(state.plan, serving)

    async def run(self, plan: Plan, ready: Callable[[], Awaitable[None]]) -> None:
        """Serve until told to stop; `ready` is called once clients are accepted, and may raise StartError.

        Raises:
            StartError: it could not begin, or its workers end again and again.
        """
        try:
            try:
                await self._replace(plan)
            except StartError as error:
                if self._stopping.is_set():
                    return
                if self._current is None:
                    raise
                self.problems = [str(error)]
                log.error("the new program starts no workers, those of the old one go on: %s", error)  # noqa: TRY400 - no bug
            # Later ones have nothing of what this process has become meanwhile.
            self._workers.become = None
            looking = spawn(self._look(), name="look")
            await ready()
            self._tell_ready()
            await self._stopping.wait()
            looking.cancel()
            await self._end()
        finally:
            await self._kill_all()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Let the exchanges in progress end, and then the node; called again, end it now."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        self._changed.set()
        if self._current is None:
            for child in self._workers.alive:
                child.kill()

    def reload_soon(self) -> None:
        """Reload unless that is about to be done; what is wrong goes to the log."""
        if self._is_reload_waiting:
            return
        self._is_reload_waiting = True

        async def reload() -> None:
            for problem in await self.reload():
                log.error("not reloaded: %s", problem)

        _ = spawn(reload(), name="reload")

    def upgrade_soon(self) -> None:
        """Upgrade; what is wrong goes to the log."""

        async def upgrade() -> None:
            for problem in await self.upgrade(None):
                log.error("not upgraded: %s", problem)

        _ = spawn(upgrade(), name="upgrade")

    async def reload(self) -> list[str]:
        """Put the configuration as it is now in force; return what is wrong with it, the old one then goes on."""
        async with self._changing:
            self._is_reload_waiting = False
            self._notify.reloading("loading the configuration")
            try:
                problems = await self._reloaded()
            finally:
                self._tell_ready()
        if problems:
            self.happened("reload-refused", "; ".join(problems))
        else:
            log.info("reloaded")
            self.happened("reload", "")
            self.reloaded()
        return problems

    async def _reloaded(self) -> list[str]:
        try:
            await self._replace(self._loaded())
        except Refused as error:
            return error.problems
        except StartError as error:
            return [str(error)]
        return []

    async def upgrade(self, reply: int | None) -> list[str]:
        """Become the program that is on disk now; return what keeps it from running, and does not return otherwise."""
        async with self._changing:
            self._notify.reloading("checking the new program")
            try:
                self._loaded()
                problems = await self._check()
            except Refused as error:
                problems = error.problems
            if not problems and self._current is not None:
                problems = [self._become(self._current.plan, reply)]
            self._tell_ready()
        return problems

    async def reports(self, *, flushes: bool = False) -> list[Told]:
        """Return the numbers of every worker that lives; with `flushes`, once they have written what waited."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(child.report(_REPORT_SECONDS, flushes=flushes)) for child in self._workers.alive]
        return [told for each in asked if (told := each.result()) is not None]

    async def ask(self, question: bytes) -> list[bytes]:
        """Return the answers of the workers that serve to a question."""
        serving = [] if self._current is None else list(self._current.workers.values())
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(child.ask(question, _ANSWER_SECONDS)) for child in serving]
        return [answer for each in asked if (answer := each.result()) is not None]

    def say(self, order: Message) -> None:
        """Give an order to every worker."""
        for child in self._workers.alive:
            child.say(order)

    def _loaded(self) -> Plan:
        if self._stopping.is_set() or self._current is None:
            raise Refused(["the node is starting or stopping"])
        plan, fixed = self._load(), self._current.plan.fixed
        changed = [name for name, value in plan.fixed.items() if fixed.get(name) != value]
        if changed:
            raise Refused([f"{name} cannot be changed without a restart" for name in changed])
        return plan

    async def _replace(self, plan: Plan) -> None:
        """Replace the current generation; StartError, with the current one serving, when that cannot be."""
        old = self._current
        sockets = self._sockets.open(plan.addresses)
        try:
            new = await Generation.prepare(plan, sockets, self._workers)
            if old is not None:
                await old.retire()
            await self._take(new, old)
            self._current = new
        finally:
            if self._current is not None:
                self._sockets.keep_only(self._sockets.open(self._current.plan.addresses))

    async def _take(self, new: Generation, old: Generation | None) -> None:
        try:
            await new.take()
        except StartError as error:
            if old is None:
                raise
            log.error("the new workers cannot serve, so the old configuration is put back: %s", error)  # noqa: TRY400 - no bug
            self._current = await Generation.prepare(old.plan, self._sockets.open(old.plan.addresses), self._workers)
            await self._current.take()
            raise

    def _begin_to_watch(self, child: Child) -> None:
        _ = spawn(self._watch(child), name=f"watch-{child.pid}")

    async def _watch(self, child: Child) -> None:
        """See to a worker's end, and to another in its place if nobody asked for that end."""
        code = await child.ended
        await child.forget()
        self._workers.remove(child)
        self._changed.set()
        if child.last is not None:
            self._ended(child.last)
        if child.is_leaving or self._stopping.is_set():
            return
        log.error("worker %d %s", child.index, told_end(code))
        reason = f"worker {child.index} {told_end(code)}"
        self.happened("worker-ended", reason)
        while reason and not self._stopping.is_set():
            if self._is_looping(time.monotonic()):
                self._failure = StartError(f"{reason}, {MOST_CRASHES} times in {CRASH_SECONDS:.0f} s: giving up")
                self._stopping.set()
                return
            reason = await self._restarted(child)

    def _is_looping(self, now: float) -> bool:
        self._crashes.append(now)
        return len(self._crashes) == MOST_CRASHES and now - self._crashes[0] < CRASH_SECONDS

    async def _restarted(self, child: Child) -> str:
        """Put another worker in the place of `child`, unless that place is gone; return why that failed, or ""."""
        recent = sum(time.monotonic() - when < CRASH_SECONDS for when in self._crashes)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_FIRST_DELAY * 2 ** (recent - 1), _LONGEST_DELAY)):
                await self._stopping.wait()
        async with self._changing:
            generation = self._current
            if generation is None or generation.workers.get(child.index) is not child or self._stopping.is_set():
                return ""
            try:
                sockets = self._sockets.open(generation.plan.addresses)
                new = await self._workers.start(generation.plan, child.index, sockets)
                generation.workers[child.index] = new
                await put_to_work(new)
                self.happened("worker-restarted", f"worker {child.index}")
            except StartError as error:
                generation.workers[child.index].kill()
                generation.workers[child.index] = child
                log.error("worker %d cannot be restarted: %s", child.index, error)  # noqa: TRY400 - no bug
                return str(error)
        return ""

    async def _look(self) -> None:
        """End workers that give no sign of life, and tell the service manager that this process does."""
        last = told = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            # Whoever did not run itself for a while cannot blame others.
            if now - last < 2 * _LOOK_SECONDS:
                self._end_stuck(now)
            last = now
            if (
                self._notify.watchdog_seconds is not None
                and now - told >= self._notify.watchdog_seconds - _LOOK_SECONDS
            ):
                self._notify.alive()
                told = now

    def _end_stuck(self, now: float) -> None:
        limit = self._current.plan.stall_seconds if self._current is not None else 0.0
        for child in self._workers.alive:
            beat = self._page.last_beat(child.slot)
            if beat and now - beat > limit and not child.ended.done():
                log.error("worker %d has given no sign of life for %.1f s: it is ended", child.index, now - beat)
                was_leaving = child.is_leaving
                child.kill()
                child.is_leaving = was_leaving

    def _become(self, plan: Plan, reply: int | None) -> str:
        """Replace this program by the one on disk; return what kept the system from doing that."""
        workers = [
            Left(child.pid, child.fd, child.index, child.slot, child.is_leaving) for child in self._workers.alive
        ]
        state = State(plan, workers, self._sockets.held(), self._page.fd, self._numbers(), reply)
        fd = leave(state)
        log.info("upgrading")
        try:
            os.execve(sys.executable, sys.orig_argv, {**os.environ, STATE_VARIABLE: str(fd)})  # noqa: S606 - itself
        except OSError as error:
            take_back(state, fd)
            return f"the new program cannot be run: {error.strerror}"

    async def _end(self) -> None:
        self._notify.stopping("waiting for the exchanges in progress")
        for child in self._workers.alive:
            child.say(Retire())
        self._sockets.keep_only([])
        seconds = self._current.plan.drain_seconds if self._current is not None else 0.0
        await self._all_ended(seconds + _STOP_SECONDS, unless=self._hurry)
        self.say(Stop())
        await self._all_ended(_STOP_SECONDS)

    async def _all_ended(self, seconds: float | None, unless: asyncio.Event | None = None) -> None:
        """Wait until no worker lives, for so many seconds at most, and only as long as `unless` is not set."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._workers.alive and not (unless is not None and unless.is_set()):
                    self._changed.clear()
                    await self._changed.wait()

    async def _kill_all(self) -> None:
        for child in self._workers.alive:
            child.kill()
        await self._all_ended(None)

    def _tell_ready(self) -> None:
        if not self._stopping.is_set() and self._current is not None:
            self._notify.ready(f"{self._current.plan.workers} workers serve")
