"""Worker 1 of 2 as a process of its own, as LMDB wants it: it answers questions about its store, line by line."""

import asyncio
import json
import mmap
import sys
from hashlib import blake2b
from pathlib import Path

from edge.clock import SystemClock
from edge.errors import StoreError
from edge.store.partitions import Partitions
from edge.store.settings import Settings
from edge.store.shared import Shared
from tests.store.keeping import MIB, a_stored, read_all


async def answer(store: Partitions, word: str, key: bytes) -> object:
    match word:
        case "lookup":
            return len(await store.lookup(key))
        case "token":
            return store.token(key) is not None
        case "read":
            (stored,) = await store.lookup(key)
            content = await read_all(store.open(stored, 0, stored.complete_length or 0))
            return [blake2b(content).hexdigest(), store.at_hand(stored) is not None]
        case "put":
            store.put(a_stored(key))
        case "extend":
            await store.writer(key, length=None, extends=a_stored(key), start=1)
        case "pass":
            writer = await store.writer(key, length=3)
            await writer.write(b"abc")
            assert await read_all(writer.open(0, 3)) == b"abc"
            await writer.commit(a_stored(key, writer.generation, 3))
        case "remove":
            return await store.remove(key)
        case "retire":
            await store.retire()
    return None


def say(told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def main(path: Path, fd: int) -> None:
    shared = Shared(memoryview(mmap.mmap(fd, 0)), 1)
    store = await Partitions.start(
        path, Settings(quota=256 * MIB, memory=64 * MIB), SystemClock(), index=1, workers=2, shared=shared
    )
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, key = json.loads(line)
        try:
            told = await answer(store, word, key.encode())
        except StoreError as error:
            told = type(error).__name__
        say(told)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
