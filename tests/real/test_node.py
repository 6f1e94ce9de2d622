"""The node as a process: how it starts, drains, stops, refuses, and comes back after the worst of ends."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.real.node import MIB, STUCK, client, demo_origin, edge, generated, get, is_hit, running

pytestmark = [pytest.mark.real, pytest.mark.slow]


class HalfOrigin:
    """An origin that sends half of a response, and the rest when it is told to."""

    head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 200000\r\n\r\n"

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.head + b"a" * 100_000)
            await self.go_on.wait()
            writer.write(b"b" * 100_000)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The edge has gone: a test of its end.
        finally:
            writer.close()


@asynccontextmanager
async def half_origin() -> AsyncIterator[HalfOrigin]:
    origin = HalfOrigin()
    server = await asyncio.start_server(origin.answer, "127.0.0.1", 0)
    origin.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield origin
    finally:
        origin.go_on.set()
        server.close()
        await server.wait_closed()


async def refused(port: int) -> None:
    """Wait until nobody listens on `port`."""
    async with asyncio.timeout(STUCK):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()


def edge_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=STUCK, check=False)


async def test_it_says_where_it_is_ready_and_leaves_nothing_when_told_to_stop(tmp_path: Path) -> None:
    async with demo_origin() as origin, edge(origin.url, tmp_path) as node, client() as session:
        assert node.port != 0
        content, _ = await get(session, f"{node.url}/bytes/x?_size=10KiB")
        assert content == generated("/bytes/x", 0, 10240)
        code, _ = await node.stop()
        assert (code, node.is_anything_left()) == (0, False)
        await refused(node.port)


async def test_a_response_in_progress_is_finished_before_it_stops(tmp_path: Path) -> None:
    async with half_origin() as origin, edge(origin.url, tmp_path) as node, client() as session:
        async with session.get(f"{node.url}/x") as response:
            assert await response.content.readexactly(100_000) == b"a" * 100_000
            node.process.terminate()
            await refused(node.port)
            origin.go_on.set()
            assert await response.content.read() == b"b" * 100_000
        assert await node.ended() == (0, "")


async def test_a_second_signal_stops_it_at_once(tmp_path: Path) -> None:
    async with half_origin() as origin, edge(origin.url, tmp_path) as node, client() as session:
        async with session.get(f"{node.url}/x") as response:
            await response.content.readexactly(100_000)
            node.process.terminate()
            await refused(node.port)
            code, _ = await node.stop()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
        assert (code, node.is_anything_left()) == (0, False)


def test_an_address_that_is_taken_is_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = edge_command("serve", "--origin", "http://127.0.0.1:9", "--listen", address, "--cache", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"error: cannot listen on {address}: Address already in use\n"


@pytest.mark.parametrize("command", ["serve", "check"])
def test_an_invalid_configuration_is_exit_code_3_with_every_problem(tmp_path: Path, command: str) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(
        'workers = "many"\n[[listen]]\naddress = "127.0.0.1:99999"\n[cache]\nmax_sise = "1GiB"\n'
        '[origins.app]\nurls = ["ftp://example.com"]\n[[site]]\nhosts = ["*"]\norigin = "ap"\n'
    )
    done = edge_command(command, "--config", str(file))
    assert done.returncode == 3
    for problem in ("workers", "99999", "max_sise", "ftp://example.com", "origins.ap"):
        assert problem in done.stderr
    assert done.stderr.count("error: ") == 5
    assert "Traceback" not in done.stderr


def test_an_option_that_it_does_not_know_is_exit_code_2() -> None:
    done = edge_command("serve", "--origim", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "--origin" in done.stderr


async def test_killed_and_started_again_it_still_has_what_was_written(tmp_path: Path) -> None:
    paths = [f"/bytes/{number}" for number in range(50)]
    async with demo_origin() as origin, client() as session:
        async with edge(origin.url, tmp_path, "--admin", "127.0.0.1:0") as node:
            for path in paths:
                await get(session, f"{node.url}{path}?_size=300KiB")
            async with session.get(f"{node.url}/bytes/large?_size=40MiB") as response:
                await response.content.readexactly(20 * MIB)
                await node.stop(signal.SIGKILL)
            assert not node.is_anything_left()
        hits = []
        async with edge(origin.url, tmp_path) as node:
            for path in paths:
                content, status = await get(session, f"{node.url}{path}?_size=300KiB")
                assert content == generated(path, 0, 300 << 10), path
                hits.append(is_hit(status))
            content, status = await get(session, f"{node.url}/bytes/large?_size=40MiB")
            assert content == generated("/bytes/large", 0, 40 * MIB)
            assert not is_hit(status)
        # All 50 were asked for before the 20 MiB that came after them, so they were written long before the end.
        assert all(hits)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Yield a directory on a file system of 64 MiB where that can be mounted, else an ordinary one."""
    if os.geteuid() != 0:
        yield folder
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        # Whoever was killed there may not have gone yet.
        subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_does_not_keep_it_from_answering(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder) as disk:
        # Without a disk that is really full, a quota of the same size lets the same content not fit.
        quota = "256MiB" if disk.is_mount() else "24MiB"
        async with (
            demo_origin() as origin,
            client() as session,
            edge(origin.url, disk / "cache", "--cache-size", quota) as node,
        ):
            for number in range(60):
                content, _ = await get(session, f"{node.url}/bytes/{number}?_size=1MiB")
                assert content == generated(f"/bytes/{number}", 0, MIB), number
            assert await node.stop() == (0, "")


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(folder: Path, origin: str, admin: int) -> Path:
    """Write a configuration with two sites, one of which has a quota."""
    path = folder / "edge.toml"
    path.write_text(f"""
        [[listen]]
        address = "127.0.0.1:0"
        [admin]
        address = "127.0.0.1:{admin}"
        [cache]
        path = "{folder / "cache"}"
        max_size = "48MiB"
        memory = "1MiB"
        [origins.demo]
        urls = ["{origin}"]
        [[site]]
        hosts = ["a.test"]
        origin = "demo"
        [[site]]
        hosts = ["b.test"]
        origin = "demo"
        quota = "16MiB"
        [log]
        format = "off"
    """)
    return path


