"""What one request costs the edge, by measures that other programs on the machine do not change.

    python -m benchmarks.cost [hit miss pass disk disk-again valid] [--requests 4096] [--rounds 3]
        [--syscalls] [--functions] [--telemetry]

An edge in a process of its own is asked by 16 connections in waves, none of them pipelining, and asks an origin that
does next to nothing.  Each path is new to the cache for `miss` and `pass`; for `disk` each was stored before, and the
memory tier is too small for it; for `disk-again` each was asked for three times since.  Calls are those of Python
functions, and of C functions from Python, in the event loop's thread: they are nearly the same wherever they are
counted, so a test holds them to `COMMITTED`.  Microseconds are of all threads, in user and kernel mode together.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import IO, cast
from zlib import crc32

import uvloop

from edge import worker
from edge.config.load import load
from edge.config.show import show
from edge.downstream.listener import bind
from edge.ports import ReadyAnswer
from edge.semantics.dates import format_date
from edge.semantics.messages import Request
from edge.store.shared import SIZE
from edge.supervisor.channel import Begin, Channel, Prepared, Serving, Take, Word
from edge.supervisor.page import Page
from edge.tasks import spawn
from edge.telemetry.recorder import Recorder

#: Calls a request takes, by case; whoever makes one dearer changes the figure in the same change, and says why.  Of
#: `disk-again`, where heads are made anew each second: some 50 where many are asked for within one, 72 where none are.
COMMITTED = {"hit": 14.1, "disk": 251.0, "disk-again": 72.0, "miss": 282.0, "pass": 168.0, "valid": 566.0}
#: How far above its figure a case may be: what the timers and the groups of the writer add differs from run to run.
MARGIN = 1.1

CONNECTIONS = 16
_CONTENT = bytes(range(256)) * 4
_REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: site.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.5\r\n\r\n"
)
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: %s\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 1024\r\nLast-Modified: Mon, 05 Oct 2026 09:00:%02d GMT\r\nETag: \"%08x\"\r\n"
    b"Cache-Control: %s\r\nAccept-Ranges: bytes\r\n\r\n"
)  # fmt: skip
_NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nDate: %s\r\nETag: "%08x"\r\nCache-Control: %s\r\n\r\n'
_CONTROLS = {b"/pass/": b"private, no-store", b"/valid/": b"max-age=0", b"/": b"max-age=3600"}


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked: paths below `prefix`, all different if `is_unique`, and asked so many times `before`.

    With `is_untold`, ready answers are not counted.
    """

    prefix: bytes
    is_unique: bool
    before: int = 0
    is_untold: bool = False
    memory: str = "64MiB"


