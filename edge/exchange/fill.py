"""Content on its way into the store and, at each one's own pace, to every client that waits for it."""

import asyncio
from collections.abc import Awaitable, Callable

from edge.caching.stored import StoredResponse
from edge.errors import EdgeError, StoreDamaged, StoreError, UpstreamClosed, UpstreamProtocolError
from edge.exchange.window import Window
from edge.ports import Closable, Incoming, Piece, Writer
from edge.tasks import spawn

#: Without a client left, a fill goes on only when no more octets than this are still to come; when their number is not
#: known, for so many octets.
FINISH_ABANDONED = 16 << 20

#: Makes the content, which ends at the offset given, findable if it may still be; returns whether it did.
Commit = Callable[[int], Awaitable[bool]]


class Fill:
    """Content from offset `start` on, read from the origin, or from a coder, and written once, for any number of readers.

    When the store refuses to take more, whoever reads still gets the rest, now at the pace of the slowest.

    Attributes:
        stored: the head as far as it is known when the content begins.
        start: the offset of the first octet from the origin; the writer holds those before it, if there are any.
        end: the offset behind the content, None while it is not known.
        produced: the offset up to which there is content.
        is_over: whether no more will come.
        store_error: why the content was not, or not wholly, stored.
    """

    __slots__ = (
        "_changed", "_error", "_is_kept", "_is_spoilt", "_is_stored", "_is_whole", "_left_at", "_readers", "_task",
        "_window", "_writer", "_written_to", "end", "is_over", "produced", "start", "store_error", "stored",
    )  # fmt: skip

    def __init__(self, writer: Writer, stored: StoredResponse, *, start: int, end: int | None, is_kept: bool) -> None:
        """Take over `writer`; `is_kept` lets the fill go on without any reader."""
        self._writer = writer
        self._changed = asyncio.Event()
        self._error: EdgeError | None = None
        self._is_kept = is_kept
        self._is_whole = self._is_stored = self._is_spoilt = False
        self._readers: set[FillReader] = set()
        self._left_at = start
        self._window: Window | None = None
        self._written_to = start
        self._task: asyncio.Task[None] | None = None
        self.stored = stored
        self.start = start
        self.produced = start
        self.end = end
        self.is_over = False
        self.store_error: StoreError | None = None

    def begin(self, upstream: Incoming, commit: Commit) -> None:
        """Begin to read the content, up to its end and `commit`; `upstream` is closed then, and let go of."""
        self._task = spawn(self._pump(upstream, commit), name="fill")
        # A callback also comes when the task is cancelled before its first step.
        self._task.add_done_callback(lambda _: self._ended(upstream))

    def call_when_over(self, callback: Callable[[], None]) -> None:
        """Call `callback` once no more content will come; what was committed can be looked up by then."""
        if self._task is not None:
            self._task.add_done_callback(lambda _: callback())

    @property
    def takes_followers(self) -> bool:
        """Whether one who comes now can still have all of the content."""
        return self._error is None and self._window is None and not self._is_spoilt

    @property
    def is_admitted(self) -> bool:
        """Whether the content is to be found once it is over."""
        return self._writer.is_admitted

    def open(self, start: int, end: int | None) -> "FillReader":
        """Return the octets [start, end) as they come; None reads to the end."""
        reader = FillReader(self, start, end)
        self._readers.add(reader)
        return reader

    async def read(self, reader: "FillReader") -> Piece:
        """Return the next piece for `reader`, b"" at the clean end.

        Raises:
            UpstreamError: the content broke off.
            StoreError: what was written cannot be read back.
        """
        while True:
            stop = self.produced if reader.end is None else min(self.produced, reader.end)
            if reader.position < stop:
                return await self._piece(reader, stop)
            if reader.position == reader.end:
                return b""
            if self.is_over:
                if self._error is not None:
                    # Many raise it: none of them may add to the others' traceback.
                    raise self._error.with_traceback(None)
                return b""
            await self._changed.wait()

    def written(self, start: int, end: int) -> Closable:
        """Return octets that the store took."""
        return self._writer.open(start, end)

    def moved(self) -> None:
        """A reader has gone on."""
        if self._window is not None:
            self._wake()

    def spoilt(self) -> None:
        """What was written cannot be read back, so nobody else may be given it."""
        self._is_spoilt = True

    def forget(self, reader: "FillReader") -> None:
        """A reader is gone."""
        self._readers.discard(reader)
        if self.is_over:
            self._let_go()
        elif not self._readers:
            self._left_at = self.produced
            # Not at once: followers that were told of this fill in the same moment are about to open it.
            asyncio.get_running_loop().call_soon(self._stop_if_abandoned)
        self.moved()

    async def _pump(self, upstream: Incoming, commit: Commit) -> None:
        try:
            while piece := await upstream.read():
                if self.end is not None and self.produced + len(piece) > self.end:
                    raise UpstreamProtocolError("more content than announced")
                await self._take(piece)
                if self._is_abandoned():
                    return
            if self.end is not None and self.produced < self.end:
                raise UpstreamClosed("less content than announced")
            self._is_whole = True
        except EdgeError as error:
            self._error = error
            return
        if self._window is None and not self._is_spoilt:
            try:
                self._is_stored = await commit(self.produced)
            except StoreError as error:
                self.store_error = error

    def _ended(self, upstream: Incoming) -> None:
        """Settle everything, whichever way the task came to its end."""
        if not self._is_whole and self._error is None:
            self._error = UpstreamClosed("nobody was left, or the task was stopped")
        self.is_over = True
        upstream.close()
        self._let_go()
        self._wake()

    def _let_go(self) -> None:
        # Readers that are not through yet need what was written, findable or not.
        if not self._is_stored and not self._readers:
            self._writer.abort()

    async def _piece(self, reader: "FillReader", stop: int) -> Piece:
        if self._window is None:
            return await reader.read_written(stop)
        if reader.position < self._written_to:
            return await reader.read_written(min(stop, self._written_to))
        return self._window.piece(reader.position, stop)

    async def _take(self, piece: bytes) -> None:
        if self._window is None:
            try:
                await self._writer.write(piece)
            except StoreError as error:
                self.store_error = error
                self._written_to = self.produced
                self._window = Window(self.produced)
        if self._window is not None:
            self._window.append(piece)
        self.produced += len(piece)
        self._wake()
        while self._window is not None:
            self._window.drop(min((reader.position for reader in self._readers), default=self.produced))
            if self._window.has_room:
                return
            await self._changed.wait()

    def _is_abandoned(self) -> bool:
        if self._readers:
            return False
        if self._window is not None or self._is_spoilt:
            return True
        if self._is_kept:
            return False
        remaining = self.produced - self._left_at if self.end is None else self.end - self.produced
        return remaining > FINISH_ABANDONED

    def _stop_if_abandoned(self) -> None:
        if not self.is_over and self._task is not None and self._is_abandoned():
            self._error = UpstreamClosed("nobody was left")
            self._task.cancel()

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

    @property
    def is_dry(self) -> bool:
        """Whether what comes next is still to come."""
        return not self._fill.is_over and self._fill.end != self.position == self._fill.produced

    async def read(self) -> Piece:
        """Return the next piece as soon as the origin has sent it."""
        try:
            piece = await self._fill.read(self)
        except StoreError:
            self._fill.spoilt()
            raise
        self.position += len(piece)
        self._fill.moved()
        return piece

    async def read_written(self, stop: int) -> Piece:
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
