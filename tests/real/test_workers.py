"""Several workers: one owner for each key, and hits wherever a client is accepted."""

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.real.node import STUCK, Running, client, demo_origin, edge, generated, get
from tests.real.test_processes import children, edge_command, loaded, node, written
from tests.scenarios.staging import Asked, RecordingOrigin, response

pytestmark = [pytest.mark.real, pytest.mark.slow]

WORKERS = 4
CLIENTS = 1000


class Versions:
    """An origin whose content is how often a path was written to; answers wait while it is closed."""

    def __init__(self) -> None:
        self.recording = RecordingOrigin(self.answer)
        self.open = asyncio.Event()
        self.open.set()
        self.written: Counter[bytes] = Counter()
        self.url = ""

    @property
    def gets(self) -> Counter[bytes]:
        return Counter(asked.target for asked in self.recording.asked if asked.method == b"GET")

    def answer(self, asked: Asked) -> bytes:
        if asked.method != b"GET":
            self.written[asked.target] += 1
        kept = b"no-store" if asked.target.startswith(b"/private") else b"max-age=600"
        content = b"%s %d" % (asked.target, self.written[asked.target])
        fields = [b"X-Client: " + b",".join(asked.values(name)) for name in (b"x-forwarded-for", b"x-forwarded-host")]
        return response(b"200 OK", content, b"Cache-Control: " + kept, *fields)


@asynccontextmanager
async def versions() -> AsyncIterator[Versions]:
    origin = Versions()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await origin.open.wait()
        await origin.recording.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield origin
    finally:
        origin.open.set()
        server.close()


@asynccontextmanager
async def new_connections() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client that makes a connection for each request, so that every worker gets some."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(headers={"Host": "site.test"}, connector=connector) as session:
        yield session


def workers(origin: str, cache: Path, count: int = WORKERS) -> AbstractAsyncContextManager[Running]:
    return edge(origin, cache, "--workers", str(count))


async def many(session: aiohttp.ClientSession, url: str, times: int) -> list[tuple[bytes, str]]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(get(session, url)) for _ in range(times)]
    return [each.result() for each in asked]


async def test_a_cold_key_is_one_request_whatever_the_number_of_workers(tmp_path: Path) -> None:
    async with versions() as origin, new_connections() as session, workers(origin.url, tmp_path) as process:
        origin.open.clear()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(many(session, f"{process.url}/cold", CLIENTS))
            # All are accepted and wait for the one that the origin keeps waiting.
            while origin.recording.connections == 0 and not asked.done() and len(session.connector._acquired) < CLIENTS:
                await asyncio.sleep(0)
            origin.open.set()
        assert {content for content, _ in asked.result()} == {b"/cold 0"}
        assert origin.gets == {b"/cold": 1}


async def test_every_worker_answers_by_itself_what_any_of_them_has_stored(tmp_path: Path) -> None:
    async with demo_origin() as origin, new_connections() as session, workers(origin.url, tmp_path) as process:
        for path in (f"/bytes/{number}" for number in range(8)):
            for content, _ in await many(session, f"{process.url}{path}?_size=3MiB", 12):
                assert content == generated(path, 0, 3 << 20)
        for number in range(8):
            answers = await many(session, f"{process.url}/bytes/{number}?_size=3MiB", 12)
            assert all("; hit" in status for _, status in answers)
            assert {content for content, _ in answers} == {generated(f"/bytes/{number}", 0, 3 << 20)}


async def test_a_purge_reaches_every_worker_before_the_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    options = ("--workers", str(WORKERS), "--admin", admin, "--admin-token-file", str(tmp_path / "tokens"))
    async with versions() as origin, new_connections() as session, edge(origin.url, tmp_path / "c", *options) as node:
        token = (tmp_path / "tokens.secret").read_text().strip()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as operator:
            for number in range(24):
                path = f"/page/{number % 8}"
                what = ({"urls": [f"http://site.test{path}"]}, {"hosts": ["site.test"]}, {"everything": True})[
                    number % 3
                ]
                mode = ("hard", "soft")[number % 2]
                await many(session, node.url + path, 8)
                # Nobody but the purge tells the edge.
                origin.written[path.encode()] += 1
                async with operator.post(f"http://{admin}/v1/purge", json={**what, "mode": mode}) as receipt:
                    assert receipt.status == 200, await receipt.text()
                now = b"%s %d" % (path.encode(), origin.written[path.encode()])
                assert {content for content, _ in await many(session, node.url + path, 12)} == {now}, (what, mode)


async def test_an_invalidation_reaches_every_worker_before_the_answer(tmp_path: Path) -> None:
    async with versions() as origin, new_connections() as session, workers(origin.url, tmp_path) as process:
        for number in range(40):
            url = f"{process.url}/page/{number % 8}"
            await many(session, url, 8)
            async with session.post(url, data=b"change") as answer:
                assert answer.status == 200
            wanted = b"/page/%d %d" % (number % 8, origin.written[b"/page/%d" % (number % 8)])
            assert {content for content, _ in await many(session, url, 8)} == {wanted}


