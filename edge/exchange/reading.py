"""Stored content on its way to one client: what the client's connection has no room for is let go of, and read again."""

from collections.abc import Callable

from edge.ports import Closable, Piece, Responder

#: Returns the octets [start, end) of a content; an end of None reads to its end.
Opener = Callable[[int, int | None], Closable]

# What is read at once behind a place that was gone back to, octets, where there is less room.
_LEAST = 64 << 10
# Room for more than any content is read at once.
_PLENTY = 1 << 30


class Reading:
    """Octets [start, end) of a content, in pieces for which `responder` has room."""

    __slots__ = ("_at", "_end", "_first", "_is_passing", "_open", "_responder", "_source", "_stop")

    def __init__(
        self, responder: Responder, opener: Opener, start: int, end: int | None, *, is_passing: bool = False
    ) -> None:
        """Read by `opener`; what is `passing` can be opened only once, so that all of it must be taken."""
        self._responder, self._open, self._is_passing = responder, opener, is_passing
        self._at, self._end = start, end
        self._stop = end if is_passing else self._until(responder.room)
        self._source = opener(start, self._stop)
        self._first: Piece | None = None

    async def look(self) -> None:
        """Read the first piece, whatever there is room for: it is let go of in `read`, which is to be next."""
        self._first = await self._source.read()

    async def read(self) -> Piece:
        """Return the next piece, b"" at the end."""
        while True:
            piece, self._first = await self._source.read() if self._first is None else self._first, None
            room = len(piece) if self._is_passing else self._responder.room
            if len(piece) <= room:
                self._at += len(piece)
                if piece or self._at != self._stop or self._stop == self._end:
                    return piece
            elif room:
                # A copy: the rest must not stay for its sake.
                piece = bytes(piece[:room])
                self._at += room
                self._go_on(room)
                return piece
            # While it waits, it is not to hold what it has let go of.
            piece = b""
            self._go_on(room)
            await self._responder.wait_room()

    def close(self) -> None:
        """Let go of the content."""
        self._source.close()

    def _go_on(self, room: int) -> None:
        """Go on with what comes next, as if nothing of it had been read."""
        self._stop = self._until(room)
        # Before the other is closed: a content that nobody reads may be given up.
        source = self._open(self._at, self._stop)
        self._source.close()
        self._source = source

    def _until(self, room: int) -> int | None:
        """Return where to stop reading for now."""
        if room >= _PLENTY:
            return self._end
        stop = self._at + max(room, _LEAST)
        return stop if self._end is None else min(stop, self._end)
