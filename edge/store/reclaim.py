"""Reclaim: the oldest segment goes, and what was used since it was written goes to the end of the log once more.

This is first in, first out with re-insertion.  Chunks are chosen one by one, so a large content loses the part that
nobody asks for; its head is then written again and says what is left.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from edge.errors import StoreDamaged
from edge.store import head
from edge.store.entry import Entry, Outcome
from edge.store.index import HeadRef, Index, Place, Transaction, intersection, without_generation
from edge.store.record import CHUNK_SIZE, HEADER_SIZE, Header, Kind
from edge.store.segment import FIRST, Segment, Segments

# Records looked at between two moments at which the event loop's thread can go on.
_YIELD_EVERY = 64
# A quarter of a segment is moved at most, but a hot chunk can be moved from a small segment too.
_ONE_CHUNK = HEADER_SIZE + CHUNK_SIZE


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that the index names, in a segment that is to be freed.

    Attributes:
        offset: where in the segment it lies.
        header: its header.
        is_visited: whether it was used since it was written.
        is_needed: whether its generation is being written or read at present.
    """

    offset: int
    header: Header
    is_visited: bool = False
    is_needed: bool = False


@dataclass(slots=True)
class Choice:
    """What to write again, what to forget, and which needed generations lose content."""

    keep: list[Candidate] = field(default_factory=list)
    drop: list[Candidate] = field(default_factory=list)
    lost: set[bytes] = field(default_factory=set)


def plan(candidates: Sequence[Candidate], *, allowance: int, reserve: int) -> Choice:
    """Choose among `candidates`: at most `allowance` bytes of visited ones, and `reserve` bytes of needed ones."""
    choice = Choice()
    generations = set()
    for candidate in candidates:
        header = candidate.header
        if header.kind is not Kind.CHUNK:
            continue
        if candidate.is_needed and header.size <= reserve:
            reserve -= header.size
        elif candidate.is_visited and header.size <= allowance:
            allowance -= header.size
        else:
            choice.drop.append(candidate)
            if candidate.is_needed:
                choice.lost.add(header.generation)
            continue
        choice.keep.append(candidate)
        generations.add(header.generation)
    for candidate in candidates:
        header = candidate.header
        if header.kind is Kind.CHUNK:
            continue
        is_used = candidate.is_visited and header.size <= allowance
        if header.generation in generations or candidate.is_needed or is_used:
            choice.keep.append(candidate)
            allowance -= header.size
        else:
            choice.drop.append(candidate)
    return choice


class Reclaim:
    """Frees segments.

    Args:
        segments: where they are.
        index: what is live, and what is told.
        append: writes entries to the active segment as far as it has room, and returns how many.
        is_needed: whether a generation is being written or read.
        visits: how often a generation, or the heads of a key hash, were used in memory.
    """

    def __init__(
        self,
        segments: Segments,
        index: Index,
        append: Callable[[Transaction, Sequence[Entry]], int],
        *,
        is_needed: Callable[[bytes], bool],
        visits: Callable[[bytes], int],
    ) -> None:
        self._segments, self._index, self._append = segments, index, append
        self._is_needed, self._visits = is_needed, visits

    def free(self, segment: Segment, room: int, outcome: Outcome) -> None:
        """Move what is worth it from `segment` to the active one, which has `room`; forget the rest; free the file."""
        with self._index.writing() as transaction:
            choice = plan(
                self._candidates(transaction, segment),
                allowance=min(max(segment.size // 4, _ONE_CHUNK), room // 3),
                reserve=min(segment.size // 2, room // 2),
            )
            outcome.lost |= choice.lost
            moved = self._copies(segment, choice, outcome)
            for candidate in choice.drop:
                self._forget(transaction, candidate.header, outcome)
            moved += self._shrunk(transaction, segment, choice.drop, outcome)
            done = self._append(transaction, moved)
            for entry in moved[done:]:
                self._evict(transaction, entry.key_hash, entry.generation, outcome)
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
            is_visited = segment.is_visited(offset) or any(self._visits(name) > 1 for name in names)
            candidates.append(Candidate(offset, header, is_visited, self._is_needed(header.generation)))
        return candidates

    def _is_live(self, transaction: Transaction, header: Header, place: Place) -> bool:
        if header.kind is Kind.CHUNK:
            return self._index.is_chunk(transaction, header.generation, header.offset, place)
        if header.kind is Kind.HEAD:
            return any(ref.place == place for ref in self._index.heads_in(transaction, header.key_hash))
        # What a removal is about lies in this segment or in an older one, so it goes with it.
        return False

    def _copies(self, segment: Segment, choice: Choice, outcome: Outcome) -> list[Entry]:
        """Return what is kept, to be written again; what turns out damaged is dropped instead."""
        moved = []
        for candidate in choice.keep:
            header = candidate.header
            try:
                body = segment.body(candidate.offset, header)
                stored = head.decode(body) if header.kind is Kind.HEAD else None
            except StoreDamaged:
                outcome.damaged += 1
                choice.drop.append(candidate)
                continue
            moved.append(
                Entry(header.kind, header.key_hash, header.generation, body, header.offset, stored, header.sequence)
            )
        return moved

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
            outcome.evicted += 1
        self._index.drop_chunks(transaction, generation)

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
