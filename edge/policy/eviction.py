"""Which stored responses leave memory first: greedy dual size frequency, with ageing.

The worth of an item is its visits by its size, so many small hot items are kept rather than one large one.  An item
that leaves raises the age that newcomers start from: what was hot long ago leaves in its turn.  (Cherkasova, "Improving
WWW proxies performance with Greedy-Dual-Size-Frequency caching policy", 1998.)
"""

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")

# The heap may hold this many places of items that are gone before it is made anew.
_SLACK = 64


@dataclass(slots=True)
class _Item:
    size: int
    place: int
    worth: float
    visits: int = 1


class Evictor(Generic[K]):
    """Counts what is held against a capacity in bytes, and names the victims when it is exceeded."""

    def __init__(self, capacity: int) -> None:
        self.used = 0
        self._capacity = capacity
        self._age = 0.0
        self._places = 0
        self._items: dict[K, _Item] = {}
        # (worth when it was placed, place, key): a visit only raises the item's worth; its place follows when it is due.
        self._heap: list[tuple[float, int, K]] = []

    @property
    def is_full(self) -> bool:
        """Whether what is held takes nearly all of the capacity."""
        return self.used * 16 > self._capacity * 15

    def __contains__(self, key: K) -> bool:
        return key in self._items

    def visits(self, key: K) -> int:
        """Return how often `key` was admitted or visited since it came, 0 when it is not held."""
        item = self._items.get(key)
        return item.visits if item is not None else 0

    def visit(self, key: K) -> None:
        """Note that `key`, which is held, was used."""
        item = self._items[key]
        item.visits += 1
        item.worth = self._age + item.visits / item.size

    def would_stay(self, size: int, visits: int) -> bool:
        """Return whether an item that has had so many visits would not be the first to leave again."""
        if self.used + size <= self._capacity:
            return True
        return size <= self._capacity and self._age + visits / size > self._least()[0]

    def admit(self, key: K, size: int, visits: int = 1) -> list[K]:
        """Hold `key` with `size` bytes from now on and return the victims, which may include `key` itself.

        `visits` is how often it was used until now, this time included.
        """
        if key in self._items:
            self.discard(key)
        size = max(size, 1)
        if size > self._capacity:
            return [key]
        item = _Item(size, 0, self._age + visits / size, visits)
        self._items[key] = item
        self.used += size
        self._put(key, item)
        victims: list[K] = []
        while self.used > self._capacity:
            victims.append(self._evict())
        return victims

    def discard(self, key: K) -> None:
        """Hold `key` no longer, if it was held."""
        item = self._items.pop(key, None)
        if item is None:
            return
        self.used -= item.size
        if len(self._heap) > 2 * len(self._items) + _SLACK:
            self._heap = [(item.worth, item.place, key) for key, item in self._items.items()]
            heapq.heapify(self._heap)

    def _put(self, key: K, item: _Item) -> None:
        self._places += 1
        item.place = self._places
        heapq.heappush(self._heap, (item.worth, item.place, key))

    def _least(self) -> tuple[float, K]:
        """Return the item that is worth least, and its worth."""
        while True:
            worth, place, key = self._heap[0]
            item = self._items.get(key)
            if item is not None and item.place == place and item.worth <= worth:
                return worth, key
            heapq.heappop(self._heap)
            if item is not None and item.place == place:
                self._put(key, item)

    def _evict(self) -> K:
        self._age, key = self._least()
        heapq.heappop(self._heap)
        self.discard(key)
        return key
