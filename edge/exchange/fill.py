"""Origin content on its way into the store and, at each one's own pace, to every client that waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable

from edge.caching.stored import StoredResponse
from edge.errors import EdgeError, StoreDamaged, StoreError, UpstreamClosed
from edge.ports import Closable, UpstreamResponse, Writer

#: Without a client left, a fill goes on only when no more octets than this are still to come.
FINISH_ABANDONED = 16 << 20
# Octets kept for the slowest client once the store has refused to take more.
_UNSTORED_WINDOW = 4 << 20


class Fill:
    """Content from offset `start` on, read from the origin and written once, for any number of readers.

    `stored` is the head as far as it is known when the content begins, `end` the offset behind the content or None.
    """

    __slots__ = (
        "_changed", "_error", "_is_forbidden", "_is_kept", "_is_storing", "_readers", "_unstored", "_unstored_from",
        "_upstream", "_writer", "end", "is_done", "produced", "start", "stored", "task",
    )  # fmt: skip

    def __init__(
        self, upstream: UpstreamResponse, writer: Writer, stored: StoredResponse, start: int, *, is_kept: bool
    ) -> None:
        """Take over `upstream` and `writer`; `is_kept` lets the fill go on without any reader."""
        self._upstream = upstream
        self._writer = writer
        self._changed = asyncio.Event()
        self._error: EdgeError | None = None
        self._is_kept = is_kept
        self._is_storing = True
        self._is_forbidden = False
        self._readers: set[FillReader] = set()
        self._unstored: deque[bytes] = deque()
        self._unstored_from = start
        self.stored = stored
        self.start = start
        self.produced = start
        self.end = None if upstream.content_length is None else start + upstream.content_length
        self.is_done = False
        self.task: asyncio.Task[None] | None = None

    def forbid_storing(self) -> None:
        """Deliver to the end, but do not commit."""
        self._is_forbidden = True

    def open(self, start: int, end: int | None) -> "FillReader":
        """Return the octets [start, end) as they come; None reads to the end."""
        reader = FillReader(self, start, end)
        self._readers.add(reader)
        return reader

    async def pump(self, finished: Callable[[StoredResponse, int], StoredResponse]) -> bool:
        """Read the origin's content to its end and commit it; return whether it was stored.

        `finished` makes the head to commit of the one known so far and the offset behind the content.
        """
        is_whole = is_stored = False
        try:
            while piece := await self._upstream.read():
                await self._take(piece)
                if self._is_abandoned():
                    return False
            is_whole = True
            if self._is_storing and not self._is_forbidden:
                await self._writer.commit(finished(self.stored, self.produced))
                is_stored = True
        except StoreError:
            self._is_storing = False
        except EdgeError as error:
            self._error = error
        finally:
            if not is_whole and self._error is None:
                self._error = UpstreamClosed()
            self.is_done = True
            self._upstream.close()
            if not is_stored:
                self._writer.abort()
            self._wake()
        return is_stored

    async def read(self, reader: "FillReader") -> bytes:
        """Return the next piece for `reader`, b"" at the clean end; UpstreamError when the content broke off."""
        while True:
            stop = self.produced if reader.end is None else min(self.produced, reader.end)
            if reader.position < stop:
                return await self._piece(reader, stop)
            if reader.end is not None and reader.position >= reader.end:
                return b""
            if self.is_done:
                if self._error is not None:
                    raise self._error
                return b""
            await self._changed.wait()

    def written(self, start: int, end: int) -> Closable:
        """Return octets that the store took."""
        return self._writer.open(start, end)

    def forget(self, reader: "FillReader") -> None:
        """A reader is gone."""
        self._readers.discard(reader)
        self._wake()

    async def _piece(self, reader: "FillReader", stop: int) -> bytes:
        if self._is_storing or reader.position < self._unstored_from:
            return await reader.read_written(stop if self._is_storing else min(stop, self._unstored_from))
        offset = self._unstored_from
        for piece in self._unstored:
            if reader.position < offset + len(piece):
                return piece[reader.position - offset : stop - offset]
            offset += len(piece)
        raise UpstreamClosed

    async def _take(self, piece: bytes) -> None:
        if self._is_storing:
            try:
                await self._writer.write(piece)
            except StoreError:
                # Whoever waits still gets the rest, now at the pace of the slowest.
                self._is_storing = False
                self._unstored_from = self.produced
        if not self._is_storing:
            self._unstored.append(piece)
        self.produced += len(piece)
        self._wake()
        while not self._is_storing and not self._has_room():
            await self._changed.wait()

    def _has_room(self) -> bool:
        """Drop what every reader has had; return whether little enough is left to go on."""
        slowest = min((reader.position for reader in self._readers), default=self.produced)
        while self._unstored and self._unstored_from + len(self._unstored[0]) <= slowest:
            self._unstored_from += len(self._unstored.popleft())
        return self.produced - self._unstored_from <= _UNSTORED_WINDOW

    def _is_abandoned(self) -> bool:
        if self._readers or self._is_kept:
            return False
        return not self._is_storing or self.end is None or self.end - self.produced > FINISH_ABANDONED

    def moved(self) -> None:
        """A reader has gone on."""
        if not self._is_storing:
            self._wake()

    def _wake(self) -> None:
        # Wakes all who wait now; whoever comes later looks at the state first.
        self._changed.set()
        self._changed.clear()


class FillReader:
    """One client's place in a fill, as a source."""

    __slots__ = ("_fill", "_written", "end", "position")

    def __init__(self, fill: Fill, start: int, end: int | None) -> None:
        self._fill = fill
        self._written: Closable | None = None
        self.position = start
        self.end = end

    async def read(self) -> bytes:
        """Return the next piece as soon as the origin has sent it."""
        piece = await self._fill.read(self)
        self.position += len(piece)
        self._fill.moved()
        return piece

    async def read_written(self, stop: int) -> bytes:
        """Return the next piece of what the store already has, up to `stop`."""
        if self._written is not None:
            if piece := await self._written.read():
                return piece
            self._written.close()
        self._written = self._fill.written(self.position, stop)
        if not (piece := await self._written.read()):
            # An end where there is none would make a part look whole.
            raise StoreDamaged
        return piece

    def close(self) -> None:
        """Leave the fill."""
        if self._written is not None:
            self._written.close()
        self._fill.forget(self)
