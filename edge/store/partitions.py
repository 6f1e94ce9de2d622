"""The store of a node with several workers: each owns a partition of the keys, and looks into those of the others.

What is known of a foreign key is believed as long as its stripe's stamp stays what it was.  What is not found, or is
being changed, is for the owner to answer: it sees what is not in its index yet.
"""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, Self, TypeVar

from edge.caching.stored import StoredResponse
from edge.clock import Clock
from edge.errors import StoreDamaged, StoreError, StoreFull
from edge.policy.ring import owners, stripe_of
from edge.ports import Again, Closable, Token, Writer
from edge.store.disk import Disk, Stats
from edge.store.foreign import Foreign, ForeignSource
from edge.store.passing import Allowance, Passing
from edge.store.reader import MemorySource
from edge.store.record import key_hash
from edge.store.settings import Settings
from edge.store.shared import Shared

log = logging.getLogger("edge.store")

_READER_THREADS = 2
_PASSING = 16 << 20
_SWEEP_SECONDS = 1.0


class Own(Protocol):
    """What a worker has for itself."""

    async def keep_only(self, is_kept: Callable[[bytes], bool]) -> None:
        """Remove what is stored under the key hashes that are not to be kept, and wait until that is written."""
        ...


_Own = TypeVar("_Own", bound=Own)


