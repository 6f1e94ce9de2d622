"""The store of a node: implements the exchange's `Store` port on one directory."""

import asyncio
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Self

from edge.caching.stored import StoredResponse
from edge.clock import Clock
from edge.errors import StoreDamaged, StoreError, StoreFull
from edge.policy.admission import ALWAYS, Admission
from edge.ports import Again, Token
from edge.store import head, recovery, visits
from edge.store.again import LONGEST, SmallContent
from edge.store.fill import Fill
from edge.store.flush import Flush
from edge.store.index import HeadRef, Index, Place
from edge.store.layout import Layout
from edge.store.ledger import WAITING_LIMIT, Ledger
from edge.store.log import Log
from edge.store.memory import Known, Memory
from edge.store.node import Node
from edge.store.passing import Allowance, Passing
from edge.store.reader import DiskSource, MemorySource, Reader
from edge.store.record import Kind, key_hash
from edge.store.scrub import Scrub
from edge.store.segment import Segments, allow_open_files
from edge.store.settings import Settings
from edge.store.shared import Shared
from edge.tasks import spawn

log = logging.getLogger("edge.store")

_response_time = attrgetter("response_time")

# Threads that wait for the disk; each serves one window at a time.
_READER_THREADS = 4
# What contents that are not admitted take of the memory together while they come in, bytes.
_PASSING = 16 << 20


