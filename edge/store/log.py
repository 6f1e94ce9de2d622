"""The log: appends records to segments and tells the index, group by group, in one thread.

Everything here blocks and belongs to the writer thread.  Records are in their segment before the index names them; a
group that fails is not in the index at all.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from edge.errors import StoreError, StoreFull
from edge.store import head
from edge.store.entry import Entry, Outcome
from edge.store.index import HeadRef, Index, Place, Transaction, intersection, with_head, without_generation
from edge.store.layout import Layout
from edge.store.pins import Pins, charge_of
from edge.store.reclaim import Reclaim
from edge.store.record import EVERY_GENERATION, Header, Kind, encode_header, header_of
from edge.store.segment import Segment, Segments

# Joined and written in one go: copying more would cost more than the calls it saves.
_WRITE_SIZE = 1 << 20


class Log:
    """Appends entries and has segments freed.

    Args:
        segments: the segments, of which the log is the only writer.
        index: the index, of which the log is the only writer.
        layout: the shares of the quota.
        sequence: the last sequence number given.
        active: a segment that is indexed up to its tail, to append to; None to begin a new one.
        is_needed: whether a generation is being written or read.
        visits: how often a generation, or the heads of a key hash, were used in memory.
        pins: what must not be lost.
    """

    def __init__(
        self,
        segments: Segments,
        index: Index,
        layout: Layout,
        *,
        sequence: int,
        active: Segment | None,
        is_needed: Callable[[bytes], bool],
        visits: Callable[[bytes], int],
        pins: Pins,
    ) -> None:
        self._segments, self._index, self._layout, self._pins = segments, index, layout, pins
        self._sequence, self._active, self._size = sequence, active, layout.segment_size
        self._reclaim = Reclaim(segments, index, self._append_in, is_needed=is_needed, visits=visits, pins=pins)
        self._outcome = Outcome()

    def append(self, entries: Sequence[Entry]) -> Outcome:
        """Write `entries` and return what became of them."""
        outcome = self._outcome = Outcome()
        try:
            self._check_folder()
            while outcome.done < len(entries):
                with self._index.writing() as transaction:
                    done = self._append_in(transaction, entries[outcome.done :])
                outcome.done += done
                if outcome.done < len(entries):
                    self._roll()
            if self._index.is_crowded:
                self._thin_index()
        except StoreError as error:
            outcome.error = error
        return outcome

    def _check_folder(self) -> None:
        """Raise StoreError once when the folder is gone: what was written there would not outlive this process."""
        if self._active is not None and self._segments.is_gone():
            # The next segment is made where the folder should be, with the folder.
            self._active = None
            raise StoreError("the folder of the segments is gone")

    def fit(self) -> None:
        """Free segments until all fit their share, which may have become smaller since they were made.

        StoreError: what is pinned does not fit it.
        """
        share, pinned = self._layout.segments, self._pins.used
        if pinned:
            # What is pinned in one segment must fit another.
            self._size = max(self._size, *(segment.size for segment in self._segments))
            if pinned > share // 2 or self._size > share // 4:
                raise StoreError(f"the quota is too small for the {pinned} bytes that are pinned: they need twice that")
        while self._segments.size + self._spare > share and self._segments.oldest not in {None, self._active}:
            try:
                self._free_oldest()
            except StoreFull:
                # Nobody is served yet, and the quota was a larger one before.
                try:
                    self._active = self._segments.create(self._size)
                except StoreFull:
                    # On a full disk, what is there is served all the same.
                    return

    @property
    def _spare(self) -> int:
        """The room for segments that is left between two rolls, bytes."""
        # One segment to move things to; and where they must not be lost, one more for after a kill in the midst of that.
        return self._size * (2 if self._pins.used else 1)

    def _append_in(self, transaction: Transaction, entries: Sequence[Entry]) -> int:
        """Write as many `entries` as the active segment has room for, and return how many that are."""
        active, done = self._active, 0
        at, end = (active.tail, active.size) if active is not None else (0, 0)
        records: list[bytes] = []
        before: Entry | None = None
        for given in entries:
            is_held = before is not None and _holds_all_of(before, given)
            before = given
            entry = given if is_held else self._trimmed(transaction, given)
            if entry.kind is not None and at + entry.size > end:
                break
            done += 1
            place = Place(active.id, at, entry.size) if active is not None else None
            outline = head.outline_of(entry.stored) if entry.stored is not None else None
            self._outcome.replaced += apply(self._index, transaction, entry.kind, entry, outline, place)
            if active is not None and entry.kind is not None:
                active.visit(at, entry.visits)
                records += (encode_header(self._header(entry, entry.kind), active.tag), entry.body)
                at += entry.size
        if active is not None and records:
            self._write(active, records)
            self._index.mark(transaction, active.id, at, self._sequence)
        return done

    def _header(self, entry: Entry, kind: Kind) -> Header:
        if not entry.sequence:
            self._sequence += 1
        return header_of(
            kind, entry.body, key_hash=entry.key_hash, generation=entry.generation,
            sequence=entry.sequence or self._sequence, offset=entry.offset,
        )  # fmt: skip

    def _trimmed(self, transaction: Transaction, entry: Entry) -> Entry:
        """Return `entry`; a head says no more than is indexed, and is the removal of itself when that is nothing."""
        stored = entry.stored
        if stored is None or not stored.ranges or self._index.is_held(transaction, entry.generation, stored.ranges):
            return entry
        held = intersection(stored.ranges, self._index.held(transaction, entry.generation))
        if held == stored.ranges:
            return entry
        self._outcome.changed.add(entry.key_hash)
        if not held:
            self._outcome.evicted.append(entry.generation)
            return Entry(Kind.REMOVED, entry.key_hash, entry.generation)
        rest = replace(stored, ranges=held)
        return Entry(Kind.HEAD, entry.key_hash, entry.generation, head.encode(rest), stored=rest)

    @staticmethod
    def _write(segment: Segment, records: list[bytes]) -> None:
        try:
            for group in _groups(records):
                segment.write(group)
        except OSError as error:
            raise StoreError(f"{segment.path.name} cannot be written: {error.strerror}") from error

    def _roll(self) -> None:
        """Begin the next segment, and free so many that one more would fit: what is moved needs somewhere to go."""
        size, share = self._size, self._layout.segments
        while self._segments.size + size > share:
            self._free_oldest()
        try:
            self._active = self._segments.create(size)
        except StoreFull:
            # The disk is fuller than the quota says: live on what there is.
            self._free_oldest()
            self._active = self._segments.create(size)
        # What is pinned and does not fit goes with the next one.
        with suppress(StoreFull):
            while self._segments.size + self._spare > share and self._segments.oldest is not self._active:
                self._free_oldest()

    def _thin_index(self) -> None:
        """Free a segment because the index can take no more."""
        if self._segments.oldest is self._active:
            self._roll()
        if self._segments.oldest is not self._active:
            with suppress(StoreFull):
                self._free_oldest()

    def _free_oldest(self) -> None:
        oldest = self._segments.oldest
        if oldest is None:
            raise StoreFull("there is no room for a segment and none to free")
        if oldest is self._active:
            self._active = None
        self._reclaim.free(oldest, self._active.room if self._active is not None else 0, self._outcome)


def apply(
    index: Index,
    transaction: Transaction,
    kind: Kind | None,
    entry: Entry | Header,
    outline: head.Outline | None,
    place: Place | None,
) -> list[bytes]:
    """Let the index say what a record at `place` says, and return the generations that have no head any more."""
    match kind:
        case Kind.CHUNK if place is not None:
            index.put_chunk(transaction, entry.generation, entry.offset, place)
        case Kind.FORGOTTEN:
            index.drop_chunk(transaction, entry.generation, entry.offset)
        case Kind.HEAD if outline is not None:
            there = index.heads_in(transaction, entry.key_hash)
            heads, gone = with_head(there, HeadRef(entry.generation, outline.variant, place))
            index.put_heads(transaction, entry.key_hash, heads)
            if there or outline.pinned:
                # Of a key without heads, nothing was pinned.
                index.put_pin(transaction, entry.generation, charge_of(outline))
            return gone
        case Kind.REMOVED:
            generation = None if entry.generation == EVERY_GENERATION else entry.generation
            heads, gone = without_generation(index.heads_in(transaction, entry.key_hash), generation)
            index.put_heads(transaction, entry.key_hash, heads)
            return gone
        case _:
            index.forget(transaction, entry.generation)
    return []


def _holds_all_of(chunk: Entry, entry: Entry) -> bool:
    """Return whether what was indexed just before is the content, all of it, that the head in `entry` speaks of."""
    return (
        chunk.kind is Kind.CHUNK
        and entry.stored is not None
        and chunk.generation == entry.generation
        and chunk.offset == 0
        and entry.stored.ranges == ((0, len(chunk.body)),)
    )


def _groups(records: list[bytes]) -> list[bytes]:
    """Return `records` joined to writes of about _WRITE_SIZE."""
    groups: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for record in records:
        waiting.append(record)
        size += len(record)
        if size >= _WRITE_SIZE:
            groups.append(b"".join(waiting))
            waiting, size = [], 0
    return [*groups, b"".join(waiting)]
