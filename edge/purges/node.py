"""The purges of a node as one of its processes knows them: implements the exchange's port `Purges`."""

import asyncio
import logging
from collections.abc import Callable

from edge.errors import StoreError
from edge.policy.purging import EVERYTHING, Labels, Mode, Purge, PurgeTable, Selector, Verdict
from edge.ports import SharedEpoch
from edge.purges.log import PurgeLog
from edge.purges.reader import Reader

log = logging.getLogger("edge.purges")


class LocalEpoch:
    """The epoch of a node with one process."""

    __slots__ = ("epoch",)

    def __init__(self) -> None:
        self.epoch = 0


class NodePurges:
    """The rules of the log at hand, brought up to date whenever the shared epoch says that there are more."""

    def __init__(self, purge_log: PurgeLog, shared: SharedEpoch, changed: Callable[[], None] = lambda: None) -> None:
        """Take in what the log has; `shared` is the one that the log tells, and `changed` is called when there is more."""
        self._changed = changed
        self.log = purge_log
        self.shared = shared
        self._reader = Reader(purge_log.path)
        self._table = PurgeTable()
        self.current()

    def __len__(self) -> int:
        """Return how many rules there are."""
        return len(self._table)

    def current(self) -> int:
        """Take in every purge acknowledged so far and return the id of the newest, the epoch."""
        if self.shared.epoch != self._table.epoch:
            self._catch_up(self.shared.epoch)
        return self._table.epoch

    def verdict(self, key: bytes, epoch: int, labels: Labels) -> Verdict | None:
        """Return whether a response for `key`, whose fetch began at `epoch`, was purged since; hard beats soft."""
        return self._table.verdict(key, epoch, labels)

    def may_hit(self, key: bytes, epoch: int) -> bool:
        """Return whether a response for `key` whose tags are not known yet may have been purged since `epoch`."""
        return self._table.may_hit(key, epoch)

    async def purge(self, mode: Mode, selectors: tuple[Selector, ...], now: float) -> Purge:
        """Purge, at `now` in seconds, for every request that starts once this has returned.

        PurgeNotWritten: it did not happen.
        """
        purge = await asyncio.to_thread(self.log.append, mode, selectors, now)
        self.current()
        return purge

    def close(self) -> None:
        """Let go of the log."""
        self._reader.close()
        self.log.close()

    def _catch_up(self, epoch: int) -> None:
        try:
            for purge in self._reader.read(epoch):
                self._table.apply(purge)
        except (OSError, StoreError) as error:
            # What cannot be read may be about anything.
            log.error("the purge log cannot be read on, all that is stored is purged: %s", error)  # noqa: TRY400 - no bug
            self._table.apply(Purge(epoch, 0.0, Mode.HARD, (EVERYTHING,)))
        self._changed()
        # The newest may be covered by one that is left of a shorter log.
        self._table.epoch = max(self._table.epoch, min(self._reader.epoch, epoch))
        if self._table.epoch < epoch:
            log.error("the purge log ends before purge %d, all that is stored is purged", epoch)
            self._table.apply(Purge(epoch, 0.0, Mode.HARD, (EVERYTHING,)))
