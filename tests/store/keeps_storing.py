"""A process that stores until it is killed: `python -m tests.store.keeps_storing PATH`.

It prints the number of each third response once all up to it are written.  However slow its reader is, it stores no
more than a node holds.
"""

import asyncio
import sys
from pathlib import Path

from tests.store.keeping import a_disk, keep

LAST = 300


async def store_until_killed(path: Path) -> None:
    async with a_disk(path) as disk:
        for number in range(LAST + 1):
            await keep(disk, b"response %d" % number, number * 7919 % 150_000)
            if number % 3 == 0:
                await disk.flush()
                print(number, flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(store_until_killed(Path(sys.argv[1])))
