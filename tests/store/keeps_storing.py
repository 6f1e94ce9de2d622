"""A process that stores until it is killed: `python -m tests.store.keeps_storing PATH`.

It prints the number of each response once that is written.
"""

import asyncio
import sys
from pathlib import Path

from tests.store.keeping import a_disk, keep


async def store_for_ever(path: Path) -> None:
    async with a_disk(path) as disk:
        number = 0
        while True:
            await keep(disk, b"response %d" % number, number * 7919 % 150_000)
            if number % 3 == 0:
                await disk.flush()
                print(number, flush=True)  # noqa: T201
            number += 1


if __name__ == "__main__":
    asyncio.run(store_for_ever(Path(sys.argv[1])))
