"""The processes of a node: reload, upgrade, death and the service manager, under a load of new connections."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.real.node import STUCK, Running, client, demo_origin, get, running

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: The whole is 50 rounds at 1,000 connections a second; the machine that runs all tests has other things to do.
ROUNDS = int(os.environ.get("FORELAND_RELOADS", "5"))
RATE = int(os.environ.get("FORELAND_CONNECTION_RATE", "200"))
CONFIG = """
workers = {workers}
[[listen]]
address = "127.0.0.1:0"
[cache]
path = "{cache}"
max_size = "256MiB"
memory = "32MiB"
[admin]
address = "{admin}"
[origins.app]
urls = ["{origin}"]
[[site]]
hosts = ["*"]
origin = "app"
{site}
[log]
format = "off"
"""


def written(folder: Path, origin: str, *, workers: int = 1, site: str = "", admin: str = "off") -> Path:
    file = folder / "edge.toml"
    file.write_text(CONFIG.format(workers=workers, cache=folder / "cache", admin=admin, origin=origin, site=site))
    return file


async def edge_command(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", *arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    _, errors = await process.communicate()
    return process.returncode or 0, errors.decode()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Load:
    """Clients that each make a connection for one request, RATE of them a second, and remember what came of it."""

    def __init__(self, port: int, paths: list[str]) -> None:
        self.port, self.paths = port, paths
        self.seen: Counter[str] = Counter()
        self._stop = asyncio.Event()

    async def __call__(self) -> None:
        """Start clients at the rate, whatever becomes of those before."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(began + number / RATE):
                        await self._stop.wait()
                if self._stop.is_set():
                    return
                group.create_task(self._client(self.paths[number % len(self.paths)]))

    async def _client(self, path: str) -> None:
        try:
            self.seen[await self._once(path)] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            self.seen[repr(error)] += 1

    async def _once(self, path: str) -> str:
        async with asyncio.timeout(STUCK):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            head, _, content = answer.partition(b"\r\n\r\n")
            return f"{head[:15].decode()} {len(content)}"

    def stop(self) -> None:
        self._stop.set()


@asynccontextmanager
async def loaded(port: int, *paths: str) -> AsyncIterator[Load]:
    load = Load(port, list(paths))
    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        try:
            yield load
        finally:
            load.stop()


@asynccontextmanager
async def node(file: Path) -> AsyncIterator[Running]:
    async with running("edge", "serve", "--config", str(file)) as process:
        yield process


async def test_no_request_fails_while_the_configuration_is_reloaded(tmp_path: Path) -> None:
    async with demo_origin() as origin:
        file = written(tmp_path, origin.url)
        async with node(file) as process, loaded(process.port, "/bytes/a?_size=10KiB", "/bytes/b?_size=2KiB") as load:
            for _ in range(ROUNDS):
                assert await edge_command("reload", "--config", str(file)) == (0, "")
        assert load.seen.keys() == {"HTTP/1.1 200 OK 10240", "HTTP/1.1 200 OK 2048"}


