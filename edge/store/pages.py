"""The index of a node as it lies in its file: LMDB's pages (data version 1), read without LMDB and without a lock.

LMDB can do neither for a guest.  A reader in its lock table writes to that table, and one that is killed keeps the node
from using pages again; a reader that is not in the table trusts pages while they are overwritten, which ends the
process.  Here a page is copied, its bounds are checked, and nothing of it is believed that may have been overwritten.
"""

import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from edge.errors import StoreDamaged

# Magic, data version; (map address, map size); the free list, whose first field is the page size; the main database,
# whose last field is its root; (the last page); the transaction.
_META = struct.Struct("<II 16x I44x 40xQ 8x Q")
_PAGE_HEADER = struct.Struct("<Q2xHHH")
# What the main database holds of a named one: only its root is of interest.
_NAMED = struct.Struct("<40xQ")
# Low and high half of a length (of a page number in a branch, with the flags on top), flags, length of the key.
_NODE = struct.Struct("<HHHH")
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _KINDS = 1, 2, 0x6F
_IS_ELSEWHERE, _IS_DATABASE = 1, 2
_NO_PAGE = (1 << 64) - 1
_DEEPEST = 32
# LMDB writes over a page that a transaction has freed from the second transaction after it on.  So a snapshot is whole
# until that, its third successor, can have begun: until its second one has committed.
_LASTS = 1

Entries = list[tuple[bytes, int, bytes]]


class _Snapshot(NamedTuple):
    """What a meta page says: its transaction and the root of the main database."""

    transaction: int
    root: int


class Pages:
    """The open file of an index."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`; StoreDamaged if there is none, or it is not an index."""
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise StoreDamaged(f"the index cannot be opened: {error.strerror}") from error
        try:
            self._page_size = self._checked_page_size()
        except StoreDamaged:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def get(self, database: bytes, key: bytes) -> bytes | None:
        """Return the value of `key`, or None; StoreDamaged if the index cannot be read."""
        entries, _ = self._leaf(database, key)
        return entries[0][2] if entries and entries[0][0] == key else None

    def items(self, database: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys from `start` on in order, each with its value as it is by then; StoreDamaged as `get`."""
        at: bytes | None = start
        while at is not None:
            entries, fence = self._leaf(database, at)
            for key, _, value in entries:
                yield key, value
            if fence is not None and fence <= at:
                raise StoreDamaged("the index is damaged: its keys are out of order")
            at = fence

    def _leaf(self, database: bytes, key: bytes) -> tuple[Entries, bytes | None]:
        """Return the entries from `key` on of the page it belongs to, and where the next page begins, None at the end.

        They are those of one moment, however much is being written.
        """
        while True:
            snapshot = self._newest()
            try:
                found = self._descend(self._root(snapshot, database), key)
            except StoreDamaged:
                if self._newest().transaction - snapshot.transaction <= _LASTS:
                    raise
            else:
                if self._newest().transaction - snapshot.transaction <= _LASTS:
                    return found

    def _root(self, snapshot: _Snapshot, database: bytes) -> int:
        entries, _ = self._descend(snapshot.root, database)
        if not entries or entries[0][0] != database:
            return _NO_PAGE
        _, flags, value = entries[0]
        if not flags & _IS_DATABASE or len(value) != _NAMED.size:
            raise StoreDamaged("the index is damaged: a database is something else")
        root: int = _NAMED.unpack(value)[0]
        return root

    def _descend(self, number: int, key: bytes) -> tuple[Entries, bytes | None]:
        fence: bytes | None = None
        if number == _NO_PAGE:
            return [], None
        for _ in range(_DEEPEST):
            is_leaf, keys, nodes = _nodes(number, self._read(number * self._page_size, self._page_size))
            if is_leaf:
                return nodes[bisect_left(keys, key) :], fence
            # The first key of a branch is empty: its child holds everything below the second.
            child = bisect_right(keys, key, 1) - 1
            if child + 1 < len(keys):
                fence = keys[child + 1]
            number = nodes[child][1]
        raise StoreDamaged("the index is damaged: its pages go round in circles")

    def _newest(self) -> _Snapshot:
        metas = self._metas()
        # One that is being written while it is read shows on the second look.
        while (again := self._metas()) != metas:
            metas = again
        snapshots = [_snapshot(metas[at:]) for at in (0, self._page_size)]
        newest = max((snapshot for snapshot in snapshots if snapshot is not None), default=None)
        if newest is None:
            raise StoreDamaged("the index is damaged: it has no meta page")
        return newest

    def _metas(self) -> bytes:
        return self._read(_PAGE_HEADER.size, self._page_size + _META.size)

    def _checked_page_size(self) -> int:
        magic, version, size, _, _ = _META.unpack(self._read(_PAGE_HEADER.size, _META.size))
        if magic != _MAGIC or version != _VERSION or size.bit_count() != 1 or not 512 <= size <= 1 << 16:
            raise StoreDamaged("the index is damaged, or not of the version that can be looked at")
        return int(size)

    def _read(self, offset: int, length: int) -> bytes:
        try:
            raw = os.pread(self._fd, length, offset)
        except (OSError, OverflowError) as error:
            raise StoreDamaged(f"the index cannot be read: {error}") from error
        if len(raw) != length:
            raise StoreDamaged("the index is shorter than it was")
        return raw


def _snapshot(meta: bytes) -> _Snapshot | None:
    magic, version, _, root, transaction = _META.unpack_from(meta)
    return _Snapshot(transaction, root) if (magic, version) == (_MAGIC, _VERSION) else None


# By what is in the page, which is what makes the answer right: the pages near the root are read again for every key.
@lru_cache(256)
def _nodes(number: int, page: bytes) -> tuple[bool, list[bytes], Entries]:
    """Return whether page `number` is a leaf, its keys, and its nodes: key, flags (or child of a branch), value."""
    found, flags, lower, upper = _PAGE_HEADER.unpack_from(page)
    kind, count = flags & _KINDS, (lower - _PAGE_HEADER.size) // 2
    if found != number or kind not in {_BRANCH, _LEAF} or not _PAGE_HEADER.size < lower <= upper <= len(page):
        raise StoreDamaged("the index is damaged: a page is something else")
    places = struct.unpack_from(f"<{count}H", page, _PAGE_HEADER.size)
    nodes = [_node(page, place, is_leaf=kind == _LEAF) for place in places]
    return kind == _LEAF, [node[0] for node in nodes], nodes


def _node(page: bytes, place: int, *, is_leaf: bool) -> tuple[bytes, int, bytes]:
    if place + _NODE.size > len(page):
        raise StoreDamaged("the index is damaged: a node is outside its page")
    low, high, flags, key_size = _NODE.unpack_from(page, place)
    begin = place + _NODE.size + key_size
    key = page[place + _NODE.size : begin]
    end = begin + (low | high << 16 if is_leaf else 0)
    # No value of ours is so long that it lies in pages of its own.
    if end > len(page) or (is_leaf and flags & _IS_ELSEWHERE):
        raise StoreDamaged("the index is damaged: a node is outside its page")
    return key, flags if is_leaf else low | high << 16 | flags << 32, page[begin:end]
