"""The ledger: what the event loop knows and the disk does not yet, and who is using what.

Content and heads wait here to be written and can be read meanwhile.  Over the index lies what the waiting entries will
make of it, key by key.  A generation without a head is forgotten when nobody writes or reads it any more.
"""

import asyncio
from collections import Counter
from typing import Protocol

from edge.caching.stored import StoredResponse
from edge.errors import StoreError, StoreFull
from edge.store import head
from edge.store.entry import Entry, Outcome
from edge.store.index import HeadRef, Heads, Index, Place, with_head, without_generation
from edge.store.memory import Memory
from edge.store.pins import Pins, charge_of
from edge.store.record import EVERY_GENERATION, Kind
from edge.store.shared import Shared

#: Entries wait for company until there are so many bytes of them.
GROUP_SIZE = 1 << 20
#: Writers wait while more than this is unwritten, bytes.
WAITING_LIMIT = 16 << 20
#: What all writers together hold of unfinished chunks before they make shorter ones, bytes.
BUFFERED_LIMIT = 16 << 20
# So many keys that have nothing are remembered.
_ABSENT = 4096
# What changes the answer to a look-up.
_CHANGES = frozenset({Kind.HEAD, Kind.REMOVED})


class Filling(Protocol):
    """What the ledger asks of a writer; one that is over waits for its head to be written."""

    is_over: bool

    def buffered(self, offset: int) -> memoryview | None:
        """Return octets from `offset` on that are not in a chunk yet, or None."""
        ...

    def fail(self, error: StoreError) -> None:
        """Take note that the content cannot be stored."""
        ...


class _Written:
    """The writer of what was written at once."""

    is_over = True

    def buffered(self, offset: int) -> memoryview | None:
        """Return None: nothing is left to be made a chunk of."""
        return None

    def fail(self, error: StoreError) -> None:
        """Do nothing: its head fails for itself."""


_WRITTEN = _Written()


