"""The demonstration: two programs that start together and end together."""

import asyncio
import fcntl
import os
import re
import signal
import ssl
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep demonstrations apart that other test processes run at the same time: all look for the same ports."""
    with open(tmp_path_factory.getbasetemp().parent / "demo.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def demo() -> AsyncIterator[tuple[Process, str]]:
    """Run the demonstration until it has said what to try."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "origin", "demo", stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readuntil(b"Ctrl-C stops both programs.\n")).decode()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


def children(process: Process) -> list[int]:
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_shows_a_site_behind_an_edge_and_leaves_nothing_running(number: signal.Signals) -> None:
    async with demo() as (process, welcome):
        both = children(process)
        assert len(both) == 2
        edge, dashboard = re.findall(r"(http://\S+)/ is the sample site, (\S+) is the dashboard", welcome)[0]
        async with aiohttp.ClientSession() as session:
            for sign in ("fwd=uri-miss", "hit"):
                async with session.get(f"{edge}/images/dawn.png") as response:
                    assert sign in response.headers["Cache-Status"]
                    assert (response.status, len(await response.read())) == (200, response.content_length)
            async with session.get(dashboard) as response:
                assert response.status == 200
            ca, secure = re.findall(r"curl --cacert (\S+) .* (https://\S+)/images/dawn.png", welcome)[0]
            trusting = ssl.create_default_context(cafile=ca)
            async with session.get(f"{secure}/images/dawn.png", ssl=trusting) as response:
                assert (response.status, len(await response.read())) == (200, response.content_length)
        process.send_signal(number)
        _, complaints = await process.communicate()
        assert (process.returncode, b"Traceback" in complaints) == (0, False)
        assert [pid for pid in both if is_alive(pid)] == []


async def test_when_one_program_ends_by_itself_so_does_the_other() -> None:
    async with demo() as (process, _):
        both = children(process)
        os.kill(both[0], signal.SIGKILL)
        _, complaints = await process.communicate()
    assert process.returncode == 1
    assert b"Error: the origin has ended by itself\n" in complaints
    assert [pid for pid in both if is_alive(pid)] == []


README = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")


async def shell(line: str) -> str:
    """Return what a line writes; it has to succeed."""
    process = await asyncio.create_subprocess_shell(line, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    assert process.returncode == 0, (line, errors)
    return output.decode()


async def test_what_the_readme_shows_takes_less_than_two_minutes() -> None:
    began = time.monotonic()
    (shown,) = re.findall(r"## What to see\n.*?```console\n(.*?)```", README, re.DOTALL)
    async with demo() as (_, welcome):
        edge = re.findall(r"(http://\S+)/ is the sample site", welcome)[0]
        # Where the programs of this environment are, and where the ports were free.
        program = f"{sys.executable} -m edge"
        lines = [line[2:].replace(".venv/bin/edge", program) for line in shown.splitlines()]
        miss, hit, head = [await shell(line.replace("http://127.0.0.1:8080", edge)) for line in lines]
        assert "MISS: nothing was stored for this URL; stored, fresh for " in miss
        assert "HIT: stored " in hit
        assert "cache-status: " in head.lower()
        purge, explain = re.findall(r"^  (\S.* (?:purge|explain) .*)$", welcome, re.MULTILINE)
        assert "now stale" in await shell(purge)
        told = await shell(explain)
        assert "MISS: it would go to the origin; it was purged softly" in told
        assert "docs/reference/reasons.md#soft-purged" in told
    assert time.monotonic() - began < 20
