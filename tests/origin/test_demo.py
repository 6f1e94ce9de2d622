"""The demonstration: two programs that start together and end together."""

import asyncio
import fcntl
import os
import re
import signal
import ssl
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

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
async def demo(stdin: int = DEVNULL) -> AsyncIterator[tuple[Process, str]]:
    """Run the demonstration until it has said what to try."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "origin", "demo", stdin=stdin, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readuntil(b"Ctrl-C stops both programs.\n\n")).decode()
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
        (edge,) = re.findall(r"edge +(http://\S+)", welcome)
        (dashboard,) = re.findall(r"dashboard +(http://\S+)", welcome)
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


async def test_a_key_switches_traffic_on_and_off() -> None:
    ours, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    try:
        async with demo(stdin=terminal) as (process, _):
            assert process.stdout is not None
            os.write(ours, b"xt")
            assert await process.stdout.readline() == b"traffic is on\n"
            for _ in range(3):
                assert b" GET " in await process.stdout.readline()
            os.write(ours, b"t")
            while await process.stdout.readline() != b"traffic is off\n":
                pass
            process.send_signal(signal.SIGINT)
            await process.communicate()
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(ours)
        os.close(terminal)
