"""A fill: content that arrives and is cut into chunks, findable once it is committed."""

from dataclasses import replace

from edge.caching.stored import Range, StoredResponse
from edge.errors import StoreError, StoreFull
from edge.ports import Piece
from edge.store.ledger import BUFFERED_LIMIT, Ledger
from edge.store.memory import SMALL
from edge.store.pins import charge_while_filled
from edge.store.reader import DiskSource, Reader
from edge.store.record import room_in_chunk

# How much of the memory of an unfinished chunk a reader is handed at once.
_PIECE = 256 << 10
# No chunk is made shorter than this because many are unfinished.
_SHORTEST = 64 << 10


class Fill:
    """The `Writer` of one generation.

    Octets that the extended response holds already are not written once more: chunks that a head mentions are never
    replaced by others that may be taken back.

    Attributes:
        generation: what is written.
        is_over: whether it was committed or aborted.
    """

    is_admitted = True

    def __init__(
        self,
        ledger: Ledger,
        reader: Reader,
        key_hash: bytes,
        generation: bytes,
        *,
        start: int,
        limit: int,
        held: tuple[Range, ...] | None,
        pinned: bool = False,
    ) -> None:
        """Begin at `start` and take `limit` octets at most.

        `held` are the ranges of the response that is extended, None for a new generation; a `pinned` one is pinned by
        its commit.
        """
        self.generation, self.is_over = generation, False
        self._ledger, self._reader, self._key_hash = ledger, reader, key_hash
        self._at, self._limit, self._extends, self._held = start, start + limit, held is not None, held or ()
        self._pinned, self._start = pinned, start
        self._buffer, self._begin = bytearray(), start
        self._offsets: list[int] = []
        self._small: bytes | None = None
        self._error: StoreError | None = None
        ledger.fills[generation] = self

    async def write(self, data: Piece) -> None:
        """Append `data`; waits while too much is unwritten.  StoreError: the content can no longer be stored."""
        self._check()
        await self._ledger.wait_room()
        self._check()
        if self._at + len(data) > self._limit:
            self._error = StoreFull("the content does not fit the quota")
            raise self._error
        if self._pinned:
            self._charge(len(data))
        rest = memoryview(data)
        while rest:
            rest = rest[self._take(rest) :]
        if self._ledger.buffered > BUFFERED_LIMIT and len(self._buffer) >= _SHORTEST:
            self._seal()

    def open(self, start: int, end: int) -> DiskSource:
        """Return the octets [start, end) of what has been written so far, for those who follow the fill."""
        return DiskSource(self._ledger, self._reader, self._key_hash, self.generation, start=start, end=end)

    async def commit(self, stored: StoredResponse) -> None:
        """Make the content findable under `stored`, replacing the variant; StoreError: it was not stored."""
        try:
            self._check()
            self._check_extended()
            self._seal()
            self._ledger.add_head(self._key_hash, replace(stored, pinned=True) if self._pinned else stored)
        except StoreError:
            self.abort()
            raise
        self.is_over = True
        if self._small is not None and stored.complete_length == len(self._small):
            self._ledger.memory.keep_content(self.generation, self._small)

    def abort(self) -> None:
        """Forget what was written; sources opened on it stay readable.  Does nothing after `commit`."""
        if self.is_over:
            return
        self.is_over = True
        if self._ledger.is_read(self.generation):
            self._seal()
        if self._extends:
            self._ledger.forget_chunks(self._key_hash, self.generation, self._offsets)
        else:
            self._ledger.release(self.generation)
        self._drop_buffer()
        self._ledger.end_fill(self.generation)

    def buffered(self, offset: int) -> memoryview | None:
        """Return octets from `offset` on that are not in a chunk yet, or None."""
        first = offset - self._begin
        if not 0 <= first < len(self._buffer):
            return None
        # A copy: a buffer that is looked into cannot grow.
        return memoryview(bytes(self._buffer[first : first + _PIECE]))

    def fail(self, error: StoreError) -> None:
        """Take note that the content cannot be stored."""
        self._error = self._error or error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self.is_over:
            raise StoreError("the fill is over")

    def _charge(self, more: int) -> None:
        """Take what is pinned off its quota before it is written: nothing of it may be lost then."""
        charge = charge_while_filled(self._at - self._start + more)
        try:
            self._ledger.pins.check(charge, instead_of=(self.generation,))
        except StoreFull as error:
            self._error = error
            raise
        self._ledger.pins.put(self.generation, charge)

    def _check_extended(self) -> None:
        known = self._ledger.heads(self._key_hash)
        if self._extends and all(ref.generation != self.generation for ref in known):
            raise StoreError("the extended response is gone")

    def _take(self, data: memoryview) -> int:
        """Take what belongs to one chunk, or is held, from the front of `data`, and return how much that is."""
        inside = next((last for first, last in self._held if first <= self._at < last), None)
        if inside is not None:
            taken = min(len(data), inside - self._at)
            self._at += taken
            self._begin = self._at
            return taken
        next_held = min((first for first, _ in self._held if first > self._at), default=self._limit)
        taken = min(len(data), room_in_chunk(self._at), next_held - self._at)
        if not self._buffer and taken == room_in_chunk(self._at) == room_in_chunk(0):
            # A whole chunk at once is not gathered first.
            self._at += taken
            self._add(bytes(data[:taken]))
            return taken
        self._buffer += data[:taken]
        self._ledger.buffered += taken
        self._at += taken
        if self._at == next_held or room_in_chunk(self._at) == room_in_chunk(0):
            self._seal()
        return taken

    def _seal(self) -> None:
        """Make a chunk of what has been buffered."""
        if not self._buffer:
            return
        data = bytes(self._buffer)
        if self._begin == 0 and len(data) <= SMALL:
            self._small = data
        self._ledger.buffered -= len(data)
        self._buffer = bytearray()
        self._add(data)

    def _add(self, data: bytes) -> None:
        begin, self._begin = self._begin, self._at
        self._offsets.append(begin)
        self._ledger.add_chunk(self._key_hash, self.generation, begin, data)

    def _drop_buffer(self) -> None:
        self._ledger.buffered -= len(self._buffer)
        self._buffer, self._begin = bytearray(), self._at
