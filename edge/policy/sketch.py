"""Which of very many names weigh most, in bounded memory."""

from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

Name = TypeVar("Name", bound=Hashable)


class Weighed(NamedTuple, Generic[Name]):
    """A name and its weight, which is the true one or too high, by `excess` at most."""

    name: Name
    weight: int
    excess: int


class Sketch(Generic[Name]):
    """The names that weigh most: a space-saving sketch (Metwally and others, 2005) that makes room for many at a time.

    A name that is not in it weighs no more than the floor; so a new one begins there, and may be too high by that.
    """

    __slots__ = ("_capacity", "_excess", "_floor", "_weights")

    def __init__(self, capacity: int) -> None:
        """Keep `capacity` names at least, and four times as many at most."""
        self._capacity = capacity
        self._weights: dict[Name, int] = {}
        self._excess: dict[Name, int] = {}
        self._floor = 0

    def add(self, weights: Mapping[Name, int]) -> None:
        """Add to the weights of names."""
        known, floor = self._weights, self._floor
        for name, weight in weights.items():
            before = known.get(name)
            if before is None:
                before = floor
                if floor:
                    self._excess[name] = floor
            known[name] = before + weight
        if len(known) > 4 * self._capacity:
            self._make_room()

    def heaviest(self, count: int) -> list[Weighed[Name]]:
        """Return the `count` names that weigh most, the heaviest first."""
        first = sorted(self._weights, key=self._weights.__getitem__, reverse=True)[:count]
        return [Weighed(name, self._weights[name], self._excess.get(name, 0)) for name in first]

    def _make_room(self) -> None:
        names = sorted(self._weights, key=self._weights.__getitem__, reverse=True)
        self._floor = self._weights[names[self._capacity]]
        self._weights = {name: self._weights[name] for name in names[: self._capacity]}
        self._excess = {name: excess for name, excess in self._excess.items() if name in self._weights}
