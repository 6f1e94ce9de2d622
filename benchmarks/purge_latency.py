"""How long a purge takes until it is acknowledged, durable and in force in every process: by kind, and by what is stored.

    python -m benchmarks.purge_latency [--objects 10,1000000] [--purges N] [--rate R] [--workers N] [--folder DIR]

A node is given the objects and started.  While clients ask it for others at a fixed rate, `POST /v1/purge` is sent N times
for each kind, one after the other, as one operator would.  A purge ends with a sync of the disk, so the table has what a
sync of one line takes beside it, on the same disk.  The last column says how many times as long the node with the most
objects takes as the one with the fewest, at the 99th percentile.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from benchmarks.contestants import SERVER_CORE, Started, free_port, origin, running
from benchmarks.load import pressing
from benchmarks.million import HOST, QUOTA_OF_OBJECT, fill, path_of

#: What is asked for, by kind; the number is another one for each purge.  `everything` comes last: it leaves nothing.
KINDS: dict[str, Callable[[int], dict[str, object]]] = {
    "url": lambda number: {"urls": [f"http://{HOST}{path_of(number)}"]},
    "prefix": lambda number: {"prefixes": [f"{HOST}{path_of(number)[:-1]}"]},
    "tag": lambda number: {"tags": [f"article-{number}"]},
    "everything": lambda _number: {"everything": True},
}
SYNC = "sync of a line"
#: Purges before those that count: they make connections, and what is imported late.
WARMING = 20
_OBJECTS_ASKED_FOR = 1000
_LINE = 100

#: Milliseconds by kind, in the order of their length.
Latencies = dict[str, list[float]]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.purge_latency", description=__doc__)
    parser.add_argument("--objects", default="10,1000000")
    parser.add_argument("--purges", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=2000, help="requests a second meanwhile; 0 for none")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to put the objects; a temporary directory by default")
    given = parser.parse_args()
    counts = sorted({int(count) for count in given.objects.split(",")})
    measured = []
    for count in counts:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            measured.append(_measured(Path(name), count, given.purges, given.rate, given.workers))
            print(f"measured with {count:,} objects", file=sys.stderr, flush=True)
    print(table(counts, measured))


def table(counts: list[int], measured: list[Latencies]) -> str:
    """Return the table of what was measured with so many objects each."""
    heads = [f"{count:,} objects: p50, p99, most" for count in counts]
    lines = [f"| purge | {' | '.join(heads)} | ratio of p99 |", "|---" * (len(heads) + 2) + "|"]
    for kind in measured[0]:
        cells = [
            f"{share(each[kind], 0.5):.2f} ms, {share(each[kind], 0.99):.2f} ms, {each[kind][-1]:.2f} ms"
            for each in measured
        ]
        ratio = share(measured[-1][kind], 0.99) / share(measured[0][kind], 0.99)
        lines.append(f"| {kind} | {' | '.join(cells)} | {ratio:.2f}x |")
    return "\n".join(lines)


def share(times: list[float], part: float) -> float:
    """Return the time that `part` of them, which are in order, do not exceed."""
    return times[min(int(part * len(times)), len(times) - 1)]


def _measured(folder: Path, objects: int, purges: int, rate: float, workers: int) -> Latencies:
    """Return what purges take on a node that has so many objects."""
    cache, quota = folder / "cache", max(objects * QUOTA_OF_OBJECT, 256 << 20)
    stats = uvloop.run(fill(cache, objects, quota))
    if stats.objects != objects:
        raise SystemExit(f"{stats.objects:,} objects are stored, not {objects:,}")
    at_origin, port, admin = free_port(), free_port(), free_port()
    (folder / "origin").mkdir()
    started = Started([
        sys.executable, "-m", "edge", "serve", "--origin", f"http://127.0.0.1:{at_origin}", "--log", "off",
        "--listen", f"127.0.0.1:{port}", "--cache", str(cache), "--cache-size", f"{quota}B", "--workers", str(workers),
        "--admin", f"127.0.0.1:{admin}", "--admin-token-file", str(folder / "tokens"),
    ], {})  # fmt: skip
    with contextlib.ExitStack() as stack:
        # The origin may run as somebody else.
        folder.chmod(0o755)
        stack.enter_context(running("origin", origin(at_origin, folder / "origin"), at_origin, folder / "origin", "1"))
        stack.enter_context(
            running("foreland", started, admin, folder, SERVER_CORE if workers == 1 else f"0-{workers}")
        )
        if rate:
            load = pressing(
                "zipf", f"http://127.0.0.1:{port}/hit", rate=rate, objects=_OBJECTS_ASKED_FOR, connections=32
            )
            stack.enter_context(load)
        purge = stack.enter_context(_purging(admin, (folder / "tokens.secret").read_text().strip()))
        numbers = itertools.count()
        for _ in range(WARMING):
            purge(KINDS["tag"](next(numbers)))
        found = {
            kind: sorted(purge(named(next(numbers))) for _ in range(purges)) for kind, named in KINDS.items()
        }  # fmt: skip
        return {**found, SYNC: _syncs(folder / "line", purges)}


@contextlib.contextmanager
def _purging(port: int, token: str) -> Iterator[Callable[[dict[str, object]], float]]:
    """Yield what purges and returns the milliseconds until that is acknowledged."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def purge(what: dict[str, object]) -> float:
        content = json.dumps({**what, "mode": "hard"})
        began = time.perf_counter()
        connection.request("POST", "/v1/purge", content, headers)
        response = connection.getresponse()
        told = response.read()
        took = time.perf_counter() - began
        if response.status != 200:
            raise SystemExit(f"the purge failed: {response.status} {told.decode()}")
        return took * 1000

    try:
        yield purge
    finally:
        connection.close()


def _syncs(path: Path, times: int) -> list[float]:
    """Return the milliseconds that appending a line durably takes, by length."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"x" * _LINE)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return sorted(took)


if __name__ == "__main__":
    main()
