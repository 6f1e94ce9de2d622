"""What is done when a node is opened, according to how it was left.

Left cleanly: nothing.  Killed: the index is consistent but may lack the last records of a segment, which are read from
its tail.  After a power cut, or when the index is damaged or gone: a new one is made from the segments alone.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged, StoreFull
from edge.store import head
from edge.store.index import HeadRef, Index, Place, Transaction, intersection
from edge.store.layout import Layout
from edge.store.log import apply
from edge.store.node import Node
from edge.store.record import Header, Kind
from edge.store.segment import FIRST, Segment, Segments

log = logging.getLogger("edge.store")

# Records put into the index in one transaction.
_BATCH = 10_000


@dataclass(slots=True)
class Recovered:
    """The index, and what it takes to go on.

    Attributes:
        index: the open index.
        sequence: the last sequence number that was given.
        active: the segment to append to, None to begin a new one.
        doubtful: heads that may say more than is held, to be written again.
        damaged: how many segments, or records at their ends, were not whole.
    """

    index: Index
    sequence: int = 0
    active: Segment | None = None
    doubtful: list[StoredResponse] = field(default_factory=list)
    damaged: int = 0


def recover(node: Node, segments: Segments, layout: Layout) -> Recovered:
    """Open the index of `node`, making it whole or anew as far as that is necessary."""
    folder = node.path / "index"
    problem = "it was not synced before the machine stopped"
    if node.was_clean or node.was_this_boot:
        try:
            return _resumed(Index.open(folder, layout.index), segments, clean=node.was_clean)
        except StoreDamaged as error:
            problem = str(error)
    if len(segments) > 0:
        log.warning("the index of %s is made anew from its segments: %s", node.path, problem)
    return _rebuilt(folder, segments, layout)


def _resumed(index: Index, segments: Segments, *, clean: bool) -> Recovered:
    """Return `index` with what it lacks; StoreDamaged, with the index closed, if it cannot be used."""
    try:
        return _completed(index, segments, clean=clean)
    except StoreDamaged:
        index.close()
        raise


def _completed(index: Index, segments: Segments, *, clean: bool) -> Recovered:
    tails = index.tails()
    segments.reserve_ids(max(tails, default=0))
    if len(tails) == 0 and len(segments) > 0:
        raise StoreDamaged("the index is empty and the segments are not")
    recovered = Recovered(index, index.sequence())
    for segment in segments:
        segment.tail = min(max(tails.get(segment.id, FIRST), FIRST), segment.size)
        if clean:
            recovered.active = segment
        else:
            _index_tail(recovered, segment)
    return recovered


def _index_tail(recovered: Recovered, segment: Segment) -> None:
    """Index what was written to `segment` and not indexed any more; what is torn is cut off."""
    start = segment.tail
    found = list(_whole_records(segment, start))
    if not found:
        return
    index = recovered.index
    with index.writing() as transaction:
        for offset, header, stored in found:
            _apply(index, transaction, segment, offset, header, stored)
            recovered.sequence = max(recovered.sequence, header.sequence)
        _note_doubtful(recovered, transaction, [stored for _, _, stored in found if stored is not None])
        segment.tail = found[-1][0] + found[-1][1].size
        index.mark(transaction, segment.id, segment.tail, recovered.sequence)


def _whole_records(segment: Segment, start: int) -> Iterator[tuple[int, Header, StoredResponse | None]]:
    for offset, header in segment.headers(start, segment.size):
        try:
            body = segment.body(offset, header)
            stored = head.decode(body) if header.kind is Kind.HEAD else None
        except StoreDamaged:
            return
        yield offset, header, stored


def _apply(
    index: Index,
    transaction: Transaction,
    segment: Segment,
    offset: int,
    header: Header,
    stored: StoredResponse | None,
) -> None:
    variant = head.variant_of(stored) if stored is not None else b""
    place = Place(segment.id, offset, header.size)
    for generation in apply(index, transaction, header.kind, header, variant, place):
        index.drop_chunks(transaction, generation)


def _rebuilt(folder: Path, segments: Segments, layout: Layout) -> Recovered:
    while True:
        Index.delete(folder)
        index = Index.open(folder, layout.index)
        try:
            return _rebuild(index, segments)
        except StoreFull:
            index.close()
            if (oldest := segments.oldest) is None:
                raise
            log.warning("the index has no room for all segments: the oldest one is dropped")
            segments.drop(oldest)


def _rebuild(index: Index, segments: Segments) -> Recovered:
    """Put what the segments say into the empty `index`, in the order in which it was said."""
    recovered = Recovered(index)
    records: list[tuple[int, int, int, Header]] = []
    for segment in segments:
        records += _scan(recovered, segment)
    records.sort(key=lambda record: record[:2])
    recovered.sequence = records[-1][0] if records else 0
    for first in range(0, len(records), _BATCH):
        with index.writing() as transaction:
            for _, segment_id, offset, header in records[first : first + _BATCH]:
                if (named := segments.get(segment_id)) is not None:
                    _replay(recovered, transaction, named, offset, header)
    with index.writing() as transaction:
        for segment in segments:
            index.mark(transaction, segment.id, segment.tail, recovered.sequence)
    _drop_orphans(recovered, segments)
    return recovered


def _scan(recovered: Recovered, segment: Segment) -> list[tuple[int, int, int, Header]]:
    """Return the records of `segment` and set its tail; the last one counts only if it is whole."""
    found = list(segment.headers(FIRST, segment.size))
    if found:
        try:
            segment.body(*found[-1])
        except StoreDamaged:
            recovered.damaged += 1
            found.pop()
    segment.tail = found[-1][0] + found[-1][1].size if found else FIRST
    return [(header.sequence, segment.id, offset, header) for offset, header in found]


def _replay(recovered: Recovered, transaction: Transaction, segment: Segment, offset: int, header: Header) -> None:
    stored = None
    if header.kind is Kind.HEAD:
        try:
            stored = head.decode(segment.body(offset, header))
        except StoreDamaged:
            recovered.damaged += 1
            return
    _apply(recovered.index, transaction, segment, offset, header, stored)


def _drop_orphans(recovered: Recovered, segments: Segments) -> None:
    """Forget chunks of generations without a head, and note heads that say more than is held."""
    index = recovered.index
    with index.reading() as transaction:
        refs = [ref for _, heads in index.all_heads(transaction) for ref in heads]
        known = {ref.generation for ref in refs}
        orphans = [generation for generation in index.generations(transaction) if generation not in known]
        _note_doubtful(recovered, transaction, (_read_head(segments, ref) for ref in refs))
    for first in range(0, len(orphans), _BATCH):
        with index.writing() as transaction:
            for generation in orphans[first : first + _BATCH]:
                index.drop_chunks(transaction, generation)


def _note_doubtful(recovered: Recovered, transaction: Transaction, heads: Iterable[StoredResponse | None]) -> None:
    for stored in heads:
        if stored is not None:
            held = recovered.index.held(transaction, stored.generation)
            if intersection(stored.ranges, held) != stored.ranges:
                recovered.doubtful.append(stored)


def _read_head(segments: Segments, ref: HeadRef) -> StoredResponse | None:
    segment = segments.get(ref.place.segment) if ref.place is not None else None
    if ref.place is None or segment is None:
        return None
    for offset, header in segment.headers(ref.place.offset, ref.place.offset + ref.place.length):
        return head.decode(segment.body(offset, header))
    return None
