"""multipart/byteranges content (RFC 9110 §14.6)."""

from collections.abc import Callable, Sequence

from edge.caching.stored import Range
from edge.ports import Closable, Piece
from edge.semantics.ranges import format_content_range

Opener = Callable[[int, int], Closable]


class Multipart:
    """Several ranges of one representation as one content; `length` is that of the whole, headers included."""

    __slots__ = ("_open", "_pieces", "boundary", "length")

    def __init__(
        self, ranges: Sequence[Range], complete: int, content_type: bytes | None, boundary: bytes, opener: Opener
    ) -> None:
        self.boundary = boundary
        self._open = opener
        self._pieces: list[bytes | Range] = []
        typed = b"Content-Type: %s\r\n" % content_type if content_type is not None else b""
        for start, end in ranges:
            stated = format_content_range(start, end, complete)
            self._pieces.append(b"\r\n--%s\r\n%sContent-Range: %s\r\n\r\n" % (boundary, typed, stated))
            self._pieces.append((start, end))
        self._pieces.append(b"\r\n--%s--\r\n" % boundary)
        self.length = sum(map(_length, self._pieces))

    def open(self, start: int = 0, end: int | None = None) -> "MultipartSource":
        """Return the octets [start, end); an end of None reads to the end."""
        end = self.length if end is None else end
        left: list[bytes | Range] = []
        at = 0
        for piece in self._pieces:
            size = _length(piece)
            first, last = max(start - at, 0), min(end - at, size)
            if first < last:
                left.append(piece[first:last] if isinstance(piece, bytes) else (piece[0] + first, piece[0] + last))
            at += size
        return MultipartSource(left, self._open)


class MultipartSource:
    """A part of it that is being read."""

    __slots__ = ("_open", "_pieces", "_source")

    def __init__(self, pieces: list[bytes | Range], opener: Opener) -> None:
        self._pieces, self._open = pieces[::-1], opener
        self._source: Closable | None = None

    async def read(self) -> Piece:
        """Return the next piece, b"" at the end."""
        while True:
            if self._source is not None:
                if piece := await self._source.read():
                    return piece
                self.close()
            if not self._pieces:
                return b""
            following = self._pieces.pop()
            if isinstance(following, bytes):
                return following
            self._source = self._open(*following)

    def close(self) -> None:
        """Let go of the part being read."""
        if self._source is not None:
            self._source.close()
            self._source = None


def _length(piece: bytes | Range) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
