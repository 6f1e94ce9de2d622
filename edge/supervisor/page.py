"""The memory that all processes of a node share: anonymous, passed on by descriptor, gone with the last of them.

Each cell has one writer at a time, so none needs a lock.  Every process has a slot of its own; a heartbeat in it tells
that its event loop turns, and a count how many connections it has while it accepts.  Behind the slots lies what the workers share of their stores.
"""

import mmap
import os
from typing import Self

#: So many processes share a page: two generations at least while one takes over from the other.
SLOTS = 256
#: Cells before the slots: the version of the layout, the purge epoch.
_HEADER, _VERSION, _EPOCH = 8, 2, 1
_COUNTS = _HEADER + SLOTS
_SIZE = (_COUNTS + SLOTS) * 8


class Page:
    """Unsigned 64-bit cells.

    Attributes:
        fd: the descriptor that other processes open it by.
        rest: the bytes that are the workers' own business.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, 0)
        whole = memoryview(self._memory)
        self._cells, self.rest = whole[:_SIZE].cast("Q"), whole[_SIZE:]

    @classmethod
    def create(cls, rest: int) -> Self:
        """Return a new page with so many bytes for the workers."""
        fd = os.memfd_create("foreland-page")
        os.ftruncate(fd, _SIZE + rest)
        page = cls(fd)
        page._cells[0] = _VERSION
        return page

    @property
    def epoch(self) -> int:
        """The id of the newest purge that any process has acknowledged; set with the purge log locked."""
        return self._cells[_EPOCH]

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._cells[_EPOCH] = epoch

    def beat(self, slot: int, now: float) -> None:
        """Note that the process in `slot` was alive at `now`, seconds of the monotonic clock that all share."""
        self._cells[_HEADER + slot] = int(now * 1000)

    def last_beat(self, slot: int) -> float:
        """Return when the process in `slot` was last known to be alive, 0.0 for never."""
        return self._cells[_HEADER + slot] / 1000

    def count(self, slot: int, connections: int | None) -> None:
        """Note how many connections the process in `slot` has, None when it accepts no more."""
        self._cells[_COUNTS + slot] = 0 if connections is None else connections + 1

    def fewest(self) -> int:
        """Return the least number of connections that a process has which accepts; 0 if there is none."""
        return min(filter(None, self._cells[_COUNTS : _COUNTS + SLOTS]), default=1) - 1

    def clear(self, slot: int) -> None:
        """Forget the process that was in `slot`."""
        self._cells[_HEADER + slot] = self._cells[_COUNTS + slot] = 0

    def close(self) -> None:
        """Let go of it."""
        self._cells.release()
        self.rest.release()
        self._memory.close()
        os.close(self.fd)
