"""The scrubber: reads everything that can be found, slowly and again and again, so that damage is known before a client asks.

It goes through the index rather than through the segments, so that of whatever fails it is known whose it is.
"""

import asyncio
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import islice

from edge.errors import StoreDamaged, StoreError
from edge.store import head
from edge.store.index import Heads, Index, Place
from edge.store.ledger import Ledger
from edge.store.record import HEADER_SIZE, Kind, check_body, check_header
from edge.store.segment import Segment, Segments

log = logging.getLogger("edge.store")

# Read between two pauses, bytes; a step goes beyond it by one record at most.
_STEP = 1 << 20
# What a disk spends on a record at least, as bytes read in one piece.
_LEAST = 16 << 10
# Keys looked up in one go.
_KEYS = 256
# Seconds between two rounds, and before the first: a node that starts has better things to do.
_REST = 60.0


@dataclass(slots=True)
class _Step:
    """What was read.

    Attributes:
        cost: bytes, for the rate.
        size: bytes.
        failed: key hash and generation of what is damaged.
    """

    cost: int = 0
    size: int = 0
    failed: list[tuple[bytes, bytes]] = field(default_factory=list)


class Scrub:
    """Reads records and has those that fail quarantined.

    Attributes:
        scrubbed: bytes read since the start.
    """

    def __init__(self, ledger: Ledger, segments: Segments, index: Index, pool: Executor) -> None:
        self.scrubbed = 0
        self._ledger, self._segments, self._index, self._pool = ledger, segments, index, pool

    async def run(self, rate: int) -> None:
        """Read round after round, at most `rate` bytes a second, until cancelled."""
        while True:
            await asyncio.sleep(_REST)
            try:
                await self.round(rate)
            except StoreError as error:
                log.error("the scrubber has to begin anew: %s", error)  # noqa: TRY400 - the disk's fault, not ours

    async def round(self, rate: int = 0) -> None:
        """Read everything once, at most `rate` bytes a second; as fast as it goes for 0."""
        loop, records = asyncio.get_running_loop(), self._records()
        while (step := await loop.run_in_executor(self._pool, self._step, records)).cost:
            self.scrubbed += step.size
            for name, generation in step.failed:
                self._ledger.quarantine(name, generation)
            if rate:
                await asyncio.sleep(step.cost / rate)

    def _step(self, records: Iterator[tuple[Kind, bytes, bytes, int, Place]]) -> _Step:
        step = _Step()
        for kind, name, generation, offset, place in records:
            step.cost += max(place.length, _LEAST)
            step.size += place.length
            try:
                self._check(kind, name, generation, offset, place)
            except StoreDamaged:
                step.failed.append((name, generation))
            if step.cost >= _STEP:
                break
        return step

    def _records(self) -> Iterator[tuple[Kind, bytes, bytes, int, Place]]:
        """Yield kind, key hash, generation, content offset and place of every record there is to find."""
        for name, heads in self._all_heads():
            for ref in heads:
                if ref.place is None:
                    continue
                yield Kind.HEAD, name, ref.generation, 0, ref.place
                with self._index.reading() as transaction:
                    found = list(self._index.chunks_of(transaction, ref.generation))
                for chunk in found:
                    yield Kind.CHUNK, name, ref.generation, chunk.start, chunk.place

    def _all_heads(self) -> Iterator[tuple[bytes, Heads]]:
        """Yield every key hash with its heads, without keeping a transaction open meanwhile: it would keep old pages."""
        last = b""
        while True:
            with self._index.reading() as transaction:
                batch = list(islice(self._index.all_heads(transaction, after=last), _KEYS))
            if not batch:
                return
            yield from batch
            last = batch[-1][0]

    def _check(self, kind: Kind, name: bytes, generation: bytes, offset: int, place: Place) -> None:
        """Raise StoreDamaged if the record is not what the index says; one that was freed or moved is let be."""
        segment = self._segments.get(place.segment)
        if segment is None:
            return
        try:
            raw = _read(segment, place)
            header = check_header(raw, segment.tag, kind, name, generation, offset)
            check_body(header, raw[HEADER_SIZE:])
            if kind is Kind.HEAD:
                head.decode(raw[HEADER_SIZE:])
        except StoreDamaged:
            if self._is_named(kind, name, generation, offset, place):
                raise

    def _is_named(self, kind: Kind, name: bytes, generation: bytes, offset: int, place: Place) -> bool:
        if kind is Kind.HEAD:
            return any(ref.place == place for ref in self._index.heads(name))
        with self._index.reading() as transaction:
            return self._index.is_chunk(transaction, generation, offset, place)


def _read(segment: Segment, place: Place) -> bytes:
    """Return a record; what was not in the page cache is not left there: nobody asked for it."""
    buffer = bytearray(place.length)
    try:
        if os.preadv(segment.fd, [buffer], place.offset, os.RWF_NOWAIT) == place.length:
            return bytes(buffer)
    except OSError:
        # Some of it must be waited for, or fails; then so does what follows.
        pass
    raw = segment.read(place.offset, place.length)
    os.posix_fadvise(segment.fd, place.offset, place.length, os.POSIX_FADV_DONTNEED)
    return raw
