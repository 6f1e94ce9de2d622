"""Reclaim: the oldest segment goes, and what was used since it was written goes to the end of the log once more.

This is first in, first out with re-insertion.  Chunks are chosen one by one, so a large content loses the part that
nobody asks for; its head is then written again and says what is left.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge.errors import StoreDamaged, StoreFull
from edge.policy.reinsertion import Reinsertion, visits_left
from edge.store import head
from edge.store.entry import Entry, Outcome
from edge.store.index import HeadRef, Index, Place, Transaction, intersection, without_generation
from edge.store.pins import Pins
from edge.store.record import CHUNK_SIZE, HEADER_SIZE, Header, Kind
from edge.store.segment import Segment, Segments
from edge.store.segment_header import FIRST

# Records looked at between two moments at which the event loop's thread can go on.
_YIELD_EVERY = 64
# So much is read into memory at once, bytes.
_BATCH_SIZE = 8 << 20
_REINSERTION = Reinsertion(longest=HEADER_SIZE + CHUNK_SIZE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that the index names, in a segment that is to be freed.

    Attributes:
        offset: where in the segment it lies.
        header: its header.
        visits: how often it was used since it was written.
        is_needed: whether its generation is being written or read at present.
        is_pinned: whether its generation is never to be dropped.
    """

    offset: int
    header: Header
    visits: int = 0
    is_needed: bool = False
    is_pinned: bool = False

    @property
    def size(self) -> int:
        """Length of the record in bytes."""
        return self.header.size

    @property
    def generation(self) -> bytes:
        """The generation it belongs to."""
        return self.header.generation

    @property
    def is_content(self) -> bool:
        """Whether it is a chunk."""
        return self.header.kind is Kind.CHUNK


