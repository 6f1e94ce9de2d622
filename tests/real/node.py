"""Real processes for the tests: an edge and the demo origin, started by their commands and surely ended."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from origin.pattern import pattern

MIB = 1 << 20
#: Seconds after which a process that should have said or done something is taken for stuck.
STUCK = 60.0


class Running:
    """A process that has said that it is ready.

    Attributes:
        process: the process; its standard output is read up to the ready line.
        url: where it serves, without a slash at the end.
    """

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    @property
    def port(self) -> int:
        """The port it serves on."""
        return int(self.url.rpartition(":")[2])

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send it a signal, wait for its end, and return its exit code and what it had written to standard output."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        """Wait for its end, and return its exit code and what it had written to standard output."""
        async with asyncio.timeout(STUCK):
            written, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, written.decode()

    def is_anything_left(self) -> bool:
        """Return whether a process of its group is alive; one that is about to end, or waits to be reaped, is not."""
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, _, group = status.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.process.pid and state != "Z" and not _ends_soon(int(status.parent.name)):
                    return True
        return False


def _ends_soon(pid: int) -> bool:
    """Return whether a process ends within a second: its files are closed a moment before it has ended."""
    fd = os.pidfd_open(pid)
    try:
        return bool(select.select([fd], [], [], 1.0)[0])
    finally:
        os.close(fd)


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Running]:
    """Run `python -m ARGUMENTS` until it is ready, and end it with the block, however that ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STUCK):
            line = (await process.stdout.readline()).decode().split()
        assert line[:1] == ["ready"], f"{arguments} ended before it was ready"
        yield Running(process, line[1])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


@asynccontextmanager
async def edge(origin: str, cache: Path, *options: str, is_secure: bool = False) -> AsyncIterator[Running]:
    """Run an edge in front of `origin`; `options` come after the ones that a test seldom changes."""
    listen = ("--listen-tls", "127.0.0.1:0", "--tls", "internal") if is_secure else ("--listen", "127.0.0.1:0")
    usual = (*listen, "--admin", "off", "--cache-size", "256MiB", "--memory", "32MiB", "--log", "off")
    async with running("edge", "serve", "--origin", origin, "--cache", str(cache), *usual, *options) as process:
        yield process


@asynccontextmanager
async def demo_origin(*options: str) -> AsyncIterator[Running]:
    """Run the demo origin."""
    async with running("origin", "serve", "--listen", "127.0.0.1:0", "--quiet", *options) as process:
        yield process


def client(accepted: str = "identity") -> aiohttp.ClientSession:
    """Return a client that asks every node for the same host, whatever its port: what a node keeps is of a host.

    It takes the codings `accepted`, and decodes them.
    """
    # Nobody trusts a node's own authority.
    connector = aiohttp.TCPConnector(ssl=False)
    headers = {"Host": "site.test", "Accept-Encoding": accepted}
    return aiohttp.ClientSession(headers=headers, auto_decompress=accepted != "identity", connector=connector)


async def get(session: aiohttp.ClientSession, url: str, **fields: str) -> tuple[bytes, str]:
    """Return the content of a response and its Cache-Status."""
    async with session.get(url, headers=fields) as response:
        assert response.status in {200, 206}, (url, response.status, response.headers.get("Cache-Status"))
        return await response.read(), response.headers["Cache-Status"]


def is_hit(cache_status: str) -> bool:
    """Return whether the edge answered without the origin (RFC 9211 §2.1)."""
    return "; hit" in cache_status


def generated(path: str, start: int, end: int) -> bytes:
    """Return the octets [start, end) of what the demo origin has under `path`."""
    return pattern(start, end, path.encode())
