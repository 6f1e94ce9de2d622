"""Whether the event loop of a node stalls while everything goes on at once.

    python -m benchmarks.stalls [--seconds 30] [--limit 50ms] [--purges 10]

A hot set is asked for at a steady rate, unique paths flood a small store so that segments are reclaimed all the time, what
is stored is pushed out of the page cache so that hits wait for the disk, and purges come in by the admin API.  The node
logs every turn of a loop that takes longer than the limit, with what it was doing.  Exits with 1 when there was one.
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.contestants import free_port
from edge.tasks import spawn
from tests.real.node import demo_origin

LENGTH, HOT = 20_000, 50
_has_stalled = re.compile(r"has not turned for ([\d.]+) s").search


def main() -> None:
    """Run it, and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stalls", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--limit", default="50ms")
    parser.add_argument("--purges", type=float, default=10, help="a second")
    arguments = parser.parse_args()
    sys.exit(uvloop.run(run(arguments.seconds, arguments.limit, arguments.purges)))


async def run(seconds: float, limit: str, purges: float) -> int:
    """Return how many stalls there were, 1 at most."""
    with tempfile.TemporaryDirectory() as name:
        folder, admin, port = Path(name), free_port(), free_port()
        async with demo_origin() as origin:
            command = [
                "serve", "--origin", origin.url, "--listen", f"127.0.0.1:{port}", "--cache", str(folder / "cache"),
                "--cache-size", "64MiB", "--memory", "1MiB", "--log", "off",
                "--admin", f"127.0.0.1:{admin}", "--admin-token-file", str(folder / "tokens"),
            ]  # fmt: skip
            with (folder / "log").open("wb") as log:
                node = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "edge", *command, stdout=asyncio.subprocess.PIPE, stderr=log,
                    env={**os.environ, "EDGE_WATCHDOG__STALL": limit},
                )  # fmt: skip
            assert node.stdout is not None
            await node.stdout.readline()
            try:
                counts = await _load(folder, port, admin, seconds, purges)
            finally:
                node.terminate()
                await node.communicate()
        log_text = (folder / "log").read_text()
    stalls = [float(found[1]) for line in log_text.splitlines() if (found := _has_stalled(line))]
    print(f"{seconds:g} s: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    print(f"stalls over {limit}: {len(stalls)}" + (f", the longest {max(stalls):.1f} s" if stalls else ""))
    if stalls:
        print(log_text[-3000:])
    return bool(stalls)


async def _load(folder: Path, port: int, admin: int, seconds: float, purges: float) -> dict[str, int]:
    counts = {"hot requests": 0, "floods": 0, "purges": 0, "evictions from the page cache": 0}
    url = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {_token(folder)}"}

    async def hot() -> None:
        while True:
            async with session.get(f"{url}/bytes/hot-{counts['hot requests'] % HOT}?_size={LENGTH}") as response:
                await response.read()
            counts["hot requests"] += 1
            await asyncio.sleep(0.002)

    async def flood() -> None:
        while True:
            async with session.get(f"{url}/bytes/flood-{counts['floods']}?_size={LENGTH}") as response:
                await response.read()
            counts["floods"] += 1

    async def purge() -> None:
        while True:
            asked = {"urls": [f"{url}/bytes/hot-{counts['purges'] % HOT}?_size={LENGTH}"], "mode": "hard"}
            async with session.post(f"http://127.0.0.1:{admin}/v1/purge", json=asked, headers=headers) as response:
                response.raise_for_status()
            counts["purges"] += 1
            await asyncio.sleep(1 / purges)

    async def forget() -> None:
        while True:
            await asyncio.to_thread(_push_out, folder / "cache" / "segments")
            counts["evictions from the page cache"] += 1
            await asyncio.sleep(0.1)

    async with aiohttp.ClientSession() as session:
        working = [spawn(work(), name="load") for work in (hot, flood, purge, forget)]
        done, _ = await asyncio.wait(working, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for each in working:
            each.cancel()
        await asyncio.wait(working)
        for each in done:
            each.result()
    return counts


def _token(folder: Path) -> str:
    (secret,) = [path for path in folder.iterdir() if path.name.endswith(".secret")]
    return secret.read_text().strip()


def _push_out(folder: Path) -> None:
    """Have the system forget what it holds of the segments in memory."""
    for path in folder.glob("*.seg"):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


if __name__ == "__main__":
    main()
