"""The memory that all processes of a node share: anonymous, passed on by descriptor, gone with the last of them.

Each cell has one writer at a time, so none needs a lock.  Every process has a slot of its own; a heartbeat in it tells
that its event loop turns.
"""

import mmap
import os
from typing import Self

#: So many processes share a page: two generations at least while one takes over from the other.
SLOTS = 256
#: Cells before the slots: the version of the layout, the purge epoch (reserved).
_HEADER, _VERSION = 8, 1
_CELL = 8


class Page:
    """Unsigned 64-bit cells.

    Attributes:
        fd: the descriptor that other processes open it by.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, 0)
        self._cells = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls) -> Self:
        """Return a new page."""
        fd = os.memfd_create("foreland-page")
        os.ftruncate(fd, (_HEADER + SLOTS) * _CELL)
        page = cls(fd)
        page._cells[0] = _VERSION
        return page

    def beat(self, slot: int, now: float) -> None:
        """Note that the process in `slot` was alive at `now`, seconds of the monotonic clock that all share."""
        self._cells[_HEADER + slot] = int(now * 1000)

    def last_beat(self, slot: int) -> float:
        """Return when the process in `slot` was last known to be alive, 0.0 for never."""
        return self._cells[_HEADER + slot] / 1000

    def clear(self, slot: int) -> None:
        """Forget the process that was in `slot`."""
        self._cells[_HEADER + slot] = 0

    def close(self) -> None:
        """Let go of it."""
        self._cells.release()
        self._memory.close()
        os.close(self.fd)
