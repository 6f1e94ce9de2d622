"""Reading every record of a node directory, and saying of each that fails what it is and whose.

Whether the index names a record or not, it counts: when the index is made anew, reading a segment ends at the first
damaged header.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged
from edge.store import head
from edge.store.faults import Failure, Fault, Tally
from edge.store.index import Place, intersection
from edge.store.inspect import Inspection
from edge.store.record import HEADER_SIZE, PLAIN, Header, Kind, decode_header, key_hash
from edge.store.segment import Segment
from edge.store.segment_header import FIRST, decode_segment_header, encode_segment_header

# Offset and length, kind, generation, content offset, key hash: what the index says of a place.  Packed, as there may
# be millions.
_NAMED = Struct("<IIB8sQ16s")


@dataclass(frozen=True, slots=True)
class _Named:
    """A place that the index names, and what it says lies there."""

    place: Place
    kind: Kind
    generation: bytes
    start: int
    key_hash: bytes


class Verification:
    """One reading of everything; `tally` is complete when `failures` has ended."""

    def __init__(self, inspection: Inspection, progress: Callable[[int], None] = lambda _: None) -> None:
        """Prepare it; `progress` is told how many bytes of segments were dealt with, step by step."""
        self.tally = Tally()
        self._inspection, self._progress = inspection, progress
        self._places: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._tails: dict[int, int] = {}
        self._owners: dict[bytes, bytes] = {}
        self._is_indexed = True

    def failures(self) -> Iterator[Failure]:
        """Read everything and yield what fails."""
        for failure in self._failures():
            self.tally.failures += 1
            yield failure

    def _failures(self) -> Iterator[Failure]:
        try:
            self._read_index()
        except StoreDamaged as error:
            self._is_indexed = False
            yield Failure(Fault.INDEX, str(error))
        # After the index: a segment made since is none that it names.
        for segment_id in self._inspection.segment_ids():
            named = self._unpacked(segment_id)
            try:
                segment = self._inspection.segment(segment_id)
                if segment is not None:
                    yield from self._of_segment(segment, named)
                    continue
            except StoreDamaged as error:
                yield Failure(Fault.SEGMENT, str(error), segment_id)
            yield from self._not_there(named)
        for segment_id in sorted(self._places):
            yield from self._not_there(self._unpacked(segment_id))

    # The index.

    def _read_index(self) -> None:
        # Chunks first: they are indexed before their head is, and a response just stored is no orphan.  Tails last: so
        # none of the places is behind them.
        generations: list[tuple[bytes, int]] = []
        for generation, found in self._inspection.chunks():
            self._name(found.place, Kind.CHUNK, generation, found.start, bytes(16))
            if generations and generations[-1][0] == generation:
                generations[-1] = (generation, generations[-1][1] + 1)
            else:
                generations.append((generation, 1))
        for name, heads in self._inspection.heads():
            for ref in heads:
                if ref.place is not None:
                    self._name(ref.place, Kind.HEAD, ref.generation, 0, name)
                    self._owners[ref.generation] = name
        self._tails = self._inspection.tails()
        self.tally.orphans = sum(count for generation, count in generations if generation not in self._owners)

    def _name(self, place: Place, kind: Kind, generation: bytes, start: int, name: bytes) -> None:
        self._places[place.segment] += _NAMED.pack(place.offset, place.length, kind, generation, start, name)

    def _unpacked(self, segment_id: int) -> dict[int, _Named]:
        """Return what the index names in a segment by offset, and hold it no longer."""
        named = {}
        for offset, length, kind, generation, start, name in _NAMED.iter_unpack(self._places.pop(segment_id, b"")):
            place = Place(segment_id, offset, length)
            owner = self._owners.get(generation, b"") if kind == Kind.CHUNK else name
            named[offset] = _Named(place, Kind(kind), generation, start, owner)
        return named

    def _is_still_named(self, named: _Named) -> bool:
        if named.kind is Kind.HEAD:
            return any(ref.place == named.place for ref in self._inspection.heads_of(named.key_hash))
        found = next(self._inspection.chunks_of(named.generation, named.start), None)
        return found is not None and found.place == named.place

    def _not_there(self, named: dict[int, _Named]) -> Iterator[Failure]:
        """Yield what the index names and is not there, unless it does not name it any more."""
        for each in named.values():
            if self._is_still_named(each):
                self.tally.dangling += 1
                yield self._failure(Fault.DANGLING, "the index names a place at which nothing lies", each)
            else:
                self.tally.vanished += 1

    # Segments.

    def _of_segment(self, segment: Segment, named: dict[int, _Named]) -> Iterator[Failure]:
        if not _is_whole(segment):
            if self._is_indexed and segment.id not in self._tails and not named:
                # It is being made, or its node was killed over that: there is nothing in it yet.
                return
            yield Failure(Fault.SEGMENT, f"{segment.path.name} has a damaged header of its own", segment.id)
        self.tally.segments += 1
        at, tail = FIRST, min(self._tail(segment), segment.size)
        offsets = sorted(named, reverse=True)
        while at < tail:
            while offsets and offsets[-1] <= at:
                offsets.pop()
            failures, end = self._of_record(segment, at, tail, named.pop(at, None))
            yield from failures
            if end is None:
                end = segment.scan().find(at + 1, offsets[-1] if offsets else tail)
            self._progress(end - at)
            at = end
        self.tally.unindexed += sum(1 for _ in segment.headers(at, segment.size))
        self._progress(max(0, segment.size - at))
        for each in named.values():
            if self._is_still_named(each):
                self.tally.dangling += 1
                yield self._failure(Fault.DANGLING, "no record begins at the place that the index names", each)

    def _tail(self, segment: Segment) -> int:
        if self._is_indexed:
            return self._tails.get(segment.id, FIRST)
        return max((offset + header.size for offset, header in segment.headers(FIRST, segment.size)), default=FIRST)

    def _of_record(
        self, segment: Segment, at: int, tail: int, named: _Named | None
    ) -> tuple[list[Failure], int | None]:
        """Return what is wrong with the record at `at`, and where it ends, None if that cannot be told."""
        self.tally.records += 1
        self.tally.live += named is not None
        try:
            header = _header(segment, at, tail)
        except StoreDamaged as error:
            if named is None:
                return [Failure(Fault.HEADER, str(error), segment.id, at)], None
            length = max(named.place.length, HEADER_SIZE)
            self.tally.size += length
            stored = _readable_head(segment, named.place, named.key_hash) if named.kind is Kind.HEAD else None
            return [self._failure(Fault.HEADER, str(error), named, stored)], at + length
        self.tally.size += header.size
        return self._of_body(segment, at, header, named), at + header.size

    def _of_body(self, segment: Segment, at: int, header: Header, named: _Named | None) -> list[Failure]:
        place = Place(segment.id, at, header.size)
        found = _Named(place, header.kind, header.generation, header.offset, header.key_hash)
        failures = []
        if named is not None and not _agree(named, found):
            failures.append(self._failure(Fault.MISPLACED, "another record lies where this one should", named))
        is_live = named is not None and not failures
        fault = Fault.CHECKSUM
        try:
            body = segment.body(at, header)
            fault = Fault.HEAD
            stored = _decoded(header, body)
        except StoreDamaged as error:
            known = _readable_head(segment, place, header.key_hash) if header.kind is Kind.HEAD else None
            return [*failures, self._failure(fault, str(error), found, known, is_live=is_live)]
        if stored is not None and is_live and self._lacks(stored) and self._is_still_named(found):
            failures.append(self._failure(Fault.LACKING, "the head says more than is held", found, stored))
        return failures

    def _lacks(self, stored: StoredResponse) -> bool:
        held = [(found.start, found.end) for found in self._inspection.chunks_of(stored.generation)]
        merged: list[tuple[int, int]] = []
        for start, end in held:
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return intersection(stored.ranges, merged) != stored.ranges

    def _failure(
        self, fault: Fault, problem: str, named: _Named, stored: StoredResponse | None = None, *, is_live: bool = True
    ) -> Failure:
        key = stored.key if stored is not None else None
        if key is None:
            with suppress(StoreDamaged):
                key = self._inspection.key_of(named.key_hash, named.generation)
        return Failure(
            fault, problem, named.place.segment, named.place.offset, named.kind, named.generation, named.start, key,
            is_live,
        )  # fmt: skip


def _agree(named: _Named, found: _Named) -> bool:
    """Return whether the record that was found is the one the index means; it does not know the key of a chunk."""
    if named.kind is Kind.HEAD and named.key_hash != found.key_hash:
        return False
    return (named.place, named.kind, named.generation, named.start) == (
        found.place, found.kind, found.generation, found.start
    )  # fmt: skip


def _header(segment: Segment, at: int, tail: int) -> Header:
    header = decode_header(segment.read(at, HEADER_SIZE), segment.tag)
    if at + header.size > tail:
        raise StoreDamaged("a record goes on behind the end of what was written")
    return header


def _decoded(header: Header, body: bytes) -> StoredResponse | None:
    """Return the stored response of a head record, None for another kind; StoreDamaged if it must not be used."""
    if header.kind is not Kind.HEAD:
        return None
    stored = head.decode(body)
    if key_hash(stored.key) != header.key_hash or stored.generation != header.generation:
        raise StoreDamaged("a head is filed under another key or generation")
    return stored


def _readable_head(segment: Segment, place: Place, name: bytes) -> StoredResponse | None:
    """Return a head whose record is damaged if its key is still the one that belongs there: it says whose it is."""
    try:
        stored = head.decode(segment.read(place.offset + HEADER_SIZE, place.length - HEADER_SIZE))
    except StoreDamaged:
        return None
    return stored if key_hash(stored.key) == name else None


def _is_whole(segment: Segment) -> bool:
    """Return whether the segment's own header is as it was written, in both copies."""
    with suppress(StoreDamaged):
        raw = segment.read(0, FIRST)
        tag = decode_segment_header(raw, segment.id, segment.size)
        return tag == PLAIN or raw == encode_segment_header(segment.id, segment.size, tag)
    return False
