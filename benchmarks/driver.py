"""The load that wrk and h2load cannot make, in a process of its own; prints what it measured as JSON.

python -m benchmarks.driver zipf URL --rate 2000 --seconds 10 --objects 10000
python -m benchmarks.driver burst URL --connections 500
python -m benchmarks.driver idle URL --connections 10000     until its standard input ends
python -m benchmarks.driver sweep URL --paths 20000          each path once
"""

import argparse
import asyncio
import bisect
import collections
import contextlib
import itertools
import json
import random
import re
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import uvloop

_length = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE).search
# Shares of small, middle and large objects in the Zipf load.
_SIZES = ("1k",) * 6 + ("10k",) * 3 + ("100k",)
_EXPONENT = 0.9
# Seconds for what is still to be answered when the last was asked for.
_PATIENCE = 10.0


class Connection(asyncio.Protocol):
    """One keep-alive connection; `answered` is called with whether the response was a whole 200 or 304."""

    def __init__(self, host: bytes, answered: Callable[["Connection", bool], None]) -> None:
        self._host, self._answered = host, answered
        self._head, self._left = b"", -1
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, path: bytes) -> None:
        """Send a request."""
        self._head, self._left = b"", -1
        self._transport.write(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, self._host))

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            length = _length(self._head[:end])
            self._left = int(length[1]) if length else 0
            data = self._head[end:]
        self._left -= len(data)
        if self._left <= 0:
            self._answered(self, self._head[9:12] in {b"200", b"304"})

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        if self._left > 0:
            self._answered(self, False)


async def connect(url: str, number: int, answered: Callable[[Connection, bool], None]) -> list[Connection]:
    """Open connections, a few at a time."""
    parts = urlsplit(url)
    opened: list[Connection] = []
    for _ in range(number):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(parts.netloc.encode(), answered), parts.hostname, parts.port
        )
        opened.append(connection)
    return opened


async def zipf(url: str, connections: int, rate: float, seconds: float, objects: int) -> dict[str, float]:
    """Ask at random moments, `rate` a second, whether or not what was asked before is answered.

    A request that finds no free connection waits for one, and its latency counts from when it should have been sent.
    """
    loop, rng = asyncio.get_running_loop(), random.Random(1)
    weights = list(itertools.accumulate(1 / rank**_EXPONENT for rank in range(1, objects + 1)))
    latencies: list[float] = []
    since: dict[Connection, float] = {}
    waiting: collections.deque[tuple[float, bytes]] = collections.deque()
    failed = asked = 0
    is_all_asked, is_over = False, asyncio.Event()

    def answered(connection: Connection, is_good: bool) -> None:
        nonlocal failed
        failed += not is_good
        latencies.append(loop.time() - since[connection])
        if is_all_asked and len(latencies) == asked:
            is_over.set()
        if connection.is_lost:
            return
        if waiting:
            since[connection], path = waiting.popleft()
            connection.ask(path)
        else:
            free.append(connection)

    free = await connect(url, connections, answered)
    base = urlsplit(url).path.encode()
    start = due = loop.time()
    while due < start + seconds:
        due += rng.expovariate(rate)
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        number = bisect.bisect(weights, rng.random() * weights[-1])
        path = b"%b/%b/z%d" % (base, _SIZES[number % len(_SIZES)].encode(), number)
        asked += 1
        if free:
            connection = free.pop()
            since[connection] = due
            connection.ask(path)
        else:
            waiting.append((due, path))
    is_all_asked = True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            if len(latencies) < asked:
                await is_over.wait()
    # What was never answered took at least that long.
    failed += asked - len(latencies)
    latencies += [_PATIENCE] * (asked - len(latencies))
    latencies.sort()
    return {
        "rate": asked / seconds, "failed": failed,
        **{name: latencies[int(share * (asked - 1))] for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))},
    }  # fmt: skip


async def burst(url: str, connections: int) -> dict[str, float]:
    """Ask for the same by all connections at once; return when the middle and the last had all of it, in seconds."""
    done: list[float] = []
    failed = 0
    is_over = asyncio.Event()

    def answered(_: Connection, is_good: bool) -> None:
        nonlocal failed
        failed += not is_good
        done.append(time.perf_counter() - start)
        if len(done) == connections:
            is_over.set()

    opened = await connect(url, connections, answered)
    start = time.perf_counter()
    for connection in opened:
        connection.ask(urlsplit(url).path.encode())
    async with asyncio.timeout(60):
        await is_over.wait()
    return {"rate": connections / done[-1], "p50": done[len(done) // 2], "p99": done[-1], "failed": failed}


async def idle(url: str, connections: int) -> dict[str, float]:
    """Open connections, ask once on each, and keep them until standard input ends."""
    loop = asyncio.get_running_loop()
    answers = asyncio.Semaphore(0)
    opened = await connect(url, connections, lambda *_: answers.release())
    for connection in opened:
        connection.ask(urlsplit(url).path.encode())
        await answers.acquire()
    print("held", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    return {"lost": sum(connection.is_lost for connection in opened)}


async def sweep(url: str, paths: int) -> dict[str, float]:
    """Ask for each path once."""
    left = iter(range(paths))
    failed = in_flight = 0
    is_over = asyncio.Event()

    def go_on(connection: Connection) -> None:
        nonlocal in_flight
        if (number := next(left, None)) is not None:
            in_flight += 1
            connection.ask(b"%b/%d" % (urlsplit(url).path.encode(), number))
        elif not in_flight:
            is_over.set()

    def answered(connection: Connection, is_good: bool) -> None:
        nonlocal failed, in_flight
        failed += not is_good
        in_flight -= 1
        go_on(connection)

    for connection in await connect(url, min(32, paths), answered):
        go_on(connection)
    async with asyncio.timeout(120):
        await is_over.wait()
    return {"failed": failed}


def main() -> None:
    """Make the load that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver", description=__doc__)
    parser.add_argument("load", choices=["zipf", "burst", "idle", "sweep"])
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--paths", type=int, default=1000)
    given = parser.parse_args()
    made = {
        "zipf": lambda: zipf(given.url, given.connections, given.rate, given.seconds, given.objects),
        "burst": lambda: burst(given.url, given.connections),
        "idle": lambda: idle(given.url, given.connections),
        "sweep": lambda: sweep(given.url, given.paths),
    }[given.load]
    print(json.dumps(uvloop.run(made())))


if __name__ == "__main__":
    main()