async def test_no_request_fails_while_the_program_is_replaced(tmp_path: Path) -> None:
    async with demo_origin() as origin:
        file = written(tmp_path, origin.url)
        async with node(file) as process, loaded(process.port, "/bytes/a?_size=10KiB") as load:
            before = children(process.process.pid)
            for _ in range(max(1, ROUNDS // 2)):
                assert await edge_command("upgrade", "--config", str(file)) == (0, "")
            assert not set(before) & set(children(process.process.pid)[-1:])
        assert load.seen.keys() == {"HTTP/1.1 200 OK 10240"}


async def test_a_reload_puts_a_changed_configuration_in_force_and_keeps_what_is_stored(tmp_path: Path) -> None:
    async with demo_origin() as origin, client() as session:
        file = written(tmp_path, origin.url)
        async with node(file) as process:
            await get(session, f"{process.url}/bytes/a?_size=10KiB")
            async with session.get(f"{process.url}/bytes/a?_size=10KiB") as response:
                assert "X-Cache" in response.headers
            written(tmp_path, origin.url, site="x_cache = false")
            assert await edge_command("reload", "--config", str(file)) == (0, "")
            async with session.get(f"{process.url}/bytes/a?_size=10KiB") as response:
                assert "X-Cache" not in response.headers
                assert "; hit" in response.headers["Cache-Status"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"site": 'profile = "reckless"'}, "profile", id="a value that is not allowed"),
        pytest.param({"admin": "127.0.0.1:1"}, "admin.address cannot be changed", id="a setting that needs a restart"),
    ],
)
async def test_a_wrong_configuration_is_refused_and_the_old_one_goes_on(tmp_path: Path, changes, problem) -> None:
    async with demo_origin() as origin, client() as session:
        file = written(tmp_path, origin.url)
        async with node(file) as process:
            workers = children(process.process.pid)
            written(tmp_path, origin.url, **changes)
            code, errors = await edge_command("reload", "--config", str(file), "--cache", str(tmp_path / "cache"))
            assert (code, problem in errors) == (3, True)
            process.process.send_signal(signal.SIGHUP)
            await get(session, f"{process.url}/bytes/a?_size=10KiB")
            assert children(process.process.pid) == workers


async def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    async with demo_origin() as origin, client() as session, node(written(tmp_path, origin.url)) as process:
        (worker,) = children(process.process.pid)
        os.kill(worker, signal.SIGKILL)
        # What arrives meanwhile waits in the queue of the socket, which the supervisor holds.
        while worker in children(process.process.pid):
            await asyncio.sleep(0)
        await get(session, f"{process.url}/bytes/a?_size=10KiB")
        assert (await process.stop())[0] == 0


async def test_workers_that_end_again_and_again_are_given_up(tmp_path: Path) -> None:
    async with demo_origin() as origin, node(written(tmp_path, origin.url)) as process:
        killed: set[int] = set()
        async with asyncio.timeout(STUCK):
            while process.process.returncode is None and len(killed) < 8:
                for worker in set(children(process.process.pid)) - killed:
                    killed.add(worker)
                    os.kill(worker, signal.SIGKILL)
                await asyncio.sleep(0)
        code, _ = await process.ended()
        assert (code, process.is_anything_left()) == (1, False)


async def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    async with demo_origin() as origin, node(written(tmp_path, origin.url)) as process:
        await process.stop(signal.SIGKILL)
        async with asyncio.timeout(STUCK):
            while process.is_anything_left():
                await asyncio.sleep(0)


async def test_the_service_manager_is_told_and_may_bring_the_sockets(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.setblocking(False)
    loop = asyncio.get_running_loop()

    async def heard() -> str:
        async with asyncio.timeout(STUCK):
            return (await loop.sock_recv(manager, 1000)).decode()

    async with demo_origin() as origin, client() as session:
        with socket.create_server(("127.0.0.1", 0)) as given:
            port = given.getsockname()[1]
            file = written(tmp_path, origin.url)
            file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
            starter = (
                "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); "
                f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', NOTIFY_SOCKET={str(tmp_path / 'notify')!r}); "
                "os.execv(sys.executable, [sys.executable, '-m', 'edge', 'serve', '--config', sys.argv[2]])"
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", starter, str(given.fileno()), str(file),
                pass_fds=[given.fileno()], stdout=subprocess.PIPE,
            )  # fmt: skip
        assert await heard() == "READY=1\nSTATUS=1 workers serve"
        await get(session, f"http://127.0.0.1:{port}/bytes/a?_size=10KiB")
        process.send_signal(signal.SIGHUP)
        assert (await heard()).startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert (await heard()).startswith("READY=1")
        process.terminate()
        assert (await heard()).startswith("STOPPING=1")
        await process.communicate()
        assert process.returncode == 0
    manager.close()
