"""Request content held to a limit."""

from edge.errors import ContentTooLarge
from edge.ports import Source


class Limited:
    """The content of another source; ContentTooLarge once it is longer than `limit` octets."""

    __slots__ = ("_left", "_source")

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._left = limit

    async def read(self) -> bytes:
        """Return the next piece."""
        piece = await self._source.read()
        self._left -= len(piece)
        if self._left < 0:
            raise ContentTooLarge
        return piece
