"""Visits outlast a restart: a small file says which records were used, so that reclaim does not start blind.

It is written anew now and then and at the end, never synced, and ignored when it is not whole: what it says is a hint.
"""

import os
import struct
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from edge.errors import StoreError
from edge.store.index import Index, Place
from edge.store.memory import Memory
from edge.store.segment import Segment, Segments

#: Seconds between two writes of the file; what was used since the last one is forgotten by a kill.
SAVE_SECONDS = 60.0

_MAGIC = b"FLvisits"
# Id and tag of a segment, and the length of its access bytes as they stand here, compressed.
_SEGMENT = struct.Struct("<I8sI")
_CRC = struct.Struct("<I")
# Names looked at between two moments at which the event loop's thread can go on.
_YIELD_EVERY = 64


def size_limit(segments: int) -> int:
    """Return what the file, and the one that takes its place, take at most for so many bytes of segments."""
    return 2 * (segments // 4096 * 9 // 8) + (16 << 10)


def save(path: Path, segments: Iterable[Segment]) -> None:
    """Write the access bytes of `segments` to the file at `path`; StoreError if the disk does not take it."""
    parts = [_MAGIC]
    for segment in segments:
        access = zlib.compress(segment.access, 1)
        parts += (_SEGMENT.pack(segment.id, segment.tag, len(access)), access)
    raw = b"".join(parts)
    beside = path.with_name(path.name + ".new")
    try:
        with suppress(FileNotFoundError):
            beside.unlink()
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(raw + _CRC.pack(zlib.crc32(raw)))
        beside.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def load(path: Path, segments: Segments) -> None:
    """Give the segments that are there still the access bytes in the file at `path`, if it is there and whole."""
    try:
        raw = _read(path)
    except OSError:
        return
    if raw[: len(_MAGIC)] != _MAGIC or _CRC.unpack(raw[-_CRC.size :])[0] != zlib.crc32(raw[: -_CRC.size]):
        return
    at, end = len(_MAGIC), len(raw) - _CRC.size
    while at < end:
        segment_id, tag, length = _SEGMENT.unpack_from(raw, at)
        at += _SEGMENT.size + length
        segment = segments.get(segment_id)
        if segment is not None and segment.tag == tag:
            segment.restore_access(zlib.decompress(raw[at - length : at]))


def note_memory(memory: Memory, index: Index, segments: Segments) -> None:
    """Let segments know what was used in memory: it is the hottest, and the disk is never asked for it."""
    for number, name in enumerate(memory.names()):
        if number % _YIELD_EVERY == 0:
            time.sleep(0)
        # In memory, coming counts as a visit.
        visits = memory.visits(name) - 1
        for place in _places(index, name) if visits > 0 else ():
            if (segment := segments.get(place.segment)) is not None:
                segment.visit(place.offset, visits - segment.visits(place.offset))


def _places(index: Index, name: bytes) -> list[Place]:
    """Return where the heads of a key hash, or the chunk of a small content, lie."""
    if len(name) == 16:
        return [ref.place for ref in index.heads(name) if ref.place is not None]
    found = index.chunk(name, 0)
    return [found.place] if found is not None else []


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read()