@dataclass(frozen=True, slots=True)
class Stats:
    """The store in numbers.

    Attributes:
        objects: keys with at least one stored response on disk.
        disk_bytes: what segments and index take of the quota.
        index_bytes: what of the index is in use.
        quota: what the whole directory may take, bytes.
        segments: how many there are.
        memory_bytes: what the memory tier holds.
        waiting_bytes: what is not written yet.
        refusals: contents not admitted because the disk is written over too fast, since the start.
        pinned_bytes: what pinned responses are charged.
        pinned_quota: what they may be charged at most.
        evictions: stored responses dropped to make room, since the start.
        damaged: records or files found damaged or gone, since the start.
        scrubbed_bytes: what the scrubber has read since the start.
        write_errors: groups that the disk did not take, since the start.
        is_storing: whether new content is taken at present.
    """

    objects: int
    disk_bytes: int
    index_bytes: int
    quota: int
    segments: int
    memory_bytes: int
    waiting_bytes: int
    pinned_bytes: int
    pinned_quota: int
    refusals: int
    evictions: int
    damaged: int
    scrubbed_bytes: int
    write_errors: int
    is_storing: bool


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is made in a thread when a node is opened."""

    node: Node
    segments: Segments
    recovered: recovery.Recovered


class Disk:
    """Stored responses in a node directory, with the hottest of them in memory.

    Attributes:
        memory: the memory tier.
    """

    def __init__(self, opened: _Opened, layout: Layout, settings: Settings, clock: Clock, shared: Shared) -> None:
        """Take over what `start` has opened."""
        self._layout, self._node, self._segments = layout, opened.node, opened.segments
        recovered = opened.recovered
        self._index: Index = recovered.index
        self.memory = self._memory = Memory(settings.memory)
        self._shared = shared
        self._ledger = Ledger(self._index, self._memory, shared, layout.pinned)
        self._ledger.damaged = self._segments.refused + recovered.damaged
        self._log = Log(
            self._segments, self._index, layout, sequence=recovered.sequence, active=recovered.active,
            is_needed=self._is_needed, visits=self._visits, pins=self._ledger.pins,
        )  # fmt: skip
        self._thread = ThreadPoolExecutor(1, "store-write")
        self._pool = ThreadPoolExecutor(_READER_THREADS, "store-read")
        self._reader = Reader(self._segments, self._index, self._pool)
        self._flush = Flush(self._ledger, self._log, self._thread, clock)
        self._clock = clock
        self._admission = Admission(layout.segments, min_age=settings.min_age, now=clock.monotonic())
        self._passing = Allowance(_PASSING)
        self._scrub = Scrub(self._ledger, self._segments, self._index, self._pool)
        self._tasks = [spawn(self._keep_visits(), name="store-visits")]
        if settings.scrub_rate:
            self._tasks.append(spawn(self._scrub.run(settings.scrub_rate), name="store-scrub"))
        # In order, because the index takes neighbours at less cost; from anywhere, because earlier runs did the same.
        self._generations = itertools.count(int.from_bytes(os.urandom(7), "big") << 7 | 1)
        self._is_open, self._is_closed = True, False
        # Of what is looked up without waiting: how many, and whether the last is to go to the memory tier.
        self._promotes = True
        # The content that was read with the last head, and of which generation it is.
        self._ahead: tuple[bytes, memoryview | None] = b"", None

    @classmethod
    async def start(cls, path: Path, settings: Settings, clock: Clock, shared: Shared | None = None) -> Self:
        """Open the node directory at `path`, which nobody else uses, or make it.

        `clock` says when to try a disk again that has refused something, and how fast it is written over.  Other
        processes see by `shared` what happens to this one.

        Raises:
            StoreError: it is in use, of another format, not ours, or too small.
        """
        layout = Layout.of(settings.quota, settings.pinned)
        opened = await asyncio.to_thread(_open, path, layout)
        disk = cls(opened, layout, settings, clock, shared or Shared.alone())
        try:
            await disk._begin(opened.recovered.doubtful.values())
        except StoreError:
            await disk.close()
            raise
        return disk

    async def close(self) -> None:
        """Write what waits, let go of the directory, and note that it was left cleanly if it was."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._is_open:
            await asyncio.to_thread(self._let_go)
            return
        is_written = await self._end()
        await asyncio.to_thread(self._shut, is_written=is_written)

    async def retire(self) -> None:
        """Write what waits and let another process have the directory; whoever reads already can go on to the end.

        Nothing is found, stored or removed here any more.
        """
        if not self._is_open:
            return
        self._ledger.fail_fills(StoreFull("another process has the store now"))
        is_written = await self._end()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._save_visits)
        try:
            # Not synced, which could take seconds: as long as the machine runs, what was written is there.
            self._node.mark(clean=is_written, synced=False)
        except StoreError as error:
            log.error("%s is not left cleanly: %s", self._node.path, error)  # noqa: TRY400 - the disk's fault, not ours
        self._node.close()

    async def flush(self) -> None:
        """Write what waits now; StoreError if the disk does not take it."""
        if not await self._flush.everything():
            raise StoreError("the disk does not take what waits")

    async def scrub(self) -> None:
        """Read all that is stored now, as fast as it goes, and quarantine what is damaged."""
        await self._scrub.round()

    async def keep_only(self, is_kept: Callable[[bytes], bool]) -> None:
        """Remove what is stored under the key hashes that are not to be kept, and wait until that is written."""
        names = await asyncio.to_thread(self._index.keys_in)
        for name in names:
            if not is_kept(name):
                self._ledger.remove_heads(name, None)
        await self.flush()

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Return the stored responses of `key`, the newest response first; a damaged one is left out, never raised."""
        if not self._is_open:
            return ()
        name = key_hash(key)
        known = self._memory.heads(name)
        if known is not None and known.key == key:
            return known.stored
        changes = self._ledger.changes
        try:
            heads = [stored for ref in self._ledger.heads(name) if (stored := await self._head(name, ref)) is not None]
        except StoreError:
            self._ledger.damaged += 1
            return ()
        # RFC 9111 §4.1: the most recent of several that match is to be used.
        heads.sort(key=_response_time, reverse=True)
        found = tuple(stored for stored in heads if stored.key == key)
        if found and changes == self._ledger.changes:
            self._memory.keep_heads(name, Known(key, found))
        return found

    def lookup_nowait(self, key: bytes) -> Sequence[StoredResponse] | None:
        """Return what `lookup` would, if it would not wait and nothing is damaged; None otherwise."""
        if not self._is_open:
            return ()
        name = key_hash(key)
        known = self._memory.heads(name)
        if known is not None and known.key == key:
            return known.stored
        try:
            refs, chunk = self._ledger.heads_and_chunk(name)
            if not refs:
                return ()
            found = [self._ledger.stored(ref.generation) or self._head_nowait(name, ref, chunk) for ref in refs]
        except StoreError:
            return None
        stored = [one for one in found if one is not None and one.key == key]
        if len(stored) < len(found):
            return None
        if len(stored) > 1:
            stored.sort(key=_response_time, reverse=True)
        self._promotes = self._memory.promotes()
        if self._promotes:
            self._memory.keep_heads(name, Known(key, tuple(stored)))
        return stored

    def read_nowait(self, stored: StoredResponse) -> bytes | None:
        """Return the whole of a small content if it can be had without waiting, and is not damaged; None otherwise."""
        length, generation = stored.complete_length, stored.generation
        if length == 0:
            return b""
        content = self._memory.content(generation)
        if content is not None:
            return content
        if length is None or length > LONGEST or self._ledger.waiting(generation, 0) is not None:
            return None
        of, body = self._ahead
        if of != generation:
            try:
                place = self._index.first_chunk(generation)
                body = (
                    None if place is None else self._reader.at_once(Kind.CHUNK, key_hash(stored.key), generation, place)
                )
            except StoreError:
                return None
        if body is None or len(body) != length:
            return None
        content = bytes(body)
        if self._promotes:
            self._memory.keep_content(generation, content)
        return content

    def _head_nowait(self, name: bytes, ref: HeadRef, chunk: Place | None) -> StoredResponse | None:
        generation, place = ref.generation, ref.place
        if place is None:
            return None
        if (
            chunk is not None
            and chunk.length <= LONGEST
            and (chunk.segment, chunk.offset + chunk.length) == (place.segment, place.offset)
        ):
            # Small contents are written with their heads, and most often wanted with them.
            both = self._reader.both_at_once(name, generation, chunk, place)
            self._ahead, body = (generation, both[0] if both else None), both[1] if both else None
        else:
            body = self._reader.at_once(Kind.HEAD, name, generation, place)
        stored = None if body is None else head.decode(bytes(body))
        return stored if stored is not None and stored.generation == generation else None

    def generation(self) -> bytes:
        """Return a generation that was never used before."""
        return next(self._generations).to_bytes(8, "big")

    def keep(self, stored: StoredResponse, content: bytes) -> bool:
        """Store a whole response of a new generation without waiting, as a writer would; False when only one can.

        StoreError: it was not stored.
        """
        if len(content) > ALWAYS or self._ledger.size > WAITING_LIMIT:
            return False
        if not self._is_open or not self._flush.is_storing:
            raise StoreFull("nothing is stored at present")
        name = key_hash(stored.key)
        self._admission.admits(name, len(content), is_known=True, has_room=self._has_room, now=self._clock.monotonic())
        self._ledger.add_whole(name, stored, content)
        if content:
            self._memory.keep_content(stored.generation, content)
        return True

    def open(self, stored: StoredResponse, start: int, end: int) -> DiskSource | MemorySource:
        """Return the octets [start, end), which `stored.ranges` holds.

        Reading raises StoreDamaged when they are gone or fail their checksum; the response is then quarantined.
        """
        if start >= end:
            return MemorySource(b"")
        content = self._memory.content(stored.generation)
        if content is not None:
            return MemorySource(content, start, end)
        name = key_hash(stored.key)
        whole = start == 0 and end == stored.complete_length and self._memory.awaits(name, end)
        return DiskSource(self._ledger, self._reader, name, stored.generation, start=start, end=end, whole=whole)

    async def writer(
        self,
        key: bytes,
        *,
        length: int | None,
        extends: StoredResponse | None = None,
        start: int = 0,
        pinned: bool = False,
    ) -> Fill | Passing:
        """Begin to store content of `length` octets (None: not known) from offset `start` on.

        With `extends`, the content is added to that response's generation; its own octets stay readable.  What is
        `pinned` is always admitted.  Content that is not admitted is there for those who follow the fill, and is not
        found once it is over.

        Raises:
            StoreFull: it does not fit, the disk does not take anything at present, or the response is being extended.
        """
        # Half of the segments: the other half lets the rest of the content of the node live on meanwhile.
        limit = self._layout.segments // 2
        if not self._is_open or not self._flush.is_storing:
            raise StoreFull("nothing is stored at present")
        if length is not None and length > limit:
            raise StoreFull("the content does not fit the quota")
        if extends is not None and not self._ledger.may_extend(extends.generation):
            raise StoreFull("the response is being extended")
        name = key_hash(key)
        is_known = pinned or extends is not None or bool(self._ledger.heads(name))
        if not self._admission.admits(
            name, length, is_known=is_known, has_room=self._has_room, now=self._clock.monotonic()
        ):
            return Passing(self._passing, start)
        return Fill(
            self._ledger, self._reader, name, extends.generation if extends is not None else self.generation(),
            start=start, limit=limit, held=extends.ranges if extends is not None else None, pinned=pinned and extends is None,
        )  # fmt: skip

    def put(self, stored: StoredResponse) -> None:
        """Replace the head of a stored response, its content unchanged.  StoreError: the old head stays."""
        name = key_hash(stored.key)
        if not self._is_open or not self._flush.is_storing:
            raise StoreFull("nothing is stored at present")
        present = self._ledger.heads(name)
        if all(ref.generation != stored.generation for ref in present):
            raise StoreError("the stored response is gone")
        self._ledger.add_head(name, stored, present)

    async def pin(self, key: bytes, generation: bytes, *, pinned: bool = True) -> bool:
        """Let a stored response never be reclaimed, or be as any other again; return whether it is there.

        StoreFull: there is no room for more pinned content, or nothing is stored at present.
        """
        for stored in await self.lookup(key):
            if stored.generation == generation:
                self.put(replace(stored, pinned=pinned))
                return True
        return False

    def token(self, key: bytes) -> Token | None:
        """Return what says for how long `lookup` of `key` finds the same; None when that is not in memory."""
        known = self._memory.peek_heads(key_hash(key))
        return known if known is not None and known.key == key and known.is_current else None

    def watch(self, key: bytes, found: Sequence[StoredResponse]) -> Token | None:
        """Return what says for how long `lookup` of `key` finds what `lookup_nowait` has just `found`."""
        if not self._is_open:
            return None
        known = self._memory.watch(key_hash(key), Known(key, tuple(found)))
        # Another key may have the same hash.
        return known if known.key == key else None

    def again(self, stored: StoredResponse) -> Again | None:
        """Return what reads the whole of a small content again and again; None when it is not small."""
        length = stored.complete_length
        if not length or length > LONGEST:
            return None
        return SmallContent(
            self._reader, self._index, self._memory, key_hash(stored.key), stored.generation, length
        )  # fmt: skip

    def at_hand(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content when it is in memory, None otherwise."""
        return self._memory.peek_content(stored.generation)

    def visit(self, stored: StoredResponse) -> None:
        """Note that `stored` was used without being looked up."""
        self._memory.heads(key_hash(stored.key))
        self._memory.content(stored.generation)

    async def remove(self, key: bytes, generation: bytes | None = None) -> int:
        """Make one generation, or all stored responses of `key`, unfindable; return how many heads there were."""
        return self._ledger.remove_heads(key_hash(key), generation) if self._is_open else 0

    def stats(self) -> Stats:
        """Return the store in numbers."""
        return Stats(
            objects=self._index.keys,
            disk_bytes=self._segments.size + self._layout.index,
            index_bytes=self._index.size,
            quota=self._layout.quota,
            segments=len(self._segments),
            memory_bytes=self._memory.used,
            waiting_bytes=self._ledger.size,
            pinned_bytes=self._ledger.pins.used,
            pinned_quota=self._ledger.pins.limit,
            refusals=self._admission.refused,
            evictions=self._ledger.evicted,
            damaged=self._ledger.damaged,
            scrubbed_bytes=self._scrub.scrubbed,
            write_errors=self._flush.errors,
            is_storing=self._flush.is_storing,
        )

    @property
    def _has_room(self) -> bool:
        """Whether the next segment can be made without another one being freed."""
        return self._segments.size + 2 * self._layout.segment_size <= self._layout.segments

    def _is_needed(self, generation: bytes) -> bool:
        return self._ledger.is_needed(generation) or self._shared.is_pinned(generation)

    def _visits(self, name: bytes) -> int:
        # In memory, coming counts as a visit.
        return max(self._memory.visits(name), self._shared.visits(name) + 1)

    async def _begin(self, doubtful: Iterable[StoredResponse]) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._log.fit)
        for stored in doubtful:
            self._ledger.add_head(key_hash(stored.key), stored)
        await self._flush.everything()

    async def _head(self, name: bytes, ref: HeadRef) -> StoredResponse | None:
        stored = self._ledger.stored(ref.generation)
        if stored is not None or ref.place is None:
            return stored
        try:
            body = await self._reader.head(name, ref.generation, ref.place)
            if body is None:
                # Its segment was freed between the two looks: it was moved, or is gone.
                body = await self._moved_head(name, ref.generation)
            if body is None:
                return None
            stored = head.decode(body)
        except StoreDamaged:
            self._ledger.quarantine(name, ref.generation)
            return None
        return stored if stored.generation == ref.generation else None

    async def _moved_head(self, name: bytes, generation: bytes) -> bytes | None:
        for ref in self._ledger.heads(name):
            if ref.generation == generation and ref.place is not None:
                return await self._reader.head(name, generation, ref.place)
        return None

    async def _keep_visits(self) -> None:
        while True:
            await asyncio.sleep(visits.SAVE_SECONDS)
            await asyncio.get_running_loop().run_in_executor(self._pool, self._save_visits)

    def _save_visits(self) -> None:
        # A disk that does not take them has said so already: what cannot be written is told by the flush.
        with suppress(StoreError):
            visits.note_memory(self._memory, self._index, self._segments)
            visits.save(self._node.path / "visits", self._segments)

    async def _end(self) -> bool:
        """Take nothing any more, and write what waits; return whether all of it was written."""
        self._is_open = False
        self._memory.expire()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        return await self._flush.close()

    def _let_go(self) -> None:
        self._thread.shutdown()
        self._pool.shutdown()
        self._index.close()
        self._segments.close()

    def _shut(self, *, is_written: bool) -> None:
        self._thread.shutdown()
        self._pool.shutdown()
        self._save_visits()
        try:
            for segment in self._segments:
                segment.sync()
            self._index.sync()
            # Last: it vouches for all the rest.
            self._node.mark(clean=is_written)
        except StoreError as error:
            log.error("%s is not left cleanly: %s", self._node.path, error)  # noqa: TRY400 - the disk's fault, not ours
        finally:
            self._index.close()
            self._segments.close()
            self._node.close()


def _open(path: Path, layout: Layout) -> _Opened:
    with ExitStack() as undo:
        node = Node(path)
        undo.callback(node.close)
        allow_open_files(layout.segments // layout.segment_size)
        segments = Segments(path / "segments")
        undo.callback(segments.close)
        segments.open_all()
        recovered = recovery.recover(node, segments, layout)
        undo.callback(recovered.index.close)
        visits.load(path / "visits", segments)
        # From here on until it is closed, an end is not a clean one.
        node.mark(clean=False)
        undo.pop_all()
    return _Opened(node, segments, recovered)
