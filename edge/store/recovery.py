"""What is done when a node is opened, according to how it was left.

Left cleanly: nothing.  Killed: the index is consistent but may lack the last records of a segment, which are read from
its tail.  After a power cut, or when the index is damaged or gone: a new one is made from the segments alone.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged, StoreFull
from edge.store import head
from edge.store.index import Index, Place, Transaction, intersection
from edge.store.layout import Layout
from edge.store.log import apply
from edge.store.node import Node
from edge.store.record import Header, Kind
from edge.store.scan import Scan
from edge.store.segment import Segment, Segments
from edge.store.segment_header import FIRST

log = logging.getLogger("edge.store")

# Records put into the index in one transaction: each rewrites every page it touches.
_BATCH = 100_000


@dataclass(slots=True)
class Recovered:
    """The index, and what it takes to go on.

    Attributes:
        index: the open index.
        sequence: the last sequence number that was given.
        active: the segment to append to, None to begin a new one.
        doubtful: heads that say more than is held, to be written again, by generation.
        damaged: how many segments, or records at their ends, were not whole.
    """

    index: Index
    sequence: int = 0
    active: Segment | None = None
    doubtful: dict[bytes, StoredResponse] = field(default_factory=dict)
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
    scan = segment.scan()
    # Each is read whole before any is believed: these may be the last that were written.
    whole = list(_while_whole(scan, segment.tail, segment.size))
    if whole:
        with recovered.index.writing() as transaction:
            for offset, header in whole:
                _apply(recovered, transaction, segment, scan, offset, header)
            segment.tail = whole[-1][0] + whole[-1][1].size
            recovered.index.mark(transaction, segment.id, segment.tail, recovered.sequence)


def _while_whole(scan: Scan, start: int, end: int) -> Iterator[tuple[int, Header]]:
    for offset, header in scan.headers(start, end):
        try:
            scan.body(offset, header)
        except StoreDamaged:
            return
        yield offset, header


def _apply(
    recovered: Recovered, transaction: Transaction, segment: Segment, scan: Scan, offset: int, header: Header
) -> None:
    """Let the index say what the record at `offset` says, unless it is a head that is damaged."""
    index = recovered.index
    recovered.sequence = max(recovered.sequence, header.sequence)
    outline = None
    if header.kind is Kind.HEAD:
        try:
            body = scan.body(offset, header)
            outline = head.outline(body)
            recovered.doubtful.pop(header.generation, None)
            # The chunks of a head are written before it: one that is not there now will not come.
            if intersection(outline.ranges, index.held(transaction, header.generation)) != outline.ranges:
                recovered.doubtful[header.generation] = head.decode(body)
        except StoreDamaged:
            recovered.damaged += 1
            return
    place = Place(segment.id, offset, header.size)
    for generation in apply(index, transaction, header.kind, header, outline, place):
        index.forget(transaction, generation)
        recovered.doubtful.pop(generation, None)


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
    """Put what the segments say into the empty `index`, in the order in which it was appended."""
    recovered = Recovered(index)
    for segment in segments:
        scan = segment.scan()
        records = _but_a_torn_last(recovered, scan, segment.size)
        while batch := list(islice(records, _BATCH)):
            with index.writing() as transaction:
                for offset, header in batch:
                    _apply(recovered, transaction, segment, scan, offset, header)
                segment.tail = batch[-1][0] + batch[-1][1].size
                index.mark(transaction, segment.id, segment.tail, recovered.sequence)
    _drop_orphans(index)
    return recovered


def _but_a_torn_last(recovered: Recovered, scan: Scan, end: int) -> Iterator[tuple[int, Header]]:
    """Yield the records up to `end`; the last one only if it is whole."""
    last, expected = None, FIRST
    for record in scan.surviving(FIRST, end):
        if last is not None:
            yield last
        recovered.damaged += record[0] != expected
        last, expected = record, record[0] + record[1].size
    if last is None:
        return
    try:
        scan.body(*last)
    except StoreDamaged:
        recovered.damaged += 1
    else:
        yield last


def _drop_orphans(index: Index) -> None:
    """Forget chunks of generations without a head: of fills that were cut off, and of what was evicted."""
    with index.reading() as transaction:
        known = {ref.generation for _, heads in index.all_heads(transaction) for ref in heads}
        orphans = [generation for generation in index.generations(transaction) if generation not in known]
    for first in range(0, len(orphans), _BATCH):
        with index.writing() as transaction:
            for generation in orphans[first : first + _BATCH]:
                index.forget(transaction, generation)
