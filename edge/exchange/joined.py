"""Two sources, one after the other."""

from edge.ports import Closable


class Joined:
    """The content of `first`, then that of `second`."""

    __slots__ = ("_first", "_is_over", "_second")

    def __init__(self, first: Closable, second: Closable) -> None:
        self._first, self._second = first, second
        self._is_over = False

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end of the second."""
        if not self._is_over:
            if piece := await self._first.read():
                return piece
            self._is_over = True
        return await self._second.read()

    def close(self) -> None:
        """Close both."""
        self._first.close()
        self._second.close()
