"""The demonstration: this origin, and an edge in front of it, as two programs that end together."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

from origin.traffic import KEY, by_key

#: Where the programs are, unless something else is there already.
ORIGIN_PORT, EDGE_PORT, TLS_PORT, ADMIN_PORT = 9000, 8080, 8443, 8901
#: Seconds that a program has to say that it is ready, and to end once it is told to.
START_SECONDS, STOP_SECONDS = 30.0, 10.0

#: What every answer of the origin waits for, to be seen from what does not wait.
DELAY = "300ms"

_WELCOME = """\
  origin     {origin}   the sample site, slow on purpose: {delay}
  edge       {edge}   the same, cached; by TLS {secure}
  dashboard  {admin}/ui

Try this in another terminal, each of the first lines twice:

  {command} get {edge}/hello
  curl --cacert {ca} -s -o /dev/null -D - {secure}/images/dawn.png
  {command} purge {edge}/hello
  {command} explain {edge}/hello

In front of your own origin: {command} serve --origin http://127.0.0.1:3000
From another machine:        {origin_command} purge --url {edge}/hello --node {admin} --token-file {token}.secret

Requests are shown below.  Press {key} for light traffic, and again to end it.  Ctrl-C stops both programs.
"""

Say = Callable[[str], object]


class DemoError(Exception):
    """A program of the demonstration does not start, or has ended by itself."""


async def demonstrate(say: Say) -> None:
    """Run both programs until SIGINT or SIGTERM; `say` is given the lines to show.

    Raises:
        DemoError: one of them does not start, or ends by itself.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    admin = f"127.0.0.1:{_port(ADMIN_PORT)}"
    with tempfile.TemporaryDirectory(prefix="foreland-demo-") as cache:
        token = Path(cache, "token")
        async with (
            _running("origin", "serve", "--listen", f"127.0.0.1:{_port(ORIGIN_PORT)}", "--delay", DELAY, "--quiet") as (origin, (at,)),
            _running(
                "edge", "serve", "--origin", at, "--listen", f"127.0.0.1:{_port(EDGE_PORT)}", "--admin", admin, "--admin-token-file", str(token),
                "--listen-tls", f"127.0.0.1:{_port(TLS_PORT)}", "--tls", "internal",
                "--cache", cache, "--cache-size", "1GiB", "--memory", "128MiB", "--log", "text",
                urls=2,
            ) as (edge, (url, secure)),
        ):  # fmt: skip
            ca = Path(cache, "tls", "ca.pem")
            named = {
                "edge": url, "secure": secure, "ca": ca, "delay": DELAY, "key": KEY, "token": token, "origin": at,
                "admin": f"http://{admin}", "command": _command("edge"), "origin_command": _command("origin"),
            }  # fmt: skip
            say(_WELCOME.format(**named))
            async with by_key(url, say):
                await _until(stop, {"the origin": origin, "the edge": edge}, say)


async def _until(stop: asyncio.Event, programs: dict[str, Process], say: Say) -> None:
    """Show what the programs write until `stop` is set; DemoError if one of them ends before."""
    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(stop.wait())
        ends = {group.create_task(_show(process, say)): name for name, process in programs.items()}
        done, waiting = await asyncio.wait([stopped, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
    for task, name in ends.items():
        if task in done and stopped not in done:
            raise DemoError(f"{name} has ended by itself")


async def _show(process: Process, say: Say) -> None:
    """Show the lines of a program until it ends."""
    async for line in _output(process):
        say(line.decode(errors="replace").rstrip("\n"))


@asynccontextmanager
async def _running(*arguments: str, urls: int = 1) -> AsyncIterator[tuple[Process, list[str]]]:
    """Run `python -m ARGUMENTS` and yield it with its URLs; it is told to end with the block.

    Raises:
        DemoError: it does not say in time that it is ready.
    """
    # In a group of its own: Ctrl-C is for this process, which then tells the others once.
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, stdout=PIPE, process_group=0)
    try:
        lines: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                lines = [(await _output(process).readline()).decode() for _ in range(urls)]
        if not lines or not all(line.startswith("ready ") for line in lines):
            raise DemoError(f"`{' '.join(arguments[:2])}` does not start")
        yield process, [line.split()[1] for line in lines]
    finally:
        await asyncio.shield(_end(process))


def _output(process: Process) -> asyncio.StreamReader:
    # There is one, since a pipe was asked for.
    return cast("asyncio.StreamReader", process.stdout)


async def _end(process: Process) -> None:
    """Tell a program to end, and end it if it does not."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.communicate()
        except TimeoutError:
            process.kill()
    await process.communicate()


def _port(wanted: int) -> int:
    """Return `wanted` if nobody listens there, else a port that is free."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as listening:
                free: int = listening.getsockname()[1]
                return free
        except OSError:
            continue
    raise DemoError("there is no port to listen on")


def _command(name: str) -> str:
    """Return how the command `name` of this environment is called from a shell."""
    path = Path(sys.executable).with_name(name)
    return os.path.relpath(path) if path.is_file() else f"{sys.executable} -m {name}"
