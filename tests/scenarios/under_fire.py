"""An edge under load that is killed and started again, and what its clients may see of that.

The content of every response follows from its path, so one wrong byte is seen.  In each life of the edge clients first
ask only for what is stored, and then for that and for as much that is new.
"""

import asyncio
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from edge.tasks import spawn
from tests.real.node import client, edge, generated, is_hit

#: A lifetime that no test outlasts.
LASTING = ("--rule", "/bytes/**=public, max-age=86400")
#: What is on disk for certain, seconds after the client had all of it.
WRITTEN_SECONDS = 1.0


@dataclass
class Tally:
    """What clients saw.

    Attributes:
        right: responses that ended cleanly with the right content.
        broken: responses that did not end, because the edge was killed.
        wrong: what should never be: each entry says what it was.
        starts: seconds from the start of a process to its first response, one for each life.
        kept: stored responses found after a kill.
        lost: those of them that were not found although they were old enough.
    """

    right: int = 0
    broken: int = 0
    wrong: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    kept: int = 0
    lost: int = 0


class Fire:
    """An edge that stores in `folder` what `origin` has, life after life."""

    def __init__(self, origin: str, folder: Path, *, seed: int, paths: int = 120, clients: int = 8) -> None:
        self._origin, self._folder, self._rng, self._clients = origin, folder, random.Random(seed), clients
        self._seed, self._paths, self._number = seed, paths, 0
        self._sizes: dict[str, int] = {}
        self._renew()
        self._is_killed = False
        # When a client had a path's content, and which were found after a kill, so are on disk.
        self._had: dict[str, float] = {}
        self.tally = Tally()

    async def life(self, seconds: float) -> None:
        """Start the edge, see what is left, put it under load for `seconds`, and kill it."""
        began = time.monotonic()
        async with edge(self._origin, self._folder) as process, client() as session:
            self._is_killed = False
            await self._see_what_is_left(session, process.url, began)
            loads = [
                spawn(self._ask_for_ever(session, process.url), name=f"client-{number}")
                for number in range(self._clients)
            ]
            await asyncio.sleep(seconds)
            self._is_killed = True
            await process.stop(signal.SIGKILL)
            killed = time.monotonic()
            await asyncio.wait(loads)
        self._renew()
        self._had = {
            path: at for path, at in self._had.items() if at < killed - WRITTEN_SECONDS and path in self._sizes
        }

    def _renew(self) -> None:
        """Ask for new paths in place of the older half: every life has something to store."""
        kept = list(self._sizes.items())[-self._paths // 2 :]
        self._sizes = dict(kept)
        while len(self._sizes) < self._paths:
            # From one octet to a few chunks, most of them short.
            self._sizes[f"/bytes/{self._seed}-{self._number}"] = int(2 ** self._rng.uniform(0, 20.5))
            self._number += 1

    async def _see_what_is_left(self, session: aiohttp.ClientSession, url: str, began: float) -> None:
        for number, (path, size) in enumerate(self._sizes.items()):
            async with session.get(
                f"{url}{path}?_size={size}", headers={"Cache-Control": "only-if-cached"}
            ) as response:
                content, status = await response.read(), response.headers.get("Cache-Status", "")
            if number == 0:
                self.tally.starts.append(time.monotonic() - began)
            if response.status == 504:
                self.tally.lost += path in self._had
                continue
            self._check(path, size, content)
            self.tally.kept += 1
            self._had[path] = 0.0
            if not is_hit(status):
                self.tally.wrong.append(f"{path} was asked for only if stored and came with {status}")

    async def _ask_for_ever(self, session: aiohttp.ClientSession, url: str) -> None:
        paths = list(self._sizes.items())
        while not self._is_killed:
            path, size = self._rng.choice(paths)
            try:
                async with session.get(f"{url}{path}?_size={size}") as response:
                    content = await response.read()
            except (aiohttp.ClientError, OSError) as error:
                self.tally.broken += 1
                if not self._is_killed:
                    self.tally.wrong.append(f"{path} broke before the kill: {error!r}")
                return
            if response.status != 200:
                self.tally.wrong.append(f"{path} was answered with {response.status}")
            self._check(path, size, content)
            self._had.setdefault(path, time.monotonic())

    def _check(self, path: str, size: int, content: bytes) -> None:
        if content == generated(path, 0, size):
            self.tally.right += 1
        else:
            self.tally.wrong.append(f"{path} came with {len(content)} octets, which are not its {size}")


async def killed_again_and_again(origin: str, folder: Path, *, rounds: int, seed: int) -> Tally:
    """Return what clients saw in `rounds` lives of an edge, each ended by SIGKILL at a random moment."""
    rng, fire = random.Random(seed), Fire(origin, folder, seed=seed)
    for number in range(rounds):
        # Every fifth life is long enough for something to have to be there after it.
        await fire.life(WRITTEN_SECONDS + 0.3 if number % 5 == 0 else rng.uniform(0, 0.4))
    await fire.life(0)
    return fire.tally