async def test_a_flooded_site_refuses_what_comes_once_and_leaves_the_others_theirs(tmp_path: Path) -> None:
    async with demo_origin() as origin, client() as session:
        config = str(configured(tmp_path, origin.url, free_port()))
        async with running("edge", "serve", "--config", config) as node:
            await get(session, f"{node.url}/bytes/kept?_size=300KiB", Host="a.test")
            refused = 0
            for number in range(120):
                _, status = await get(session, f"{node.url}/bytes/{number}?_size=300KiB", Host="b.test")
                refused += "detail=not-admitted" in status
            assert refused > 20
            await node.stop(signal.SIGKILL)
        async with running("edge", "serve", "--config", config) as node:
            content, status = await get(session, f"{node.url}/bytes/kept?_size=300KiB", Host="a.test")
            assert (content, is_hit(status)) == (generated("/bytes/kept", 0, 300 << 10), True)
            assert await node.stop() == (0, "")


async def test_a_store_that_vanishes_is_told_by_readyz_and_comes_back(tmp_path: Path) -> None:
    async with demo_origin() as origin, client() as session:
        admin = free_port()
        async with running("edge", "serve", "--config", str(configured(tmp_path, origin.url, admin))) as node:
            async with asyncio.timeout(STUCK):
                while not any((tmp_path / "cache" / "segments").iterdir()):
                    await get(session, f"{node.url}/bytes/before?_size=1KiB", Host="a.test")
                await asyncio.to_thread(shutil.rmtree, tmp_path / "cache")
                for wanted in (503, 200):
                    status, number = 0, 0
                    while status != wanted:
                        content, _ = await get(session, f"{node.url}/bytes/{wanted}-{number}?_size=1KiB", Host="a.test")
                        assert content == generated(f"/bytes/{wanted}-{number}", 0, 1 << 10)
                        number += 1
                        async with session.get(
                            f"http://127.0.0.1:{admin}/readyz", headers={"Host": "localhost"}
                        ) as said:
                            status = said.status
                # Storing may go on, and with the next thing that is stored the folder is made anew.
                while not (tmp_path / "cache" / "segments").is_dir():
                    await get(session, f"{node.url}/bytes/after-{number}?_size=1KiB", Host="a.test")
                    number += 1
