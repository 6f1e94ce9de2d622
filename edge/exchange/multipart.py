"""multipart/byteranges content (RFC 9110 §14.6)."""

from collections.abc import Callable, Sequence

from edge.caching.stored import Range
from edge.ports import Closable, Piece
from edge.semantics.ranges import format_content_range

Opener = Callable[[int, int], Closable]


class Multipart:
    """Several ranges of one representation as one source; `length` is that of the whole, headers included."""

    __slots__ = ("_open", "_pieces", "_source", "boundary", "length")

    def __init__(
        self, ranges: Sequence[Range], complete: int, content_type: bytes | None, boundary: bytes, opener: Opener
    ) -> None:
        self.boundary = boundary
        self._open = opener
        self._source: Closable | None = None
        self._pieces: list[bytes | Range] = []
        typed = b"Content-Type: %s\r\n" % content_type if content_type is not None else b""
        for start, end in ranges:
            stated = format_content_range(start, end, complete)
            self._pieces.append(b"\r\n--%s\r\n%sContent-Range: %s\r\n\r\n" % (boundary, typed, stated))
            self._pieces.append((start, end))
        self._pieces.append(b"\r\n--%s--\r\n" % boundary)
        self.length = sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self._pieces)
        self._pieces.reverse()

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