class Reclaim:
    """Frees segments.

    Args:
        segments: where they are.
        index: what is live, and what is told.
        append: writes entries to the active segment as far as it has room, and returns how many.
        is_needed: whether a generation is being written or read.
        visits: how often a generation, or the heads of a key hash, were used in memory.
        pins: what must not be lost.
    """

    def __init__(
        self,
        segments: Segments,
        index: Index,
        append: Callable[[Transaction, Sequence[Entry]], int],
        *,
        is_needed: Callable[[bytes], bool],
        visits: Callable[[bytes], int],
        pins: Pins,
    ) -> None:
        self._segments, self._index, self._append = segments, index, append
        self._is_needed, self._visits, self._pins = is_needed, visits, pins

    def free(self, segment: Segment, room: int, outcome: Outcome) -> None:
        """Move what is worth it from `segment` to the active one, which has `room`; forget the rest; free the file.

        StoreFull: there is not room enough for what is pinned; nothing has changed then.
        """
        with self._index.writing() as transaction:
            candidates = self._candidates(transaction, segment)
            if sum(candidate.size for candidate in candidates if candidate.is_pinned) > room:
                raise StoreFull("what is pinned has nowhere to go")
            choice = _REINSERTION.choose(candidates, size=segment.size, room=room)
            outcome.lost |= choice.lost
            for candidate in choice.drop:
                self._forget(transaction, candidate.header, outcome)
            # Chunks come before heads, which then say no more than what was moved.
            for batch in _batches(choice.keep):
                self._write(transaction, self._copies(transaction, segment, batch, choice.drop, outcome), outcome)
            self._write(transaction, self._shrunk(transaction, segment, choice.drop, outcome), outcome)
            self._index.unmark(transaction, segment.id)
        # Only now: a crash before this leaves the old records to those who look for them.
        self._segments.drop(segment)

    def _candidates(self, transaction: Transaction, segment: Segment) -> list[Candidate]:
        candidates = []
        for number, (offset, header) in enumerate(segment.headers(FIRST, segment.tail)):
            if number % _YIELD_EVERY == 0:
                time.sleep(0)
            if not self._is_live(transaction, header, Place(segment.id, offset, header.size)):
                continue
            names = (header.generation, header.key_hash) if header.kind is Kind.HEAD else (header.generation,)
            # In memory, coming counts as a visit.
            visits = max(segment.visits(offset), *(self._visits(name) - 1 for name in names))
            is_pinned = header.generation in self._pins
            candidates.append(Candidate(offset, header, visits, self._is_needed(header.generation), is_pinned))
        return candidates

    def _is_live(self, transaction: Transaction, header: Header, place: Place) -> bool:
        if header.kind is Kind.CHUNK:
            return self._index.is_chunk(transaction, header.generation, header.offset, place)
        if header.kind is Kind.HEAD:
            return any(ref.place == place for ref in self._index.heads_in(transaction, header.key_hash))
        # What a removal is about lies in this segment or in an older one, so it goes with it.
        return False

    def _write(self, transaction: Transaction, entries: Sequence[Entry], outcome: Outcome) -> None:
        """Append `entries`; what there is no room for is evicted."""
        done = self._append(transaction, entries)
        for entry in entries[done:]:
            self._evict(transaction, entry.key_hash, entry.generation, outcome)

    def _copies(
        self,
        transaction: Transaction,
        segment: Segment,
        kept: Iterable[Candidate],
        dropped: list[Candidate],
        outcome: Outcome,
    ) -> list[Entry]:
        """Return what is kept, to be written again; what turns out damaged is forgotten and joins the `dropped`."""
        entries = []
        for candidate in kept:
            header = candidate.header
            try:
                body = segment.body(candidate.offset, header)
                stored = head.decode(body) if header.kind is Kind.HEAD else None
            except StoreDamaged:
                outcome.damaged += 1
                dropped.append(candidate)
                self._forget(transaction, header, outcome)
                continue
            entries.append(
                Entry(
                    header.kind, header.key_hash, header.generation, body, header.offset, stored, header.sequence,
                    visits=visits_left(candidate),
                )
            )  # fmt: skip
        return entries

    def _forget(self, transaction: Transaction, header: Header, outcome: Outcome) -> None:
        if header.kind is Kind.CHUNK:
            self._index.drop_chunk(transaction, header.generation, header.offset)
        else:
            self._evict(transaction, header.key_hash, header.generation, outcome)

    def _evict(self, transaction: Transaction, key_hash: bytes, generation: bytes, outcome: Outcome) -> None:
        heads, gone = without_generation(self._index.heads_in(transaction, key_hash), generation)
        if gone:
            self._index.put_heads(transaction, key_hash, heads)
            outcome.changed.add(key_hash)
            outcome.evicted.append(generation)
        self._index.forget(transaction, generation)

    def _shrunk(
        self, transaction: Transaction, segment: Segment, dropped: Iterable[Candidate], outcome: Outcome
    ) -> list[Entry]:
        """Return the heads that now say more than is held, but for those in `segment`, which are moved or dropped."""
        entries = []
        generations = {candidate.header.generation: candidate.header.key_hash for candidate in dropped}
        for generation, key_hash in generations.items():
            for ref in self._index.heads_in(transaction, key_hash):
                if ref.generation != generation or ref.place is None or ref.place.segment == segment.id:
                    continue
                entry = self._read_head(key_hash, ref)
                held = self._index.held(transaction, generation)
                if entry is None or entry.stored is None or not intersection(entry.stored.ranges, held):
                    self._evict(transaction, key_hash, generation, outcome)
                else:
                    entries.append(entry)
        return entries

    def _read_head(self, key_hash: bytes, ref: HeadRef) -> Entry | None:
        """Return a head as an entry that is written anew, or None if it is damaged or gone."""
        if ref.place is None or (segment := self._segments.get(ref.place.segment)) is None:
            return None
        try:
            for offset, header in segment.headers(ref.place.offset, ref.place.offset + ref.place.length):
                body = segment.body(offset, header)
                return Entry(Kind.HEAD, key_hash, ref.generation, body, stored=head.decode(body))
        except StoreDamaged:
            return None
        return None


def _batches(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Yield `candidates` in groups of at most _BATCH_SIZE bytes, or of one."""
    batch: list[Candidate] = []
    size = 0
    for candidate in candidates:
        if batch and size + candidate.size > _BATCH_SIZE:
            yield batch
            batch, size = [], 0
        batch.append(candidate)
        size += candidate.size
    yield batch
