"""The last octets of a content that the store does not take, for clients that are not there yet."""

from collections import deque

from edge.errors import UpstreamClosed

# More than this is not kept for the slowest client.
_LIMIT = 4 << 20


class Window:
    """Pieces in memory, added behind and dropped in front; `start` is the offset of the first octet kept."""

    __slots__ = ("_end", "_pieces", "start")

    def __init__(self, start: int) -> None:
        self._pieces: deque[bytes] = deque()
        self._end = start
        self.start = start

    @property
    def has_room(self) -> bool:
        """Whether another piece may be added."""
        return self._end - self.start <= _LIMIT

    def append(self, piece: bytes) -> None:
        """Add a piece behind the others."""
        self._pieces.append(piece)
        self._end += len(piece)

    def drop(self, position: int) -> None:
        """Drop the pieces that end at or before `position`."""
        while self._pieces and self.start + len(self._pieces[0]) <= position:
            self.start += len(self._pieces.popleft())

    def piece(self, position: int, stop: int) -> bytes:
        """Return octets from `position` on, not beyond `stop`; UpstreamClosed when they are no longer kept."""
        offset = self.start
        for piece in self._pieces:
            if offset <= position < offset + len(piece):
                return piece[position - offset : stop - offset]
            offset += len(piece)
        raise UpstreamClosed("the content went by")
