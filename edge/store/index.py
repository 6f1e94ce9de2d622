"""The index: where the records of a key and of a generation lie, in LMDB, shared by whoever opens the node.

`heads` maps a key hash to the heads of its stored responses, the newest first; `chunks` maps a generation and a content
offset to a chunk; `pins` holds the generations that are never reclaimed, `marks` the tail of every segment and the last
sequence number.  Reading costs microseconds and may be done on the event loop; writing belongs to one thread.  The index
is not synced: after a power cut it is rebuilt from segments.
"""

import errno
import os
import shutil
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import lmdb

from edge.caching.stored import Range
from edge.errors import StoreDamaged, StoreError, StoreFull
from edge.store.record import CHUNK_SIZE, HEADER_SIZE

#: Quoted: the type can only be subscripted by type checkers.
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

#: The most stored responses kept for one key.
VARIANT_LIMIT = 64

_PLACE = struct.Struct("<III")
_HEAD = struct.Struct("<8s8sIII")
_OFFSET = struct.Struct(">Q")
_AT_FIRST = _OFFSET.pack(0)
_SEQUENCE = b"sequence"


class Place(NamedTuple):
    """Where a record lies: the id of its segment, its offset there and its length with its header."""

    segment: int
    offset: int
    length: int


class HeadRef(NamedTuple):
    """A head of a key: its generation, which variant it is, and its place, None while it is not written."""

    generation: bytes
    variant: bytes
    place: Place | None


class Found(NamedTuple):
    """A chunk: the content offset at which it begins, and its place."""

    start: int
    place: Place

    @property
    def end(self) -> int:
        """The content offset behind it."""
        return self.start + self.place.length - HEADER_SIZE


Heads = tuple[HeadRef, ...]


def with_head(heads: Heads, new: HeadRef) -> tuple[Heads, list[bytes]]:
    """Return `heads` with `new` for its variant, and the generations that it replaces or that are one too many.

    A generation that is there already keeps its rank; any other becomes the newest.
    """
    if not heads:
        return (new,), []
    if any(head.generation == new.generation for head in heads):
        return tuple(new if head.generation == new.generation else head for head in heads), []
    kept = [new, *(head for head in heads if head.variant != new.variant)]
    replaced = [head.generation for head in heads if head.variant == new.variant]
    return tuple(kept[:VARIANT_LIMIT]), replaced + [head.generation for head in kept[VARIANT_LIMIT:]]


def without_generation(heads: Heads, generation: bytes | None) -> tuple[Heads, list[bytes]]:
    """Return `heads` without that of `generation`, or without any for None, and the generations that are gone."""
    kept = tuple(head for head in heads if generation is not None and head.generation != generation)
    return kept, [head.generation for head in heads if head not in kept]


