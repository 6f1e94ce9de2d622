"""The store under fire, for longer than a test may: prints what clients saw.

    python -m benchmarks.store_faults [--rounds 200] [--seconds 60]

Part one kills an edge under load with SIGKILL, round after round.  Part two asks for a hot set at a steady rate, alone
and then during a flood of unique paths that keeps the store at its quota.  Exits with 1 when something was wrong.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from edge.tasks import spawn
from tests.real.node import client, demo_origin, edge, generated, is_hit
from tests.scenarios.under_fire import LASTING, killed_again_and_again
from tests.store.keeping import directory_size

MIB = 1 << 20
QUOTA = 64 * MIB
HOT = 50
LENGTH = 20_000
# Requests a second for the hot set: about half of what one core does beside a Python client.
RATE = 200


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.exit(0 if uvloop.run(run(arguments.rounds, arguments.seconds, arguments.seed)) else 1)


async def run(rounds: int, seconds: float, seed: int) -> bool:
    """Return whether all was right."""
    with tempfile.TemporaryDirectory() as folder:
        async with demo_origin(*LASTING) as origin:
            return all([
                await _kills(origin.url, Path(folder) / "killed", rounds, seed),
                await _flood(origin.url, Path(folder) / "flooded", seconds),
            ])  # fmt: skip


async def _kills(origin: str, folder: Path, rounds: int, seed: int) -> bool:
    tally = await killed_again_and_again(origin, folder, rounds=rounds, seed=seed)
    print(f"killed {rounds} times: {tally.right:,} right, {len(tally.wrong)} wrong, {tally.broken} broken by the kill")
    print(f"  found after a kill: {tally.kept:,}; older than a second and lost: {tally.lost}")
    print(
        f"  first response after a start: median {statistics.median(tally.starts):.2f} s, {max(tally.starts):.2f} s at most"
    )
    for wrong in tally.wrong:
        print(f"  WRONG: {wrong}")
    return not tally.wrong and not tally.lost


@dataclass
class Seen:
    """The hot set as its clients see it: hits, other answers, wrong ones, and latencies in seconds."""

    hits: int = 0
    misses: int = 0
    wrong: int = 0
    latencies: list[float] = field(default_factory=list)


async def _flood(origin: str, folder: Path, seconds: float) -> bool:
    async with edge(origin, folder, "--cache-size", f"{QUOTA}B", "--memory", "8MiB") as process, client() as session:
        await _ask(session, process.url, Seen(), 2 * HOT)
        alone = await _hot_for(session, process.url, seconds / 4)
        flood = Flood(process.url, folder, process.process.pid)
        task = spawn(flood.run(session), name="flood")
        await flood.reached_quota.wait()
        before = flood.memory()
        during = await _hot_for(session, process.url, seconds)
        task.cancel()
        await asyncio.wait([task])
        after = Seen()
        await _ask(session, process.url, after, HOT)
    print(
        f"flood of {flood.asked:,} unique paths of {LENGTH:,} octets at a quota of {QUOTA // MIB} MiB, {seconds:.0f} s:"
    )
    for name, seen, span in (("alone", alone, seconds / 4), ("during", during, seconds)):
        print(
            f"  hot set {name}: {seen.hits / span:.0f} hits/s of {RATE} asked for, {seen.misses} misses, "
            f"{seen.wrong} wrong, p50 {_percentile(seen, 50):.1f} ms, p99 {_percentile(seen, 99):.1f} ms"
        )
    print(f"  hot set afterwards: {after.hits} of {HOT} are hits, {after.wrong} wrong")
    print(f"  most on disk: {flood.most:,} octets, {max(0, flood.most - QUOTA)} over the quota")
    print(f"  memory: {before // MIB} MiB when the quota was reached, {flood.memory_at_end // MIB} MiB at the end")
    is_kept = during.hits / seconds >= 0.8 * alone.hits / (seconds / 4) and after.hits == HOT
    return is_kept and flood.most <= QUOTA and not alone.wrong + during.wrong + after.wrong


def _percentile(seen: Seen, percent: int) -> float:
    return statistics.quantiles(seen.latencies, n=100)[percent - 1] * 1e3


class Flood:
    """Asks for paths that nobody asks for again, and watches the directory and the memory of the edge."""

    def __init__(self, url: str, folder: Path, pid: int) -> None:
        self._url, self._folder, self._pid = url, folder, pid
        self.asked = self.most = self.memory_at_end = 0
        self.reached_quota = asyncio.Event()

    def memory(self) -> int:
        """Return the resident memory of the edge, bytes."""
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in [self._pid, *children]]
        return sum(int(status.split("VmRSS:")[1].split()[0]) for status in statuses) * 1024

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Ask until cancelled."""
        for number in itertools.count():
            url = f"{self._url}/bytes/flood-{number}?_size={LENGTH}"
            async with session.get(url) as response:
                await response.read()
            self.asked += 1
            if number % 50 == 0:
                self.most = max(self.most, await asyncio.to_thread(directory_size, self._folder))
                self.memory_at_end = self.memory()
            if self.asked * LENGTH > 1.5 * QUOTA:
                self.reached_quota.set()


async def _hot_for(session: aiohttp.ClientSession, url: str, seconds: float) -> Seen:
    """Ask for the hot set at RATE, whatever the answers take, and return what was seen in time."""
    seen, began = Seen(), time.monotonic()
    async with asyncio.timeout(seconds * 2), asyncio.TaskGroup() as group:
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
            if time.monotonic() - began > seconds:
                break
            group.create_task(_ask_one(session, url, number % HOT, seen))
    return seen


async def _ask(session: aiohttp.ClientSession, url: str, seen: Seen, times: int) -> None:
    for number in range(times):
        await _ask_one(session, url, number % HOT, seen)


async def _ask_one(session: aiohttp.ClientSession, url: str, number: int, seen: Seen) -> None:
    path, began = f"/bytes/hot-{number}", time.monotonic()
    async with session.get(f"{url}{path}?_size={LENGTH}") as response:
        content, status = await response.read(), response.headers.get("Cache-Status", "")
    seen.latencies.append(time.monotonic() - began)
    seen.wrong += content != generated(path, 0, LENGTH)
    seen.hits += is_hit(status)
    seen.misses += not is_hit(status)


if __name__ == "__main__":
    main()
