"""What the tests of the store share: stored responses, contents that follow from their key, and a node to put them in."""

import random
from contextlib import asynccontextmanager
from pathlib import Path

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged
from edge.semantics.fields import FieldSection
from edge.store.disk import Disk
from edge.store.settings import Settings
from edge.testing.clock import ManualClock

MIB = 1 << 20
GENERATION = b"\x00generat"


def content_of(key: bytes, length: int) -> bytes:
    """The only right content of `key`."""
    return random.Random(key).randbytes(length)


def a_stored(key: bytes = b"http://a/", generation: bytes = GENERATION, length: int | None = 0, **changes):
    values = {
        "key": key,
        "generation": generation,
        "method": b"GET",
        "nominated": (),
        "status": 200,
        "reason": b"OK",
        "fields": FieldSection([(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]),
        "request_time": 1000.0,
        "response_time": 1000.5,
        "complete_length": length,
        "ranges": ((0, length),) if length else (),
        "epoch": 7,
    } | changes
    return StoredResponse(**values)


async def read_all(source) -> bytes:
    pieces = []
    try:
        while piece := await source.read():
            pieces.append(piece)
    finally:
        source.close()
    return b"".join(pieces)


async def keep(disk: Disk, key: bytes, length: int, **changes) -> StoredResponse:
    """Store the content of `key`."""
    writer = await disk.writer(key, length=length)
    content = content_of(key, length)
    for first in range(0, length, 100_000):
        await writer.write(content[first : first + 100_000])
    stored = a_stored(key, writer.generation, length, **changes)
    await writer.commit(stored)
    return stored


async def content_or_none(disk: Disk, key: bytes) -> bytes | None:
    """What the store answers for `key`; None when it has nothing, or notices that it is damaged."""
    for stored in await disk.lookup(key):
        try:
            return await read_all(disk.open(stored, 0, stored.complete_length))
        except StoreDamaged:
            return None
    return None


@asynccontextmanager
async def a_disk(path: Path, *, quota: int = 64 * MIB, memory: int = 0, clock=None):
    disk = await Disk.start(path, Settings(quota=quota, memory=memory), clock or ManualClock())
    try:
        yield disk
    finally:
        await disk.close()


def directory_size(path: Path) -> int:
    """What a directory takes of the disk, by the greater of both counts for each file."""
    return sum(max(file.stat().st_size, file.stat().st_blocks * 512) for file in path.rglob("*") if file.is_file())


def flip(path: Path, offset: int, bit: int) -> None:
    """Turn one bit of a file around."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))