class Index:
    """The open index of a node."""

    def __init__(self, environment: lmdb.Environment, map_size: int) -> None:
        self._environment, self._map_size = environment, map_size
        self._heads = environment.open_db(b"heads")
        self._chunks = environment.open_db(b"chunks")
        self._pins = environment.open_db(b"pins")
        self._marks = environment.open_db(b"marks")

    @classmethod
    def open(cls, folder: Path, map_size: int) -> Self:
        """Open the index in `folder`, or make it; StoreDamaged if what is there cannot be used."""
        folder.mkdir(mode=0o700, exist_ok=True)
        existing = _check_files(folder, map_size)
        try:
            environment = lmdb.open(
                os.fspath(folder), map_size=map_size, max_dbs=4, mode=0o600, sync=False, metasync=False
            )
        except lmdb.Error as error:
            raise StoreDamaged(f"the index cannot be opened: {error}") from error
        used = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        # A page that the file is too short for would not be an error but the end of the process.
        if existing and used > existing:
            environment.close()
            raise StoreDamaged("the index is shorter than it was")
        try:
            _reserve(folder / "data.mdb", map_size, used)
            return cls(environment, map_size)
        except (lmdb.Error, StoreError) as error:
            environment.close()
            raise error if isinstance(error, StoreFull) else StoreDamaged(f"the index is damaged: {error}") from error

    @classmethod
    def look(cls, folder: Path) -> Self:
        """Open the index of another process, only to read it; StoreDamaged if it cannot be."""
        try:
            return cls(lmdb.open(os.fspath(folder), max_dbs=4, readonly=True, create=False), 0)
        except lmdb.Error as error:
            raise StoreDamaged(f"the index cannot be opened: {error}") from error

    @staticmethod
    def delete(folder: Path) -> None:
        """Delete the index in `folder`, which nobody has open."""
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)

    def sync(self) -> None:
        """Wait until what was written is on disk; StoreError if it does not get there."""
        try:
            self._environment.sync(True)  # noqa: FBT003 - the parameter has no keyword
        except lmdb.Error as error:
            raise StoreError(f"the index cannot be synced: {error}") from error

    def close(self) -> None:
        """Close the index; whoever asks it something then gets StoreDamaged."""
        self._environment.close()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Return a transaction that commits at the end of the block, and not at all when the block raises.

        Raises:
            StoreFull: the index holds all it can.
            StoreError: the index cannot be written.
        """
        try:
            with self._environment.begin(write=True) as transaction:
                yield transaction
        except lmdb.MapFullError as error:
            raise StoreFull("the index is full") from error
        except lmdb.Error as error:
            raise StoreError(f"the index cannot be written: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Return a transaction to look things up in; StoreDamaged if the index cannot be read."""
        try:
            with self._environment.begin() as transaction:
                yield transaction
        except lmdb.Error as error:
            raise StoreDamaged(f"the index cannot be read: {error}") from error

    @property
    def keys(self) -> int:
        """How many keys have a stored response."""
        with self.reading() as transaction:
            return transaction.stat(self._heads)["entries"]

    @property
    def size(self) -> int:
        """How many bytes of pages are live."""
        with self.reading() as transaction:
            stats = [transaction.stat(database) for database in (self._heads, self._chunks, self._pins, self._marks)]
        return sum(of["psize"] * (of["branch_pages"] + of["leaf_pages"] + of["overflow_pages"]) for of in stats)

    @property
    def is_crowded(self) -> bool:
        """Whether so much is live that rewriting it could need more pages than the map has."""
        # LMDB copies what it changes and frees the copied pages two transactions later.
        return self.size * 3 > self._map_size

    # Heads.

    def heads(self, key_hash: bytes) -> Heads:
        """Return the heads of a key, the newest first."""
        # Not by `reading`: this is asked for every request that is not answered from memory.
        try:
            with self._environment.begin() as transaction:
                return self.heads_in(transaction, key_hash)
        except lmdb.Error as error:
            raise StoreDamaged(f"the index cannot be read: {error}") from error

    def heads_in(self, transaction: Transaction, key_hash: bytes) -> Heads:
        """Return the heads of a key as `transaction` sees them."""
        return _read_heads(transaction.get(key_hash, db=self._heads) or b"")

    def keys_in(self) -> list[bytes]:
        """Return the hash of every key that has a stored response."""
        with self.reading() as transaction, transaction.cursor(db=self._heads) as cursor:
            return list(cursor.iternext(values=False))

    def all_heads(self, transaction: Transaction, after: bytes = b"") -> Iterator[tuple[bytes, Heads]]:
        """Yield every key hash behind `after` with its heads."""
        with transaction.cursor(db=self._heads) as cursor:
            if after and not cursor.set_range(after + b"\0"):
                return
            for key_hash in cursor.iternext(values=False):
                yield key_hash, self.heads_in(transaction, key_hash)

    def put_heads(self, transaction: Transaction, key_hash: bytes, heads: Heads) -> None:
        """Let `heads`, which are all written, be those of a key."""
        raw = b"".join([_HEAD.pack(head.generation, head.variant, *head.place) for head in heads if head.place])
        if raw:
            transaction.put(key_hash, raw, db=self._heads)
        else:
            transaction.delete(key_hash, db=self._heads)

    # Chunks.

    def chunk(self, generation: bytes, offset: int) -> Found | None:
        """Return the chunk of `generation` that holds the octet at `offset`, or None."""
        with self.reading() as transaction, transaction.cursor(db=self._chunks) as cursor:
            key = chunk_key(generation, offset)
            there = cursor.set_range(key)
            if not there or cursor.key() != key:
                there = cursor.prev() if there else cursor.last()
            # No chunk crosses a multiple of CHUNK_SIZE, so one that begins below the last multiple cannot reach.
            lowest = chunk_key(generation, offset - offset % CHUNK_SIZE)
            while there and cursor.key() >= lowest:
                found = decode_chunk(cursor.key(), cursor.value())
                if found.end > offset:
                    return found
                there = cursor.prev()
        return None

    def first_chunk(self, generation: bytes) -> Place | None:
        """Return where the first chunk of `generation` is, or None."""
        try:
            with self._environment.begin() as transaction:
                return self._first_chunk(transaction, generation)
        except lmdb.Error as error:
            raise StoreDamaged(f"the index cannot be read: {error}") from error

    def heads_and_chunk(self, key_hash: bytes) -> tuple[Heads, Place | None]:
        """Return the heads of a key, the newest first, and where the first chunk is when there is one head."""
        try:
            with self._environment.begin() as transaction:
                if not (raw := transaction.get(key_hash, db=self._heads)):
                    return (), None
                heads = _read_heads(raw)
                return heads, self._first_chunk(transaction, heads[0].generation) if len(heads) == 1 else None
        except lmdb.Error as error:
            raise StoreDamaged(f"the index cannot be read: {error}") from error

    def _first_chunk(self, transaction: Transaction, generation: bytes) -> Place | None:
        raw = transaction.get(generation + _AT_FIRST, db=self._chunks)
        return None if raw is None or len(raw) != _PLACE.size else Place(*_PLACE.unpack(raw))

    def is_chunk(self, transaction: Transaction, generation: bytes, offset: int, place: Place) -> bool:
        """Return whether the chunk that begins at `offset` is the one at `place`."""
        return transaction.get(chunk_key(generation, offset), db=self._chunks) == _PLACE.pack(*place)

    def is_held(self, transaction: Transaction, generation: bytes, ranges: tuple[Range, ...]) -> bool:
        """Return whether `ranges` is what one chunk holds that begins at the first octet; False says nothing."""
        if len(ranges) != 1 or ranges[0][0] != 0:
            return False
        raw = transaction.get(chunk_key(generation, 0), db=self._chunks)
        return raw is not None and decode_chunk(chunk_key(generation, 0), raw).end == ranges[0][1]

    def put_chunk(self, transaction: Transaction, generation: bytes, offset: int, place: Place) -> None:
        """Let the chunk that begins at `offset` be the one at `place`."""
        transaction.put(chunk_key(generation, offset), _PLACE.pack(*place), db=self._chunks)

    def drop_chunk(self, transaction: Transaction, generation: bytes, offset: int) -> None:
        """Forget the chunk that begins at `offset`."""
        transaction.delete(chunk_key(generation, offset), db=self._chunks)

    def forget(self, transaction: Transaction, generation: bytes) -> None:
        """Forget every chunk of `generation`, and that it is pinned."""
        self.put_pin(transaction, generation, 0)
        with transaction.cursor(db=self._chunks) as cursor:
            there = cursor.set_range(generation)
            while there and cursor.key()[:8] == generation:
                there = cursor.delete() and bool(cursor.key())

    def held(self, transaction: Transaction, generation: bytes) -> tuple[Range, ...]:
        """Return which octets of `generation` lie in chunks: half-open, sorted, disjoint ranges."""
        found: list[Range] = []
        for chunk in self.chunks_of(transaction, generation):
            if found and chunk.start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], chunk.end))
            else:
                found.append((chunk.start, chunk.end))
        return tuple(found)

    def chunks_of(self, transaction: Transaction, generation: bytes) -> Iterator[Found]:
        """Yield the chunks of `generation` in order of content offset."""
        with transaction.cursor(db=self._chunks) as cursor:
            there = cursor.set_range(generation)
            while there and cursor.key()[:8] == generation:
                yield decode_chunk(cursor.key(), cursor.value())
                there = cursor.next()

    def generations(self, transaction: Transaction) -> Iterator[bytes]:
        """Yield every generation that has chunks."""
        with transaction.cursor(db=self._chunks) as cursor:
            there = cursor.first()
            while there:
                generation = cursor.key()[:8]
                yield generation
                # No content is so long that a chunk of it begins at the last offset.
                there = cursor.set_range(chunk_key(generation, (1 << 64) - 1))

    # Pins.

    def pins(self) -> dict[bytes, int]:
        """Return what every pinned generation takes of the quota for pinned content, bytes."""
        with self.reading() as transaction, transaction.cursor(db=self._pins) as cursor:
            return {generation: int.from_bytes(charge, "big") for generation, charge in cursor.iternext()}

    def pin(self, transaction: Transaction, generation: bytes) -> int:
        """Return what `generation` takes of the quota for pinned content, 0 when it is not pinned."""
        return int.from_bytes(transaction.get(generation, db=self._pins) or b"", "big")

    def put_pin(self, transaction: Transaction, generation: bytes, charge: int) -> None:
        """Let `generation` be pinned and take `charge`, or not be pinned for 0."""
        if charge:
            transaction.put(generation, charge.to_bytes(8, "big"), db=self._pins)
        else:
            transaction.delete(generation, db=self._pins)

    # Marks.

    def tails(self) -> dict[int, int]:
        """Return the tail of every segment that was written to, by id."""
        with self.reading() as transaction, transaction.cursor(db=self._marks) as cursor:
            return decode_tails(cursor.iternext())

    def sequence(self) -> int:
        """Return the last sequence number that was given."""
        with self.reading() as transaction:
            return int.from_bytes(transaction.get(_SEQUENCE, db=self._marks) or b"", "big")

    def mark(self, transaction: Transaction, segment_id: int, tail: int, sequence: int) -> None:
        """Note how far a segment is indexed and which sequence number was the last."""
        transaction.put(segment_id.to_bytes(4, "big"), tail.to_bytes(8, "big"), db=self._marks)
        transaction.put(_SEQUENCE, sequence.to_bytes(8, "big"), db=self._marks)

    def unmark(self, transaction: Transaction, segment_id: int) -> None:
        """Forget the tail of a segment that is freed."""
        transaction.delete(segment_id.to_bytes(4, "big"), db=self._marks)