class Ledger:
    """Entries that wait, and the state of every key and generation they touch.

    Attributes:
        memory: the memory tier.
        index: what is written.
        pins: what is pinned.
        fills: who is writing, by generation.
        size: bytes that wait.
        buffered: bytes of unfinished chunks.
        damaged: how many times something was found damaged.
        evicted: how many heads were dropped to make room.
        changes: increases whenever heads may have changed.
        queued: set while something waits.
        is_much: set while so much waits that there is no reason to wait for more.
    """

    def __init__(self, index: Index, memory: Memory, shared: Shared, pinned: int = 0) -> None:
        """Begin with what is written; `pinned` is what pinned content may take, bytes."""
        self.index, self.memory, self.pins = index, memory, Pins(index.pins(), pinned)
        self._shared = shared
        self.queued, self.is_much, self._room = (asyncio.Event() for _ in range(3))
        self.fills: dict[bytes, Filling] = {}
        self.size = self.buffered = self.damaged = self.evicted = self.changes = 0
        self._waiting: list[Entry] = []
        self._added, self._is_stuck = 0, False
        self._chunks: dict[bytes, dict[int, bytes]] = {}
        self._stored: dict[bytes, StoredResponse] = {}
        # By key hash: the heads as they will be, and the number of the last entry that made them so.
        self._heads: dict[bytes, tuple[Heads, int]] = {}
        # Key hashes that the index was asked for in vain, and that got no head since: who misses, asks more than once.
        self._absent: set[bytes] = set()
        self._readers: Counter[bytes] = Counter()
        # By generation: what is written when nobody uses it any more.
        self._doomed: dict[bytes, list[Entry]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def is_needed(self, generation: bytes) -> bool:
        """Return whether `generation` is being written, head or content, or read; may be asked by any thread."""
        return generation in self._stored or self._is_used(generation)

    # Heads.

    def heads(self, key_hash: bytes) -> Heads:
        """Return the heads of a key as they will be when all that waits is written."""
        ahead = self._heads.get(key_hash)
        if ahead is None:
            return () if key_hash in self._absent else self._indexed(key_hash)
        heads = ahead[0]
        if all(ref.generation in self._stored for ref in heads):
            return heads
        # What does not wait any more lies where the index says: it was written, or moved, after `ahead` was made.
        written = {ref.generation: ref for ref in self.index.heads(key_hash)}
        return tuple(ref if ref.generation in self._stored else written.get(ref.generation, ref) for ref in heads)

    def heads_and_chunk(self, key_hash: bytes) -> tuple[Heads, Place | None]:
        """Return the heads of a key, and where the first chunk is if there is one head and both are written."""
        if key_hash in self._heads or key_hash in self._absent:
            return self.heads(key_hash), None
        heads, chunk = self.index.heads_and_chunk(key_hash)
        if not heads:
            self._note_absent(key_hash)
        return heads, chunk

    def _indexed(self, key_hash: bytes) -> Heads:
        heads = self.index.heads(key_hash)
        if not heads:
            self._note_absent(key_hash)
        return heads

    def _note_absent(self, key_hash: bytes) -> None:
        if len(self._absent) >= _ABSENT:
            self._absent.clear()
        self._absent.add(key_hash)

    def stored(self, generation: bytes) -> StoredResponse | None:
        """Return the head of `generation` that waits to be written, or None."""
        return self._stored.get(generation)

    def add_head(self, key_hash: bytes, stored: StoredResponse, present: Heads | None = None) -> None:
        """Let `stored` be found, in the place of its variant; `present` are the heads of the key, if they are known.

        StoreError: it is not one that can be kept, or it is pinned and there is no room for that.
        """
        present = self.heads(key_hash) if present is None else present
        entry = Entry(Kind.HEAD, key_hash, stored.generation, head.encode(stored), stored=stored)
        heads, gone = with_head(present, HeadRef(stored.generation, head.variant_of(stored), None))
        charge = charge_of(stored) if stored.pinned else 0
        if charge:
            self.pins.check(charge, instead_of=(stored.generation, *gone))
        for generation in gone:
            self.pins.put(generation, 0)
        self.pins.put(stored.generation, charge)
        self._stored[stored.generation] = stored
        self._add_change(entry, heads)

    def add_whole(self, key_hash: bytes, stored: StoredResponse, content: bytes) -> None:
        """Let `stored`, of a new generation, be found with all of its content; StoreError as `add_head`."""
        generation = stored.generation
        if content:
            self.add_chunk(key_hash, generation, 0, content)
        # As that of a writer whose head is yet to be written, which keeps the chunk from being reclaimed before.
        self.fills[generation] = _WRITTEN
        try:
            self.add_head(key_hash, stored)
        except StoreError:
            self.end_fill(generation)
            self.release(generation)
            raise

    def remove_heads(self, key_hash: bytes, generation: bytes | None) -> int:
        """Let `generation`, or every head of the key, not be found any more; return how many heads there were."""
        heads, gone = without_generation(self.heads(key_hash), generation)
        if gone:
            self._add_change(Entry(Kind.REMOVED, key_hash, generation or EVERY_GENERATION), heads)
            for each in gone:
                self.memory.drop(each)
                self.pins.put(each, 0)
        return len(gone)

    def quarantine(self, key_hash: bytes, generation: bytes) -> None:
        """Never answer with `generation` again: something of it is damaged or gone."""
        if self.remove_heads(key_hash, generation):
            self.damaged += 1
            return
        # It was evicted, or somebody was faster; the memory tier may not have been told yet.
        self.changes += 1
        self.memory.drop(key_hash)
        self.memory.drop(generation)

    # Content.

    def add_chunk(self, key_hash: bytes, generation: bytes, offset: int, data: bytes) -> None:
        """Let `data` be written, and be read at `offset` from now on."""
        self._chunks.setdefault(generation, {})[offset] = data
        self._add(Entry(Kind.CHUNK, key_hash, generation, data, offset))

    def waiting(self, generation: bytes, offset: int) -> memoryview | None:
        """Return the octets from `offset` on that wait to be written, or None."""
        chunks = self._chunks.get(generation)
        if chunks is not None:
            for start, data in chunks.items():
                if start <= offset < start + len(data):
                    return memoryview(data)[offset - start :]
        fill = self.fills.get(generation)
        return fill.buffered(offset) if fill is not None else None

    # Who uses what.

    def pin(self, generation: bytes) -> None:
        """Note a reader of `generation`."""
        self._readers[generation] += 1

    def unpin(self, generation: bytes) -> None:
        """Note that a reader of `generation` has left."""
        self._readers[generation] -= 1
        if self._readers[generation] == 0:
            del self._readers[generation]
            # Not at once: whoever follows a fill closes one source and opens the next.
            asyncio.get_running_loop().call_soon(self._forget_if_unused, generation)

    def is_read(self, generation: bytes) -> bool:
        """Return whether somebody reads `generation`."""
        return generation in self._readers

    def may_extend(self, generation: bytes) -> bool:
        """Return whether nobody adds to `generation`, and nothing of it is about to be forgotten."""
        fill = self.fills.get(generation)
        return (fill is None or fill.is_over) and generation not in self._doomed

    def release(self, generation: bytes) -> None:
        """Forget the content of `generation`, which has no head, as soon as nobody uses it."""
        self.pins.put(generation, 0)
        self.memory.drop(generation)
        self._doomed[generation] = [Entry(None, b"", generation)]
        self._forget_if_unused(generation)

    def forget_chunks(self, key_hash: bytes, generation: bytes, offsets: list[int]) -> None:
        """Forget the chunks at `offsets`, which no head mentions, as soon as nobody uses their generation."""
        entries = [Entry(Kind.FORGOTTEN, key_hash, generation, offset=offset) for offset in offsets]
        self._doomed.setdefault(generation, entries)
        self._forget_if_unused(generation)

    def end_fill(self, generation: bytes) -> None:
        """Note that nobody writes `generation` any more."""
        self.fills.pop(generation, None)
        self._forget_if_unused(generation)

    def fail_fills(self, error: StoreError) -> None:
        """Let every writer know that nothing more can be stored."""
        for fill in list(self.fills.values()):
            fill.fail(error)

    def _is_used(self, generation: bytes) -> bool:
        return generation in self.fills or self._readers.get(generation, 0) > 0

    def _forget_if_unused(self, generation: bytes) -> None:
        if generation in self._doomed and not self._is_used(generation):
            for entry in self._doomed.pop(generation):
                self._chunks.pop(generation, None) if entry.kind is None else self._drop_waiting(entry)
                self._add(entry)

    # Writing.

    def take(self) -> list[Entry]:
        """Return the entries that wait, to be settled once the log has had them."""
        entries, self._waiting = self._waiting, []
        self.queued.clear()
        self.is_much.clear()
        return entries

    async def wait_room(self) -> None:
        """Wait while too much is unwritten; StoreFull when the disk takes nothing."""
        while self.size > WAITING_LIMIT:
            self._room.clear()
            await self._room.wait()
            if self._is_stuck and self.size > WAITING_LIMIT:
                raise StoreFull("the disk takes nothing at present")

    def give_up_room(self) -> None:
        """Let nobody wait for room until something was written."""
        self._is_stuck = True
        self._room.set()

    @property
    def number(self) -> int:
        """The number of the entry that was added last."""
        return self._added

    def settle(self, entries: list[Entry], number: int, outcome: Outcome) -> None:
        """Note what became of `entries`, which were taken when `number` was the last."""
        self._is_stuck = False
        self.changes += 1
        self.evicted += len(outcome.evicted)
        self.damaged += outcome.damaged
        for key_hash in outcome.changed:
            self.memory.drop(key_hash)
            self._shared.touch(key_hash)
        for key_hash in {entry.key_hash for entry in entries}:
            if key_hash in self._heads and self._heads[key_hash][1] <= number:
                del self._heads[key_hash]
        for entry in entries[: outcome.done]:
            self._written(entry)
        for generation in outcome.lost:
            if (fill := self.fills.get(generation)) is not None:
                fill.fail(StoreFull("the content does not fit the quota"))
        for generation in outcome.evicted:
            self.pins.put(generation, 0)
        for generation in outcome.replaced:
            self.release(generation)
        for entry in entries[outcome.done :]:
            self._failed(entry, outcome.error or StoreError("it was not written"))
        # Not before what was not written waits once more.
        for entry in entries:
            if entry.kind in _CHANGES:
                self._shared.end(entry.key_hash)
        self._room.set()

    def _written(self, entry: Entry) -> None:
        self.size -= entry.size
        generation = entry.generation
        if entry.kind is Kind.CHUNK:
            self._drop_waiting(entry)
        elif entry.kind is Kind.HEAD and self._stored.get(generation) is entry.stored:
            del self._stored[generation]
            if self.fills.get(generation) is _WRITTEN and generation not in self._doomed:
                # As it is for most; below is the same, in more steps.
                del self.fills[generation]
            else:
                self._end_committed(generation)

    def _failed(self, entry: Entry, error: StoreError) -> None:
        self.size -= entry.size
        if entry.kind is Kind.CHUNK:
            # What waits stays readable for those who follow the fill, until they and the writer are gone.
            if (fill := self.fills.get(entry.generation)) is not None:
                fill.fail(error)
        elif entry.kind is not Kind.HEAD:
            self._retry(entry)
        elif self._stored.get(entry.generation) is entry.stored:
            del self._stored[entry.generation]
            self.memory.drop(entry.key_hash)
            self._end_committed(entry.generation)
            self._restore_pins(entry)
            if all(ref.generation != entry.generation for ref in self.index.heads(entry.key_hash)):
                self.release(entry.generation)

    def _restore_pins(self, entry: Entry) -> None:
        """Let what stays, as the head of `entry` was not written, be pinned or not as before."""
        with self.index.reading() as transaction:
            there = self.index.heads_in(transaction, entry.key_hash)
            for generation in (entry.generation, *(ref.generation for ref in there)):
                self.pins.put(generation, self.index.pin(transaction, generation))

    def _end_committed(self, generation: bytes) -> None:
        fill = self.fills.get(generation)
        if fill is not None and fill.is_over:
            self.end_fill(generation)

    def _retry(self, entry: Entry) -> None:
        """Let what makes something unfindable wait once more: it must not be undone by a disk that takes nothing."""
        if entry.kind is not Kind.REMOVED:
            self._add(entry)
            return
        generation = None if entry.generation == EVERY_GENERATION else entry.generation
        heads, _ = without_generation(self.heads(entry.key_hash), generation)
        self._add_change(entry, heads)

    def _add_change(self, entry: Entry, heads: Heads) -> None:
        self.changes += 1
        self._shared.begin(entry.key_hash)
        self.memory.drop(entry.key_hash)
        self._absent.discard(entry.key_hash)
        self._add(entry)
        self._heads[entry.key_hash] = heads, self._added

    def _add(self, entry: Entry) -> None:
        self._waiting.append(entry)
        self._added += 1
        self.size += entry.size
        if not self.queued.is_set():
            self.queued.set()
        if self.size >= GROUP_SIZE:
            self.is_much.set()

    def _drop_waiting(self, entry: Entry) -> None:
        """Let a chunk wait no longer, unless another one has come to wait at its offset."""
        chunks = self._chunks.get(entry.generation, {})
        if entry.kind is Kind.FORGOTTEN or chunks.get(entry.offset) is entry.body:
            chunks.pop(entry.offset, None)
        if not chunks:
            self._chunks.pop(entry.generation, None)
