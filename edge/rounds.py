"""Looking at everything in a table, a part at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

_AT_ONCE = 1024


class Rounds(Generic[T]):
    """What of a table that changes is to be looked at next, so that all of it is, round after round."""

    def __init__(self) -> None:
        self._left: Iterator[T] = iter(())

    def next(self, table: Iterable[T]) -> list[T]:
        """Return some of what was in the `table` when the round began; a new round begins with this call if it is over."""
        part = list(islice(self._left, _AT_ONCE))
        if not part:
            self._left = iter(list(table))
            part = list(islice(self._left, _AT_ONCE))
        return part
