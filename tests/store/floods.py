"""A process that pins some responses and then floods its store until it is killed: `python -m tests.store.floods PATH`.

It prints a line for each few contents that are written.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from tests.store.keeping import MIB, a_disk, a_stored, content_of, keep

QUOTA = 16 * MIB
PINNED = {b"pinned %d" % number: number * 77_777 for number in range(1, 7)}


async def keep_pinned(disk, key: bytes, length: int) -> None:
    """Store the content of `key` and pin it."""
    writer = await disk.writer(key, length=length, pinned=True)
    await writer.write(content_of(key, length))
    await writer.commit(a_stored(key, writer.generation, length))


async def flood_until_killed(path: Path) -> None:
    async with a_disk(path, quota=QUOTA) as disk:
        for key, length in PINNED.items():
            if not await disk.lookup(key):
                await keep_pinned(disk, key, length)
        for number in itertools.count():
            await keep(disk, b"flood %d" % number, MIB // 5)
            if number % 5 == 0:
                await disk.flush()
                print(number, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(flood_until_killed(Path(sys.argv[1])))
