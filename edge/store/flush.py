"""The flush: what waits in the ledger goes to the log, group by group, in the writer thread."""

import asyncio
import logging
import math
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial

from edge.clock import Clock
from edge.store.entry import Entry, Outcome
from edge.store.ledger import Ledger
from edge.store.log import Log
from edge.tasks import spawn

log = logging.getLogger("edge.store")

#: Entries wait for company for so long at most.
GROUP_SECONDS = 0.025
#: Nothing new is taken for so long after the disk has refused something.
PAUSE_SECONDS = 5.0
# What makes things unfindable is tried again at this pace.
_RETRY_SECONDS = 1.0


class Flush:
    """Writes what waits.

    Attributes:
        errors: how many groups could not be written.
        patience: seconds after which a disk that neither takes nor refuses a group counts as one that refuses.
    """

    def __init__(self, ledger: Ledger, writer: Log, thread: Executor, clock: Clock) -> None:
        self.errors, self.patience = 0, PAUSE_SECONDS
        self._ledger, self._log, self._thread, self._clock = ledger, writer, thread, clock
        self._paused_until: float | None = None
        self._stop = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task = spawn(self._run(), name="store-flush")

    @property
    def is_storing(self) -> bool:
        """Whether the disk takes what it is given, as far as is known."""
        return self._paused_until is None or self._clock.monotonic() >= self._paused_until

    async def everything(self) -> bool:
        """Write all that waits now and return whether it could be written."""
        async with self._turn:
            return await self._write()

    async def close(self) -> bool:
        """Stop, and return whether everything could be written."""
        self._stop.set()
        self._ledger.queued.set()
        self._ledger.is_much.set()
        # Ended by whoever closes the process, perhaps: what it left is written below.
        await asyncio.wait([self._task])
        is_written = True
        while is_written and len(self._ledger):
            is_written = await self.everything()
        return is_written

    async def _run(self) -> None:
        while not self._stop.is_set():
            await self._ledger.queued.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(GROUP_SECONDS):
                    await self._ledger.is_much.wait()
            if not await self.everything():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_SECONDS):
                        await self._stop.wait()

    async def _write(self) -> bool:
        """Write what waits and return whether it could be written; only one at a time."""
        entries, number = self._ledger.take(), self._ledger.number
        if not entries:
            return True
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._log.append, entries)
        # Whether or not somebody still waits for it, what was written is settled.
        work.add_done_callback(partial(self._settle, entries, number))
        if not (await asyncio.wait([work], timeout=self.patience))[0]:
            self._pause("it does not answer", math.inf)
        return (await asyncio.shield(work)).error is None

    def _settle(self, entries: list[Entry], number: int, work: asyncio.Future[Outcome]) -> None:
        outcome = work.result()
        self._note(outcome, has_written=any(entry.size for entry in entries[: outcome.done]))
        self._ledger.settle(entries, number, outcome)

    def _note(self, outcome: Outcome, *, has_written: bool) -> None:
        if outcome.error is None:
            # What only forgets something says nothing about the disk.
            if self._paused_until is not None and has_written:
                log.warning("the store takes new content again")
                self._paused_until = None
            return
        self.errors += 1
        self._pause(str(outcome.error), self._clock.monotonic() + PAUSE_SECONDS)

    def _pause(self, problem: str, until: float) -> None:
        if self._paused_until is None:
            log.error("nothing is stored until the disk takes it again: %s", problem)
        self._paused_until = until
        self._ledger.give_up_room()
