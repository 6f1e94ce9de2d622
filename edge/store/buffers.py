"""Buffers for large reads, used again: allocating a megabyte for each costs more than reading it from the page cache."""

import sys

#: What a large read takes at most, bytes.
LARGE = 1 << 20
# More than so many are for clients that are slow to take what was read, and those get smaller pieces.
_KEPT = 32
# A buffer is free when nobody but the list, the loop variable and the call that asks refers to it.
_FREE = 3


class Buffers:
    """Some large buffers; each is handed out again as soon as nobody holds a view of it."""

    def __init__(self) -> None:
        self._buffers: list[bytearray] = []

    def take(self, length: int) -> memoryview | None:
        """Return a view of `length` bytes, at most LARGE, of a buffer that nobody uses; None when all are in use."""
        for buffer in self._buffers:
            if sys.getrefcount(buffer) == _FREE:
                return memoryview(buffer)[:length]
        if len(self._buffers) == _KEPT:
            return None
        self._buffers.append(bytearray(LARGE))
        return memoryview(self._buffers[-1])[:length]
