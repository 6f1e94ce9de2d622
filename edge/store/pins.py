"""Pins: what is never reclaimed, and what it takes of a quota of its own."""

from collections.abc import Iterable, Mapping

from edge.caching.stored import StoredResponse
from edge.errors import StoreFull
from edge.store.head import Outline

# What a pinned response is charged beyond its content: its head and record headers, and its share of the index, which
# has room for one entry in 12 KB of the quota.
_CHARGE = 16 << 10


def charge_of(stored: StoredResponse | Outline) -> int:
    """Return what `stored` takes of the quota for pinned content, bytes; 0 when it is not pinned."""
    return _CHARGE + sum(last - first for first, last in stored.ranges) if stored.pinned else 0


def charge_while_filled(octets: int) -> int:
    """Return what a pinned response takes of which so many `octets` have come in."""
    return _CHARGE + octets


class Pins:
    """Charges by generation, of what is pinned and of what comes in to be; the writer thread may look.

    Attributes:
        limit: what all together may take, bytes.
        used: what they take.
    """

    def __init__(self, charges: Mapping[bytes, int], limit: int) -> None:
        self.limit = limit
        self._charges = dict(charges)
        self.used = sum(self._charges.values())

    def __contains__(self, generation: bytes) -> bool:
        return generation in self._charges

    def check(self, charge: int, *, instead_of: Iterable[bytes] = ()) -> None:
        """Raise StoreFull when `charge` does not fit in the place of the generations that go."""
        gone = sum(self._charges.get(generation, 0) for generation in instead_of)
        # What is there already stays, even when the limit was lowered since.
        if charge > gone and self.used - gone + charge > self.limit:
            raise StoreFull("there is no room for more pinned content")

    def put(self, generation: bytes, charge: int) -> None:
        """Note what `generation` takes from now on, 0 when it is not pinned."""
        if not charge and generation not in self._charges:
            return
        self.used += charge - self._charges.get(generation, 0)
        if charge:
            self._charges[generation] = charge
        else:
            self._charges.pop(generation, None)
