"""What passes between the event loop and the writer thread: things to write, and what became of them."""

from dataclasses import dataclass, field

from edge.caching.stored import StoredResponse
from edge.errors import StoreError
from edge.semantics.immutable import immutable
from edge.store.record import HEADER_SIZE, Kind


@immutable(frozen=True, slots=True)
class Entry:
    """One thing to write.

    Attributes:
        kind: the kind of record; None for no record: every chunk of the generation is forgotten.
        key_hash: of the key it belongs to.
        generation: the generation it belongs to.
        body: the body of the record.
        offset: where a chunk lies in the content.
        stored: what the body of a head says.
        sequence: that of a record which is moved, 0 for a new one.
        visits: the uses that a record which is moved keeps to its name.
        size: length of the record in bytes.
    """

    kind: Kind | None
    key_hash: bytes
    generation: bytes
    body: bytes = b""
    offset: int = 0
    stored: StoredResponse | None = None
    sequence: int = 0
    visits: int = 0
    size: int = field(init=False)

    def __post_init__(self) -> None:
        # Once: it is asked for at every turn.
        object.__setattr__(self, "size", 0 if self.kind is None else HEADER_SIZE + len(self.body))


@dataclass(slots=True)
class Outcome:
    """What became of the entries that were to be appended.

    Attributes:
        done: how many of them, from the first on, are written and indexed.
        error: why the others are not.
        replaced: generations that have no head any more; their chunks are still indexed.
        lost: generations that are needed and of which chunks had to be freed.
        changed: hashes of the keys whose heads are not what they were.
        evicted: generations whose heads were dropped to make room.
        damaged: how many records failed their checksum.
    """

    done: int = 0
    error: StoreError | None = None
    replaced: list[bytes] = field(default_factory=list)
    lost: set[bytes] = field(default_factory=set)
    changed: set[bytes] = field(default_factory=set)
    evicted: list[bytes] = field(default_factory=list)
    damaged: int = 0
