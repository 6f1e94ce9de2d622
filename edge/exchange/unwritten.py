"""Purges that last as long as the process, where what they purge lasts no longer."""

from edge.policy.purging import Mode, Purge, PurgeTable, Selector
from edge.ports import SharedEpoch


class UnwrittenPurges(PurgeTable):
    """The port `Purges` for a store in memory."""

    __slots__ = ("shared",)
    shared: SharedEpoch

    def __init__(self) -> None:
        super().__init__()
        self.shared = self

    def current(self) -> int:
        """Return the id of the newest purge."""
        return self.epoch

    async def purge(self, mode: Mode, selectors: tuple[Selector, ...], now: float) -> Purge:
        """Purge for every request that starts from now on."""
        purge = Purge(self.epoch + 1, now, mode, selectors)
        self.apply(purge)
        return purge
