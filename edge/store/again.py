"""Small contents that are read again and again, with as little done for each time as their checking allows."""

from edge.errors import StoreError
from edge.ports import Piece
from edge.store.index import Index, Place
from edge.store.memory import Memory
from edge.store.reader import Reader
from edge.store.record import Kind

#: The longest of them, octets: what is read between two others on the event loop.
LONGEST = 64 << 10


class SmallContent:
    """The first chunk of a generation, which is the whole of its content, in memory or wherever it lies."""

    __slots__ = (
        "_generation",
        "_header",
        "_index",
        "_key_hash",
        "_length",
        "_memory",
        "_place",
        "_reader",
    )

    def __init__(
        self, reader: Reader, index: Index, memory: Memory, key_hash: bytes, generation: bytes, length: int
    ) -> None:  # fmt: skip
        """Read `length` octets."""
        self._reader, self._index, self._memory = reader, index, memory
        self._key_hash, self._generation, self._length = key_hash, generation, length
        self._place: Place | None = None
        self._header = b""

    def read(self) -> Piece | None:
        """Return all of it; None when it would have to be waited for, is damaged, or gone."""
        content = self._memory.content(self._generation)
        if content is not None:
            return content
        try:
            place = self._place
            body: Piece | None = None if place is None else self._reader.again(place, self._header)
            if body is None and (body := self._found()) is None:
                return None
        except StoreError:
            return None
        if self._memory.promotes():
            body = bytes(body)
            self._memory.keep_content(self._generation, body)
        return body

    def _found(self) -> memoryview | None:
        """Look where it is now, and read it there."""
        place = self._index.first_chunk(self._generation)
        if place is None or place == self._place:
            return None
        found = self._reader.with_header(Kind.CHUNK, self._key_hash, self._generation, place)
        if found is None or len(found[1]) != self._length:
            return None
        self._place, self._header = place, bytes(found[0])
        return found[1]
