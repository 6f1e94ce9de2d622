"""Content that is not admitted: it lives in memory for as long as it comes in and is followed, and nowhere else."""

from dataclasses import dataclass
from os import urandom

from edge.caching.stored import StoredResponse
from edge.errors import NotAdmitted, StoreDamaged
from edge.ports import Piece

# How much of it a reader is handed at once.
_PIECE = 256 << 10


@dataclass(slots=True)
class Allowance:
    """What all such contents together may still take of the memory, bytes."""

    left: int


class Passing:
    """The `Writer` of one content that is not admitted; it is over with `abort`, which also follows a failed commit.

    Attributes:
        generation: names the content, and is never found.
    """

    is_admitted = False

    def __init__(self, allowance: Allowance, start: int) -> None:
        """Begin at offset `start`."""
        self.generation = urandom(8)
        self._allowance, self._start, self._data = allowance, start, bytearray()

    async def write(self, data: Piece) -> None:
        """Append `data`; NotAdmitted when memory may hold no more."""
        if len(data) > self._allowance.left:
            raise NotAdmitted("not admitted, and memory may hold no more of it")
        self._allowance.left -= len(data)
        self._data += data

    def open(self, start: int, end: int) -> "PassingSource":
        """Return the octets [start, end) of what has been written so far, for those who follow the fill."""
        return PassingSource(self._data, start - self._start, end - self._start)

    async def commit(self, stored: StoredResponse) -> None:
        """Raise NotAdmitted: nothing is found of it.  Those who follow can read on until `abort`."""
        raise NotAdmitted("not admitted")

    def abort(self) -> None:
        """Forget what was written; sources opened on it stay readable."""
        self._allowance.left += len(self._data)
        self._data = bytearray()


class PassingSource:
    """Octets of a content that is not admitted."""

    def __init__(self, data: bytearray, at: int, end: int) -> None:
        self._data, self._at, self._end = data, at, end

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end; StoreDamaged when it was not written."""
        if self._at >= self._end:
            return b""
        if not 0 <= self._at < len(self._data):
            raise StoreDamaged("what was not admitted is gone")
        piece = bytes(self._data[self._at : min(self._at + _PIECE, self._end)])
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Let go of the octets."""
        self._data, self._end = bytearray(), self._at
