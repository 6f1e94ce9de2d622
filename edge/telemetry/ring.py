"""The last exchanges, whole, in memory: detail that costs nothing until somebody asks."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import final

from edge.ports import Record


@final
class Ring:
    """The last `capacity` records; the oldest makes room for the newest.

    A record holds the request as it came, credentials included: what shows it must leave them out.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._records: deque[Record] = deque(maxlen=capacity)
        #: Remember one exchange; the deque's own method, because this is called for each.
        self.add: Callable[[Record], None] = self._records.append

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records, the newest first, unmoved by what is added meanwhile."""
        return iter(list(reversed(self._records)))

    def select(self, count: int, accepts: Callable[[Record], bool] = lambda _record: True) -> list[Record]:
        """Return the newest `count` records that `accepts` takes, the newest first."""
        return list(islice(filter(accepts, self), count))
