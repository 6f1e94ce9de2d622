"""A representation that comes in by pieces: what is on its way, who waits for it, and what to fetch next."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

from edge.caching.stored import Range, StoredResponse
from edge.errors import StoreDamaged, StoreError, UpstreamChanged, UpstreamClosed, UpstreamError
from edge.exchange.exchange import Exchange
from edge.exchange.piece import Piece
from edge.policy import chunking
from edge.ports import Closable, Store
from edge.tasks import spawn

#: Brings a piece in from the origin, and into the store if it may be there.
Bring = Callable[["Assembly", Piece], Coroutine[object, object, None]]


class Assembly:
    """What is held of one representation, and what is on its way, for any number of readers.

    A piece is in memory until the store has it, or until no reader is near it any more.

    Attributes:
        stored: the head; its `ranges` are what the store holds of it under its generation.
        length: that of the whole representation in octets.
        rules: how it is fetched.
        asker: the exchange in whose name the origin is asked.
        is_kept: whether what comes in may be stored.
        is_growing: whether more of it may be asked for: its validator is a strong one.
        is_refused: whether the store did not take the latest piece.
        storing: held by whoever adds to what is stored.
    """

    __slots__ = (
        "_ahead", "_bring", "_changed", "_error", "_is_failing", "_over", "_pieces", "_readers", "_store", "asker",
        "is_growing", "is_kept", "is_refused", "length", "rules", "stored", "storing",
    )  # fmt: skip

    def __init__(self, stored: StoredResponse, length: int, asker: Exchange, store: Store, bring: Bring) -> None:
        self.stored = stored
        self.length = length
        self.rules = asker.site.chunks
        self.asker = asker
        self.is_kept = True
        self.is_growing = True
        self.is_refused = False
        self.storing = asyncio.Lock()
        self._store = store
        self._bring = bring
        self._changed = asyncio.Event()
        self._error: UpstreamError | None = None
        self._is_failing = False
        self._over: Callable[[], None] = lambda: None
        self._pieces: dict[int, Piece] = {}
        self._readers: set[AssemblyReader] = set()
        self._ahead: list[Range] = []

    def call_when_over(self, callback: Callable[[], None]) -> None:
        """Call `callback` once nothing more is on its way and nobody reads."""
        self._over = callback

    @property
    def takes_readers(self) -> bool:
        """Whether the representation is, as far as is known, the one that the origin has."""
        return self._error is None

    def open(self, start: int, end: int, before: int = 0) -> "AssemblyReader":
        """Return the octets [start, end), for a client that has read the `before` octets in front of them."""
        reader = AssemblyReader(self, (start, end), before)
        self._readers.add(reader)
        return reader

    def begin(self, piece: Piece) -> None:
        """Begin to bring in `piece`."""
        self._pieces[piece.start] = piece
        task = spawn(self._bring(self, piece), name="piece")
        piece.stop = task.cancel
        # A callback also comes when the task is cancelled before its first step.
        task.add_done_callback(lambda _: self._ended(piece))

    def read_ahead(self, start: int, end: int) -> None:
        """Bring in [start, end) though nobody has asked for it yet."""
        if start < end:
            self._ahead.append((start, end))
        self.look_ahead()

    def fail(self, error: UpstreamError) -> None:
        """Give nothing more to anybody: this is not the representation that the origin has now."""
        self._error = error
        self.wake()

    def is_fetching(self, position: int) -> bool:
        """Return whether the octet at `position` is on its way already."""
        return self._piece_at(position) is not None

    async def piece_for(self, position: int) -> Piece | None:
        """Return the piece with the octet at `position` once its head is there, None when the octet is stored.

        Raises:
            UpstreamError: the piece cannot be had.
        """
        if (piece := self._needed(position)) is None:
            return None
        while not piece.is_confirmed:
            self._check(piece)
            await self._changed.wait()
        return piece

    async def read(self, reader: "AssemblyReader") -> bytes:
        """Return the next octets for `reader`.

        Raises:
            UpstreamError: they cannot be had, or are of another representation.
        """
        while True:
            if (piece := self._needed(reader.position)) is None:
                try:
                    return await reader.read_stored(self._held_to(reader.position))
                except StoreError:
                    # It is out of the index by now; the origin has it still.
                    reader.close_source()
                    self.stored = replace(self.stored, ranges=())
                    continue
            while not (data := piece.read(reader.position, reader.end)):
                self._check(piece)
                await self._changed.wait()
            return data

    def source(self, start: int, end: int) -> Closable:
        """Return octets that are stored."""
        return self._store.open(self.stored, start, end)

    def forget(self, reader: "AssemblyReader") -> None:
        """A reader is gone; what it was to read next is wanted only if it has come to its end."""
        if reader in self._readers:
            self._readers.discard(reader)
            self.read_ahead(reader.end, reader.reach if reader.position == reader.end else reader.end)

    def look_ahead(self) -> None:
        """Begin with what will be needed next, and give up what will not."""
        self._ahead = [each for each in self._ahead if chunking.first_missing(self.stored.ranges, *each) is not None]
        wanted = [(reader.position, reader.stop) for reader in self._readers] + self._ahead
        for piece in list(self._pieces.values()):
            if not any(start < piece.end and piece.start < end for start, end in wanted):
                self._give_up(piece)
        if self.is_growing and self._error is None and not self._is_failing:
            self._fetch(wanted)
        if not self._pieces and not self._readers:
            self._over()

    def _fetch(self, wanted: list[Range]) -> None:
        # What is not stored takes memory for as long as the slowest client wants it.
        limit = self.rules.parallel if self.is_kept and not self.is_refused else 1
        for each in wanted:
            for start, end in chunking.pieces(self.stored.ranges, self.length, each, self.rules.unit):
                if len(self._pieces) >= limit:
                    return
                if self._piece_at(start) is None:
                    self.begin(Piece(start, end))

    def _needed(self, position: int) -> Piece | None:
        """Return the piece with the octet at `position`, fetched now if it is nowhere, None when it is stored."""
        if self._error is not None:
            # Many raise it: none of them may add to the others' traceback.
            raise self._error.with_traceback(None)
        piece = self._piece_at(position)
        if piece is None:
            held = self.stored.ranges
            if chunking.first_missing(held, position, position + 1) is None:
                return None
            if not self.is_growing:
                raise UpstreamChanged("without a strong validator nobody knows")
            piece = Piece(*chunking.piece_at(held, self.length, position, self.rules.unit))
            self.begin(piece)
        piece.is_needed = True
        return piece

    def _check(self, piece: Piece) -> None:
        if (error := self._error or piece.error) is not None:
            raise error.with_traceback(None)

    def _piece_at(self, position: int) -> Piece | None:
        return next((piece for piece in self._pieces.values() if piece.start <= position < piece.end), None)

    def _held_to(self, position: int) -> int:
        return next(end for start, end in self.stored.ranges if start <= position < end)

    def _give_up(self, piece: Piece) -> None:
        # What a client has waited for is nearly there, and may be asked for again.
        is_finished = piece.is_whole or (piece.is_needed and self.is_kept)
        if piece.is_over or not is_finished:
            del self._pieces[piece.start]
            piece.stop()

    def _ended(self, piece: Piece) -> None:
        """Settle everything, whichever way the task came to its end."""
        piece.is_over = True
        if not piece.is_whole and piece.error is None:
            piece.error = UpstreamClosed("nobody was left, or the task was stopped")
        piece.close()
        if self._pieces.get(piece.start) is piece:
            self._is_failing = piece.error is not None
            if self._is_failing:
                # Who needs it asks again; nobody else does.
                self._ahead.clear()
            if piece.is_stored or self._is_failing:
                del self._pieces[piece.start]
        self.wake()
        self.look_ahead()

    def wake(self) -> None:
        """Let all who wait look: a piece has come further."""
        # Whoever comes later looks at the state first.
        self._changed.set()
        self._changed.clear()


class AssemblyReader:
    """One client's place in an assembly, as a source of the range it asked for.

    Attributes:
        position: the offset of the next octet.
        end: the offset behind the last one.
        reach: the offset up to which to fetch once it has come to its end.
        stop: the offset up to which to fetch now.
    """

    __slots__ = (
        "_asked", "_assembly", "_before", "_source", "_source_at", "_source_end", "end", "position", "reach", "stop",
    )  # fmt: skip

    def __init__(self, assembly: Assembly, asked: Range, before: int) -> None:
        self._assembly = assembly
        self._asked, self._before = asked, before
        self._source: Closable | None = None
        self._source_at = self._source_end = 0
        self.position, self.end = asked
        self.reach = chunking.reach(assembly.rules, asked, assembly.length, before)
        self.stop = self._next_stop()

    async def read(self) -> bytes:
        """Return the next piece as soon as it is there."""
        if self.position >= self.end:
            return b""
        assembly = self._assembly
        piece = await assembly.read(self)
        self.position += len(piece)
        stop, unit = self._next_stop(), assembly.rules.unit
        if -(-stop // unit) > -(-self.stop // unit):
            self.stop = stop
            assembly.look_ahead()
        return piece

    async def read_stored(self, held_to: int) -> bytes:
        """Return the next octets of what is stored up to `held_to`; StoreError when they cannot be read."""
        if self._source is None or self._source_at != self.position or self.position >= self._source_end:
            self.close_source()
            self._source_at, self._source_end = self.position, min(self.end, held_to)
            self._source = self._assembly.source(self._source_at, self._source_end)
        if not (piece := await self._source.read()):
            # An end where there is none would make a part look whole.
            raise StoreDamaged
        self._source_at += len(piece)
        return piece

    def close(self) -> None:
        """Leave."""
        self.close_source()
        self._assembly.forget(self)

    def close_source(self) -> None:
        """Let go of what is stored."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _next_stop(self) -> int:
        assembly = self._assembly
        return chunking.stop(assembly.rules, self._asked, self.position, assembly.length, self._before)
