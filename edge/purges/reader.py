"""Reading the purge log, while others may append to it or put a shorter one in its place."""

import os
from pathlib import Path

from edge.errors import StoreDamaged
from edge.policy.purging import Purge
from edge.purges.record import decode, decode_heading

_WINDOW = 1 << 20


class Reader:
    """A place in the log.

    Attributes:
        at: the offset behind what was read.
        epoch: the id of the newest purge that was read, or that the file says was there before.
        rest: what follows `at` and is not a whole line.
    """

    def __init__(self, path: Path) -> None:
        """Begin to read the log at `path`, which is there by the time it is read."""
        self._path = path
        self._descriptor = -1
        self.at, self.epoch, self.rest = 0, 0, b""

    def read(self, upto: int | None = None) -> list[Purge]:
        """Return the purges that follow, up to the id `upto`.

        OSError if the file cannot be read; StoreDamaged if what is there is not what was written.
        """
        self._follow()
        found: list[Purge] = []
        lines = self._remaining().splitlines(keepends=True)
        self.rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            if self.at == 0:
                self.epoch = max(self.epoch, decode_heading(line).epoch)
            else:
                purge = decode(line)
                if upto is not None and purge.id > upto:
                    break
                if found and purge.id <= found[-1].id:
                    raise StoreDamaged("the purge log is out of order")
                found.append(purge)
            self.at += len(line)
        self.epoch = max(self.epoch, found[-1].id if found else 0)
        return found

    def close(self) -> None:
        """Close the file; it can be read on all the same."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _follow(self) -> None:
        """Open the file that is there now, from its beginning if it is another."""
        if self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
            return
        self.close()
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self.at = 0

    def _remaining(self) -> bytes:
        pieces = []
        at = self.at
        while piece := os.pread(self._descriptor, _WINDOW, at):
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)
