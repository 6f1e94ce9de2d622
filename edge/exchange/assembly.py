"""A representation that comes in by stretches: what is on its way, who waits for it, and what to fetch next."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from edge.caching.stored import Range, StoredResponse
from edge.errors import StoreDamaged, StoreError, UpstreamChanged, UpstreamClosed, UpstreamError
from edge.exchange.exchange import Exchange
from edge.exchange.stretch import Stretch
from edge.policy import chunking
from edge.ports import Closable, Piece, Store
from edge.tasks import spawn

# A reader waits while so many stretches of its representation have come and wait for the store.
_UNSTORED = 8


class Bringer(Protocol):
    """The way of stretches from the origin into assemblies."""

    @property
    def has_room(self) -> bool:
        """Whether so little is on its way that more may be brought in than somebody waits for."""
        ...

    async def bring(self, assembly: "Assembly", stretch: Stretch) -> None:
        """Bring `stretch` in, and into the store if it may be there."""
        ...


class Assembly:
    """What is held of one representation, and what is on its way, for any number of readers.

    A stretch is in memory until the store has it, or until no reader is near it any more.

    Attributes:
        stored: the head; its `ranges` are what the store holds of it under its generation.
        length: that of the whole representation in octets.
        rules: how it is fetched.
        asker: the exchange in whose name the origin is asked.
        is_kept: whether what comes in may be stored.
        is_growing: whether more of it may be asked for: its validator is a strong one.
        is_refused: whether the store did not take the latest stretch.
        storing: held by whoever adds to what is stored.
    """

    __slots__ = (
        "_ahead", "_bringer", "_changed", "_error", "_is_failing", "_over", "_readers", "_store", "_stretches", "asker",
        "is_growing", "is_kept", "is_refused", "length", "rules", "stored", "storing",
    )  # fmt: skip

    def __init__(self, stored: StoredResponse, length: int, asker: Exchange, store: Store, bringer: Bringer) -> None:
        self.stored = stored
        self.length = length
        self.rules = asker.site.chunks
        self.asker = asker
        self.is_kept = True
        self.is_growing = True
        self.is_refused = False
        self.storing = asyncio.Lock()
        self._store = store
        self._bringer = bringer
        self._changed = asyncio.Event()
        self._error: UpstreamError | None = None
        self._is_failing = False
        self._over: Callable[[], None] = lambda: None
        self._stretches: dict[int, Stretch] = {}
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

    def begin(self, stretch: Stretch) -> None:
        """Begin to bring in `stretch`."""
        self._stretches[stretch.start] = stretch
        task = spawn(self._bringer.bring(self, stretch), name="stretch")
        stretch.stop = task.cancel
        # A callback also comes when the task is cancelled before its first step.
        task.add_done_callback(lambda _: self._ended(stretch))

    def read_ahead(self, start: int, end: int) -> None:
        """Bring in [start, end) though nobody has asked for it yet."""
        # Nothing would find what is not stored.
        if start < end and self.is_kept and not self.is_refused:
            self._ahead.append((start, end))
        self.look_ahead()

    def fail(self, error: UpstreamError) -> None:
        """Give nothing more to anybody: this is not the representation that the origin has now."""
        self._error = error
        self.wake()

    def is_fetching(self, position: int) -> bool:
        """Return whether the octet at `position` is on its way already."""
        return self._stretch_at(position) is not None

    async def stretch_for(self, position: int) -> Stretch | None:
        """Return the stretch with the octet at `position` once its head is there, None when the octet is stored.

        Raises:
            UpstreamError: the stretch cannot be had.
        """
        if (stretch := self._needed(position)) is None:
            return None
        while not stretch.is_confirmed:
            self._check(stretch)
            await self._changed.wait()
        return stretch

    async def read(self, reader: "AssemblyReader") -> Piece:
        """Return the next octets for `reader`.

        Raises:
            UpstreamError: they cannot be had, or are of another representation.
        """
        while True:
            while self._is_store_behind(reader.position):
                await self._changed.wait()
            if (stretch := self._needed(reader.position)) is None:
                try:
                    return await reader.read_stored(self._held_to(reader.position))
                except StoreError:
                    # It is out of the index by now; the origin has it still.
                    reader.close_source()
                    self.stored = replace(self.stored, ranges=())
                    continue
            while not (data := stretch.read(reader.position, reader.end)):
                self._check(stretch)
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
        near = [(reader.position, reader.stop) for reader in self._readers]
        for stretch in list(self._stretches.values()):
            # What came in and could not be stored is of use only to those who read it now.
            wanted = near if stretch.is_over else near + self._ahead
            if not any(start < stretch.end and stretch.start < end for start, end in wanted):
                self._give_up(stretch)
        if self.is_growing and self._error is None and not self._is_failing:
            self._fetch(near + self._ahead)
        if not self._stretches and not self._readers:
            self._over()

    def _fetch(self, wanted: list[Range]) -> None:
        # What is not stored takes memory for as long as the slowest client wants it.
        limit = self.rules.parallel if self.is_kept and not self.is_refused else 1
        for each in wanted:
            for start, end in chunking.stretches(self.stored.ranges, self.length, each, self.rules.unit):
                if len(self._stretches) >= limit or not self._bringer.has_room:
                    return
                if self._stretch_at(start) is None:
                    self.begin(Stretch(start, end))

    def _needed(self, position: int) -> Stretch | None:
        """Return the stretch with the octet at `position`, fetched now if it is nowhere, None when it is stored."""
        if self._error is not None:
            # Many raise it: none of them may add to the others' traceback.
            raise self._error.with_traceback(None)
        stretch = self._stretch_at(position)
        if stretch is None:
            held = self.stored.ranges
            if chunking.first_missing(held, position, position + 1) is None:
                return None
            if not self.is_growing:
                raise UpstreamChanged("without a strong validator nobody knows")
            stretch = Stretch(*chunking.stretch_at(held, self.length, position, self.rules.unit))
            self.begin(stretch)
        stretch.is_needed = True
        return stretch

    def _is_store_behind(self, position: int) -> bool:
        """Return whether the octet at `position` would have to be fetched while too much waits for the store."""
        unstored = sum(stretch.is_whole and not stretch.is_over for stretch in self._stretches.values())
        return (
            unstored >= _UNSTORED
            and self._error is None
            and self._stretch_at(position) is None
            and chunking.first_missing(self.stored.ranges, position, position + 1) is not None
        )

    def _check(self, stretch: Stretch) -> None:
        if (error := self._error or stretch.error) is not None:
            raise error.with_traceback(None)

    def _stretch_at(self, position: int) -> Stretch | None:
        return next((stretch for stretch in self._stretches.values() if stretch.start <= position < stretch.end), None)

    def _held_to(self, position: int) -> int:
        return next(end for start, end in self.stored.ranges if start <= position < end)

    def _give_up(self, stretch: Stretch) -> None:
        # What a client has waited for is nearly there, and may be asked for again.
        may_end = stretch.is_whole or (stretch.is_needed and self.is_kept and self._error is None)
        if stretch.is_over or not may_end:
            del self._stretches[stretch.start]
            stretch.stop()

    def _ended(self, stretch: Stretch) -> None:
        """Settle everything, whichever way the task came to its end."""
        stretch.is_over = True
        if not stretch.is_whole and stretch.error is None:
            stretch.error = UpstreamClosed("nobody was left, or the task was stopped")
        stretch.close()
        if self._stretches.get(stretch.start) is stretch:
            # Who needs what failed asks again; nobody else does.
            self._is_failing = stretch.error is not None
            if self._is_failing or not stretch.is_stored:
                self._ahead.clear()
            if self._is_failing or stretch.is_stored:
                del self._stretches[stretch.start]
        self.wake()
        self.look_ahead()

    def wake(self) -> None:
        """Let all who wait look: a stretch has come further."""
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
        self.stop = min(self.position + 1, self.end)

    async def read(self) -> Piece:
        """Return the next piece as soon as it is there."""
        if self.position >= self.end:
            return b""
        self._look_ahead()
        piece = await self._assembly.read(self)
        self.position += len(piece)
        return piece

    async def read_stored(self, held_to: int) -> Piece:
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

    def _look_ahead(self) -> None:
        """Let what comes next be fetched, whenever that is another chunk."""
        assembly, rules = self._assembly, self._assembly.rules
        stop = chunking.stop(rules, self._asked, self.position, assembly.length, self._before)
        if -(-stop // rules.unit) > -(-self.stop // rules.unit):
            self.stop = stop
            assembly.look_ahead()