CASES = {
    "hit": Case(b"/store/hit/", is_unique=False, before=1),
    "miss": Case(b"/store/miss/", is_unique=True),
    "pass": Case(b"/pass/", is_unique=True),
    "disk": Case(b"/store/disk/", is_unique=True, before=1, memory="1MiB"),
    "disk-again": Case(b"/store/disk/", is_unique=True, before=4, memory="1MiB"),
    "valid": Case(b"/valid/", is_unique=True, before=1),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request costs on average: calls, microseconds of CPU; each None when it was not measured."""

    calls: float | None = None
    microseconds: float | None = None


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--requests", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--syscalls", action="store_true", help="list the system calls, with strace")
    parser.add_argument("--functions", action="store_true", help="list what is called most")
    parser.add_argument("--telemetry", action="store_true", help="what of the microseconds of a hit telemetry takes")
    parser.add_argument("--part", choices=["origin", "edge"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--origin", help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--untold", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "origin":
        uvloop.run(_serve_origin())
    elif arguments.part == "edge":
        if arguments.untold:
            Recorder.answered = _untold  # type: ignore[method-assign]  # what is to be seen is what it costs
        uvloop.run(_serve_edge(arguments.folder, arguments.origin, arguments.memory))
    elif arguments.telemetry:
        print(telemetry_of(CASES["hit"], arguments.requests * 8, arguments.rounds))
    else:
        print("| case | calls | CPU µs, each round |\n|---|---|---|")
        for name in arguments.cases:
            calls = calls_of(CASES[name], arguments.requests)
            times = [microseconds_of(CASES[name], arguments.requests) for _ in range(arguments.rounds)]
            print(f"| {name} | {calls:.1f} | {', '.join(f'{time:.1f}' for time in times)} |", flush=True)
            if arguments.functions:
                print(functions_of(CASES[name], arguments.requests))
            if arguments.syscalls:
                print(syscalls_of(CASES[name], arguments.requests))


def calls_of(case: Case, requests: int) -> float:
    """Return how many calls one request takes."""
    return sum(_measured(case, requests, "calls").values())


def functions_of(case: Case, requests: int) -> str:
    """Return how often each function is called for one request, those called most first."""
    counted = sorted(_measured(case, requests, "calls").items(), key=lambda pair: -pair[1])
    return "\n".join(f"{times:8.2f}  {name}" for name, times in counted if times >= 0.05)


def microseconds_of(case: Case, requests: int) -> float:
    """Return how much of the CPU one request takes, in microseconds."""
    return _measured(case, requests, "time")["seconds"] * 1e6


def telemetry_of(case: Case, requests: int, rounds: int) -> str:
    """Return what one request takes with and without being counted, microseconds, medians of rounds that take turns."""
    untold = replace(case, is_untold=True)
    each = [(microseconds_of(case, requests), microseconds_of(untold, requests)) for _ in range(rounds)]
    told, alone = (statistics.median(times) for times in zip(*each, strict=True))
    return f"counted {told:.2f} us, not counted {alone:.2f} us: {told / alone - 1:.1%}"


def syscalls_of(case: Case, requests: int) -> str:
    """Return strace's summary of so many requests."""
    with _running(case) as edge, tempfile.NamedTemporaryFile("r") as output:
        _ask(edge.port, _paths(case, b"warm-up", 256))
        strace = subprocess.Popen(
            ["strace", "-c", "-f", "-o", output.name, "-p", str(edge.process.pid)], stderr=subprocess.PIPE
        )
        assert strace.stderr is not None
        strace.stderr.readline()
        _ask(edge.port, _paths(case, b"measured", requests))
        strace.send_signal(signal.SIGINT)
        strace.wait()
        return output.read()


def _measured(case: Case, requests: int, what: str) -> dict[str, float]:
    """Return what was counted for one request, by name."""
    with _running(case) as edge:
        paths = _paths(case, b"measured", requests)
        _ask(edge.port, _paths(case, b"warm-up", 256))
        for _ in range(case.before):
            _ask(edge.port, paths)
        if case.before:
            _ask(edge.port, paths[:CONNECTIONS])
        edge.tell(what)
        _ask(edge.port, paths)
        return {name: amount / requests for name, amount in edge.tell("end").items()}


def _paths(case: Case, name: bytes, count: int) -> list[bytes]:
    number = range(count) if case.is_unique else [0] * count
    return [b"%s%s/%d" % (case.prefix, name, each) for each in number]


def _ask(port: int, paths: list[bytes]) -> None:
    """Ask for each path in waves of one for each connection; SystemExit if an answer is not a whole 200."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(min(CONNECTIONS, len(paths)))
        ]
        selector = stack.enter_context(selectors.DefaultSelector())
        for each in sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(each, selectors.EVENT_READ)
        for first in range(0, len(paths), len(sockets)):
            wave = dict(zip(sockets, paths[first : first + len(sockets)], strict=False))
            for each, path in wave.items():
                each.sendall(_REQUEST % path)
            received = dict.fromkeys(wave, b"")
            while wave:
                for key, _ in selector.select(20):
                    each = cast("socket.socket", key.fileobj)
                    received[each] += each.recv(1 << 16)
                    if received[each].endswith(_CONTENT):
                        if not received[each].startswith(b"HTTP/1.1 200 "):
                            raise SystemExit(f"not the answer that was expected: {received[each][:80]!r}")
                        del wave[each]


@dataclass(frozen=True, slots=True)
class _Edge:
    """The edge under measurement."""

    process: subprocess.Popen[str]
    port: int

    def tell(self, word: str) -> dict[str, float]:
        """Give an order and return what is answered."""
        print(word, file=cast("IO[str]", self.process.stdin), flush=True)
        answer: dict[str, float] = json.loads(cast("IO[str]", self.process.stdout).readline())
        return answer


@contextlib.contextmanager
def _running(case: Case) -> Iterator[_Edge]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        _, origin = _started(stack, "origin")
        flags = ["--folder", folder, "--origin", f"http://127.0.0.1:{origin}", "--memory", case.memory]
        flags += ["--untold"] if case.is_untold else []
        process, port = _started(stack, "edge", *flags)
        yield _Edge(process, port)


def _started(stack: contextlib.ExitStack, part: str, *flags: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.cost", "--part", part, *flags],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip

    def stop() -> None:
        process.terminate()
        process.communicate()

    stack.callback(stop)
    return process, int(cast("IO[str]", process.stdout).readline())


def _untold(_recorder: Recorder, _answer: ReadyAnswer, _request: Request, _client: str, _now: float) -> None:
    """Count nothing."""


class _Origin(asyncio.Protocol):
    """Answers whatever begins with GET, as fast as it can."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1]
        number, date = crc32(path), format_date(time.time())
        control = next(control for prefix, control in _CONTROLS.items() if path.startswith(prefix))
        if b"If-None-Match" in data:
            self._transport.write(_NOT_MODIFIED % (date, number, control))
        else:
            self._transport.write(_RESPONSE % (date, number % 60, number, control) + _CONTENT)


async def _serve_origin() -> None:
    server = await asyncio.get_running_loop().create_server(_Origin, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _serve_edge(folder: Path, origin: str, memory: str) -> None:
    flags = {
        "origins": [origin], "listen": ["127.0.0.1:0"], "workers": 1, "admin.address": "off", "cache.path": str(folder / "cache"),
        "cache.max_size": "1GiB", "cache.memory": memory, "log.format": "off",
        "limits.requests_per_connection": 1_000_000,
    }  # fmt: skip
    counter = _Counter()
    asyncio.get_running_loop().add_reader(sys.stdin, counter.obey)
    config, bound, (ours, theirs) = load(None, flags, {}), bind("127.0.0.1", 0), socket.socketpair()
    port = bound.getsockname()[1]
    begin = Begin(show(config), 0, 1, 0, [bound.detach()], Page.create(SIZE).fd)
    # Without a supervisor, which does nothing for a request.
    working = spawn(worker.serve(config, begin, theirs), name="worker")
    channel = await Channel[Word].open(ours, Word)
    for order, wanted in ((None, Prepared), (Take(), Serving)):
        if order is not None:
            channel.say(order)
        if not isinstance(word := await channel.hear(), wanted):
            raise SystemExit(f"the worker cannot serve: {word}")
    print(port, flush=True)
    await working


class _Counter:
    """Counts from one order to the next."""

    def __init__(self) -> None:
        self._calls: Counter[object] = Counter()
        self._began = 0.0
        self._end: Callable[[], dict[str, float]] = dict

    def obey(self) -> None:
        word = sys.stdin.readline().strip()
        answer: dict[str, float] = {}
        if word == "calls":
            self._calls.clear()
            self._end = self._counted
            sys.setprofile(self._count)
        elif word == "time":
            self._began, self._end = _cpu(), lambda: {"seconds": _cpu() - self._began}
        else:
            answer = self._end()
        print(json.dumps(answer), flush=True)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self._calls[frame.f_code] += 1
        elif event == "c_call":
            self._calls[getattr(argument, "__qualname__", argument)] += 1

    def _counted(self) -> dict[str, float]:
        sys.setprofile(None)
        named: Counter[str] = Counter()
        for called, times in self._calls.items():
            named[_name(called)] += times
        return dict(named)


def _name(called: object) -> str:
    """Return what a function is called, and where it is defined if that is in Python."""
    if isinstance(called, CodeType):
        return f"{Path(called.co_filename).stem}.{called.co_qualname}"
    return str(called)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