class Partitions:
    """The exchange's `Store` of worker `index`.

    Attributes:
        own: the partition that is this worker's.
    """

    def __init__(self, own: Disk, path: Path, index: int, workers: int, shared: Shared) -> None:
        """See `start`."""
        self.own, self._path, self._index = own, path, index
        self._owners, self._shared, self._memory = owners(workers), shared, own.memory
        self._pool = ThreadPoolExecutor(_READER_THREADS, "store-look")
        self._open: dict[int, tuple[int, Foreign]] = {}
        self._passing = Allowance(_PASSING)
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweep()

    @classmethod
    async def start(
        cls, path: Path, settings: Settings, clock: Clock, *, index: int, workers: int, shared: Shared
    ) -> Self:
        """Open the partition of worker `index`, and drop from it what it does not own among so many `workers`.

        Args:
            path: the directory of the whole store.
            settings: those of the whole, of which each worker has its part.
            clock: as for the store of one process.
            index: which of the `workers` this is.
            workers: how many there are.
            shared: what all of them see.

        Raises:
            StoreError: it cannot be opened.
        """
        part = settings.part(settings.quota // workers)
        own = await claim(
            path, index, workers, shared, lambda folder: Disk.start(folder, part, clock, shared)
        )  # fmt: skip
        return cls(own, path, index, workers, shared)

    def owner(self, key: bytes) -> int:
        """Return which worker owns `key`."""
        return self._owners[stripe_of(key_hash(key))]

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Return the stored responses of `key`, the newest response first; () when its owner has to be asked."""
        name = key_hash(key)
        stripe = stripe_of(name)
        if self._owners[stripe] == self._index:
            return await self.own.lookup(key)
        stamp = self._shared.stamps[stripe]
        known = self._memory.heads(name)
        if known is not None and known.key == key and known.is_current:
            self._shared.visit(name)
            return known.stored
        foreign = None if stamp & 1 else self._foreign(self._owners[stripe])
        if foreign is None:
            return ()
        try:
            found = await foreign.stored(name)
        except StoreError:
            return ()
        if not found or self._shared.stamps[stripe] != stamp:
            return ()
        self._shared.visit(name)
        found.sort(key=lambda stored: stored.response_time, reverse=True)
        stored = tuple(one for one in found if one.key == key)
        self._memory.keep_heads(name, _KnownOfOther(key, stored, self._shared, stripe, stamp))
        return stored

    def lookup_nowait(self, key: bytes) -> Sequence[StoredResponse] | None:
        """Return what `lookup` would, if that is this worker's own to know; None otherwise."""
        return self.own.lookup_nowait(key) if self.owner(key) == self._index else None

    def read_nowait(self, stored: StoredResponse) -> bytes | None:
        """Return the whole of a small content if it is this worker's own and can be had without waiting."""
        return self.own.read_nowait(stored) if self.owner(stored.key) == self._index else None

    def generation(self) -> bytes:
        """Return a generation that was never used before."""
        return self.own.generation()

    def keep(self, stored: StoredResponse, content: bytes) -> bool:
        """Store a whole response of a new generation without waiting; False when only a writer can."""
        return self.owner(stored.key) == self._index and self.own.keep(stored, content)

    def open(self, stored: StoredResponse, start: int, end: int) -> Closable:
        """Return the octets [start, end), which `stored.ranges` holds; reading raises StoreDamaged as the port says."""
        owner = self.owner(stored.key)
        if owner == self._index:
            return self.own.open(stored, start, end)
        content = self._memory.content(stored.generation) if start < end else b""
        self._shared.visit(stored.generation)
        if content is not None:
            return MemorySource(content, start, end)
        foreign = self._foreign(owner)
        if foreign is None:
            return _Gone()
        name = key_hash(stored.key)
        is_whole = start == 0 and end == stored.complete_length and self._memory.awaits(name, end)
        return ForeignSource(
            foreign.reader, self._shared, name, stored.generation, start=start, end=end,
            memory=self._memory if is_whole else None,
        )  # fmt: skip

    async def writer(
        self,
        key: bytes,
        *,
        length: int | None,
        extends: StoredResponse | None = None,
        start: int = 0,
        pinned: bool = False,
    ) -> Writer:
        """Begin to store; what another worker owns is there for those who follow, and is not found afterwards."""
        if self.owner(key) == self._index:
            return await self.own.writer(key, length=length, extends=extends, start=start, pinned=pinned)
        if extends is not None:
            raise StoreFull("only its owner can add to it")
        return Passing(self._passing, start)

    def put(self, stored: StoredResponse) -> None:
        """Replace the head of a stored response, its content unchanged.  StoreError: the old head stays."""
        if self.owner(stored.key) != self._index:
            raise StoreFull("only its owner can change it")
        self.own.put(stored)

    async def pin(self, key: bytes, generation: bytes, *, pinned: bool = True) -> bool:
        """Let a stored response never be reclaimed, or be as any other again; StoreFull when it is not this worker's."""
        if self.owner(key) != self._index:
            raise StoreFull("only its owner can pin it")
        return await self.own.pin(key, generation, pinned=pinned)

    def token(self, key: bytes) -> Token | None:
        """Return what says for how long `lookup` of `key` finds the same; None when that is not in memory."""
        return self.own.token(key)

    def watch(self, key: bytes, found: Sequence[StoredResponse]) -> Token | None:
        """Return what says for how long `lookup` of `key`, if this worker's own, finds what was just `found`."""
        return self.own.watch(key, found) if self.owner(key) == self._index else None

    def again(self, stored: StoredResponse) -> Again | None:
        """Return what reads the whole of a small content again and again, if it is this worker's own."""
        return self.own.again(stored) if self.owner(stored.key) == self._index else None

    def at_hand(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content when it is in memory, None otherwise."""
        return self._memory.peek_content(stored.generation)

    def visit(self, stored: StoredResponse) -> None:
        """Note that `stored` was used without being looked up."""
        self.own.visit(stored)
        if self.owner(stored.key) != self._index:
            self._shared.visit(stored.generation)

    async def remove(self, key: bytes, generation: bytes | None = None) -> int:
        """Make one generation, or all stored responses of `key`, unfindable, if it is this worker's to do."""
        return await self.own.remove(key, generation) if self.owner(key) == self._index else 0

    def stats(self) -> Stats:
        """Return this worker's part in numbers."""
        return self.own.stats()

    async def flush(self) -> None:
        """Write what waits of this worker's own now; StoreError if the disk does not take it."""
        await self.own.flush()

    async def retire(self) -> None:
        """Let other processes have the partition, and find nothing from now on."""
        self._owners = (self._index,) * len(self._owners)
        await self.own.retire()

    async def close(self) -> None:
        """Let go of everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.own.close()
        self._pool.shutdown()
        for _, foreign in self._open.values():
            foreign.close()

    def _foreign(self, owner: int) -> Foreign | None:
        """Return the partition of `owner`, None when it cannot be looked into at present."""
        incarnation = self._shared.incarnations[owner]
        was, foreign = self._open.get(owner, (0, None))
        if foreign is not None and was == incarnation:
            return foreign
        if incarnation & 1 or not incarnation:
            return None
        if foreign is not None and foreign.is_current():
            self._open[owner] = (incarnation, foreign)
            return foreign
        if foreign is not None:
            foreign.close()
            del self._open[owner]
        try:
            foreign = Foreign(partition(self._path, owner), self._pool)
        except StoreDamaged as error:
            log.warning("the partition of worker %d cannot be looked into: %s", owner, error)
            return None
        self._open[owner] = (incarnation, foreign)
        return foreign

    def _sweep(self) -> None:
        for _, foreign in self._open.values():
            foreign.sweep()
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)


class _KnownOfOther:
    """The stored responses of a key that another worker owns: current for as long as its stamp stands."""

    __slots__ = ("_is_held", "_shared", "_stamp", "_stripe", "key", "stored")

    def __init__(
        self, key: bytes, stored: tuple[StoredResponse, ...], shared: Shared, stripe: int, stamp: int
    ) -> None:  # fmt: skip
        self.key, self.stored = key, stored
        self._shared, self._stripe, self._stamp, self._is_held = shared, stripe, stamp, True

    @property
    def is_current(self) -> bool:
        return self._is_held and self._shared.stamps[self._stripe] == self._stamp

    def expire(self) -> None:
        self._is_held = False


class _Gone:
    """Content that cannot be read at present."""

    async def read(self) -> bytes:
        raise StoreDamaged("its owner is opening its store")

    def close(self) -> None:
        pass


async def claim(path: Path, index: int, workers: int, shared: Shared, start: Callable[[Path], Awaitable[_Own]]) -> _Own:
    """Return what `start` opens for worker `index`, without what it does not own among so many `workers`.

    StoreError: it cannot be opened.
    """
    incarnation = shared.incarnations[index] | 1
    shared.incarnations[index] = incarnation
    folder = partition(path, index)
    if index == 0:
        await asyncio.to_thread(_drop_unowned, path, workers)
    own = await start(folder)
    mine = {stripe for stripe, owner in enumerate(owners(workers)) if owner == index}
    # A stripe left odd was being changed when the process before this one was killed: what it removed may be back.
    certain = {stripe for stripe in mine if not shared.stamps[stripe] & 1}
    note = folder / "workers"
    if certain != mine or not note.exists() or note.read_text() != str(workers):
        await own.keep_only(lambda name: stripe_of(name) in certain)
        await asyncio.to_thread(note.write_text, str(workers))
    shared.open_stripes(mine)
    shared.incarnations[index] = incarnation + 1
    return own


def partition(path: Path, index: int) -> Path:
    """Return the directory of one worker's partition; the first is where the store of a single process is."""
    return path if index == 0 else path / f"worker-{index}"


def _drop_unowned(path: Path, workers: int) -> None:
    """Delete the partitions of workers that there are no more: once they are back, what is there may be out of date."""
    for folder in path.glob("worker-*"):
        number = folder.name.removeprefix("worker-")
        if number.isdigit() and int(number) >= workers:
            shutil.rmtree(folder)