def _read_heads(raw: bytes) -> Heads:
    # What is malformed is no head, so that the key can be stored again.
    return () if len(raw) % _HEAD.size else decode_heads(raw)


def intersection(left: Iterable[Range], right: Iterable[Range]) -> tuple[Range, ...]:
    """Return what two sequences of half-open, sorted, disjoint ranges have in common."""
    ours, theirs = list(left), list(right)
    common: list[Range] = []
    while ours and theirs:
        first, last = max(ours[0][0], theirs[0][0]), min(ours[0][1], theirs[0][1])
        if first < last:
            common.append((first, last))
        (ours if ours[0][1] <= theirs[0][1] else theirs).pop(0)
    return tuple(common)


def decode_heads(raw: bytes) -> Heads:
    """Return what `heads` holds for a key; StoreDamaged if it is malformed."""
    if len(raw) % _HEAD.size:
        raise StoreDamaged("an entry of the index is malformed")
    return tuple([HeadRef(values[0], values[1], Place(*values[2:])) for values in _HEAD.iter_unpack(raw)])


def chunk_key(generation: bytes, offset: int) -> bytes:
    """Return the key in `chunks` of the chunk of `generation` that begins at `offset`."""
    return generation + _OFFSET.pack(offset)


def decode_chunk(key: bytes, value: bytes) -> Found:
    """Return what `chunks` holds under `key`; StoreDamaged if it is malformed."""
    if len(key) != 16 or len(value) != _PLACE.size:
        raise StoreDamaged("an entry of the index is malformed")
    return Found(_OFFSET.unpack(key[8:])[0], Place(*_PLACE.unpack(value)))


def decode_tails(marks: Iterable[tuple[bytes, bytes]]) -> dict[int, int]:
    """Return the tails of segments by id that are among `marks`."""
    return {int.from_bytes(name, "big"): int.from_bytes(tail, "big") for name, tail in marks if name != _SEQUENCE}


def _check_files(folder: Path, map_size: int) -> int:
    """Return the size of the index's file, 0 for none; StoreDamaged if it must not be opened."""
    for name in ("lock.mdb", "data.mdb"):
        try:
            status = (folder / name).lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.geteuid():
            raise StoreDamaged(f"{folder / name} is not a file of its own")
        if status.st_size > map_size:
            raise StoreDamaged("the index is larger than its share of the quota")
        if name == "data.mdb":
            return status.st_size
    return 0


def _reserve(path: Path, size: int, used: int) -> None:
    """Take the whole share of the index from the disk, as it must be writable when that is full, and have it read."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.posix_fallocate(fd, 0, size)
        # Ahead of the event loop, which looks things up without a thread in between.
        os.posix_fadvise(fd, 0, used, os.POSIX_FADV_WILLNEED)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise StoreFull(f"the index has no room: {error.strerror}") from error
    finally:
        os.close(fd)
