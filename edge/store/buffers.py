"""Buffers for large reads, used again: allocating a megabyte for each costs more than reading it from the page cache.

What was read into one is left in it, if it was asked for before, so that who reads the same next need not copy it again;
of these, the one that nobody has asked for the longest is the first to be used for something else.
"""

import sys
from collections import OrderedDict

#: What a large read takes at most, bytes.
LARGE = 1 << 20
# More than so many are for clients that are slow to take what was read, and those get smaller pieces.
_KEPT = 32
# A buffer is free when nobody but what keeps it, a variable and the call that asks refers to it.
_FREE = 3

#: What tells octets apart: their generation, where they begin, and how many they are.
Octets = tuple[bytes, int, int]


class Buffers:
    """Some large buffers; each is handed out again as soon as nobody holds a view of it."""

    def __init__(self) -> None:
        self._spare: list[bytearray] = []
        self._known: OrderedDict[Octets, bytearray] = OrderedDict()

    def take(self, length: int) -> memoryview | None:
        """Return a view of `length` bytes, at most LARGE, of a buffer that nobody uses; None when all are in use."""
        for buffer in self._spare:
            if sys.getrefcount(buffer) == _FREE:
                return memoryview(buffer)[:length]
        if len(self._spare) + len(self._known) < _KEPT:
            self._spare.append(bytearray(LARGE))
            return memoryview(self._spare[-1])[:length]
        for octets in self._known:
            buffer = self._known[octets]
            if sys.getrefcount(buffer) == _FREE:
                del self._known[octets]
                self._spare.append(buffer)
                return memoryview(buffer)[:length]
        return None

    def find(self, octets: Octets) -> memoryview | None:
        """Return a view of octets that are in a buffer, or None."""
        buffer = self._known.get(octets)
        if buffer is None:
            return None
        self._known.move_to_end(octets)
        return memoryview(buffer)[: octets[2]].toreadonly()

    def keep(self, octets: Octets, view: memoryview) -> None:
        """Note what was read into a buffer that was taken, all of which it is now."""
        if octets not in self._known and isinstance(view.obj, bytearray):
            self._spare = [buffer for buffer in self._spare if buffer is not view.obj]
            self._known[octets] = view.obj