async def test_the_origin_hears_of_the_client_and_of_no_ring(tmp_path: Path) -> None:
    forged = {"Foreland-Ring": "answer https 1.1 203.0.113.9", "X-Forwarded-For": "203.0.113.9"}
    async with versions() as origin, new_connections() as session, workers(origin.url, tmp_path) as process:
        for number in range(16):
            async with session.get(f"{process.url}/{number}", headers=forged) as answer:
                assert answer.status == 200
                assert "Foreland-Ring" not in answer.headers
                assert answer.headers.getall("Via") == ["1.1 foreland"]
        for asked in origin.recording.asked:
            assert asked.values(b"x-forwarded-for") == [b"127.0.0.1"]
            assert asked.values(b"x-forwarded-host") == [b"site.test"]
            assert asked.values(b"x-forwarded-proto") == [b"http"]
            assert asked.values(b"cdn-loop") == [b"foreland"]


async def test_what_is_not_stored_is_answered_on_every_worker(tmp_path: Path) -> None:
    async with versions() as origin, new_connections() as session, workers(origin.url, tmp_path) as process:
        for number in range(4):
            answers = await many(session, f"{process.url}/private/{number}", 8)
            assert {content for content, _ in answers} == {b"/private/%d 0" % number}
        assert sum(origin.gets.values()) == 32
        async with session.head(f"{process.url}/page") as answer:
            assert answer.headers["Content-Length"] == str(len(b"/page 0"))


async def test_a_worker_that_is_killed_takes_nobody_with_it(tmp_path: Path) -> None:
    """The clients of a killed worker see a broken transfer, never a wrong octet; all others go on."""
    async with demo_origin() as origin:
        file = written(tmp_path, origin.url, workers=WORKERS)
        paths = [f"/bytes/{number}?_size=100KiB" for number in range(16)]
        async with node(file) as process, loaded(process.port, *paths) as load:
            for _ in range(3):
                workers = children(process.process.pid)
                os.kill(workers[0], signal.SIGKILL)
                async with asyncio.timeout(STUCK):
                    while len(set(children(process.process.pid)) - {workers[0]}) < WORKERS:
                        await asyncio.sleep(0.01)
                before = load.seen["HTTP/1.1 200 OK 102400"]
                while load.seen["HTTP/1.1 200 OK 102400"] < before + 50:
                    await asyncio.sleep(0.01)
        broken = sum(times for answer, times in load.seen.items() if answer != "HTTP/1.1 200 OK 102400")
        assert broken <= 3 * 16, load.seen
        assert not any("500" in answer or "502" in answer for answer in load.seen)


async def test_a_key_whose_owner_is_gone_is_asked_for_alone(tmp_path: Path) -> None:
    async with versions() as origin, new_connections() as session, workers(origin.url, tmp_path, 2) as process:
        stopped, other = children(process.process.pid)
        for folder in (tmp_path / "run").glob("worker-*"):
            folder.unlink()
        for number in range(8):
            assert (await get(session, f"{process.url}/{number}"))[0] == b"/%d 0" % number
        assert sorted(children(process.process.pid)) == sorted([stopped, other])


async def test_no_request_fails_and_nothing_stale_is_found_while_the_number_of_workers_changes(tmp_path: Path) -> None:
    async with versions() as origin, new_connections() as session:
        file = written(tmp_path, origin.url, workers=1)
        async with node(file) as process, loaded(process.port, "/a", "/b", "/c") as load:
            for workers in (4, 2, 4, 1, 3):
                for number in range(6):
                    await get(session, f"{process.url}/page/{number}")
                    async with session.post(f"{process.url}/page/{number}", data=b"x"):
                        pass
                written(tmp_path, origin.url, workers=workers)
                assert await edge_command("reload", "--config", str(file)) == (0, "")
                for number in range(6):
                    target = b"/page/%d" % number
                    for content, _ in await many(session, f"{process.url}{target.decode()}", workers * 2):
                        assert content == b"%s %d" % (target, origin.written[target])
        assert load.seen.keys() == {"HTTP/1.1 200 OK 4"}


async def test_the_admin_plane_tells_of_all_workers(tmp_path: Path) -> None:
    async with demo_origin() as origin, new_connections() as session:
        file = written(tmp_path, origin.url, workers=WORKERS, admin="127.0.0.1:18901")
        async with node(file) as process, client() as asking:
            await many(session, f"{process.url}/bytes/a?_size=10KiB", 40)
            assert await edge_command("reload", "--config", str(file)) == (0, "")
            await many(session, f"{process.url}/bytes/a?_size=10KiB", 10)
            async with asking.get("http://127.0.0.1:18901/v1/stats", headers={"Host": "localhost"}) as answer:
                stats = await answer.json()
            # What the workers of the generation before have counted is not forgotten, once they have ended.
            async with asyncio.timeout(STUCK):
                while stats["totals"]["requests"] < 50:
                    async with asking.get("http://127.0.0.1:18901/v1/stats", headers={"Host": "localhost"}) as answer:
                        stats = await answer.json()
            assert (stats["totals"]["requests"], stats["totals"]["origin_requests"]) == (50, 1)
            assert stats["totals"]["bytes"] == 50 * 10240
            async with asking.get("http://127.0.0.1:18901/readyz", headers={"Host": "localhost"}) as answer:
                assert answer.status == 200
