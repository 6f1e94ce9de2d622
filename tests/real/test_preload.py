"""Preloading on running nodes: what is asked for before anybody asks, within its limits, and over restarts."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from edge.tasks import spawn
from tests.real.node import STUCK, Running, client, demo_origin, edge, get, is_hit
from tests.scenarios.test_store_faults import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]
#: Nobody listens there.
NO_ORIGIN = "http://127.0.0.1:1"
SITE = "http://site.test"


@dataclass
class Node:
    """A node, its admin plane, and the file with a token for that."""

    node: Running
    admin: str
    token_file: Path

    async def ask(self, method: str, path: str, **content) -> tuple[int, dict]:
        headers = {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"http://{self.admin}{path}", json=content or None) as response,
        ):
            return response.status, await response.json(content_type=None)

    async def job(self, job: str, is_enough: Callable[[dict], bool]) -> dict:
        """Return a job as soon as it has come far enough."""
        async with asyncio.timeout(STUCK):
            while True:
                _, told = await self.ask("GET", f"/v1/preloads/{job}")
                if is_enough(told):
                    return told

    async def command(self, name: str, *arguments: str) -> tuple[int, dict, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "origin", name, *arguments, "--json", "--node", f"http://{self.admin}",
            "--token-file", str(self.token_file), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
        return process.returncode or 0, json.loads(output) if output else {}, errors.decode()


@asynccontextmanager
async def node(folder: Path, origin: str, *options: str) -> AsyncIterator[Node]:
    admin, tokens = f"127.0.0.1:{free_port()}", folder / "tokens"
    given = ("--admin", admin, "--admin-token-file", str(tokens), "--workers", "2", *options)
    async with edge(origin, folder / "cache", *given) as running:
        yield Node(running, admin, folder / "tokens.secret")


@dataclass
class Origin:
    """An origin that lets requests wait.

    Attributes:
        url: where it is.
        open: requests wait while it is not set.
        asked: the paths that it was asked for, in order.
        most: how many requests it had at a time.
    """

    url: str = ""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    most: int = 0
    _now: int = 0
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        self._now += 1
        self.most = max(self.most, self._now)
        async with self._came:
            self.asked.append(request.path)
            self._came.notify_all()
        try:
            await self.open.wait()
        finally:
            self._now -= 1
        if request.path == "/sitemap.xml":
            urls = "".join(f"<url><loc>{SITE}/{number}</loc></url>" for number in range(20))
            return web.Response(text=f"<urlset>{urls}</urlset>", content_type="application/xml")
        return web.Response(text=request.path * 100, headers={"Cache-Control": "max-age=600"})

    async def until(self, count: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(STUCK), self._came:
            await self._came.wait_for(lambda: len(self.asked) >= count)


@asynccontextmanager
async def patient_origin() -> AsyncIterator[Origin]:
    origin = Origin()
    application = web.Application()
    application.router.add_get("/{path:.*}", origin.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield origin
    finally:
        origin.open.set()
        await runner.cleanup()


async def test_what_is_preloaded_is_a_hit_and_the_rest_is_told_of(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"{SITE}/docs/\n\n{SITE}/gone\n")
    async with demo_origin() as origin, node(tmp_path, origin.url) as edge:
        code, told, errors = await edge.command(
            "preload", f"{SITE}/images/dawn.png", f"{SITE}/api/time?cc=no-store", "--file", str(listed), "--wait",
            "--concurrency", "2", "--rate", "10MiB",
        )  # fmt: skip
        assert (code, errors) == (1, "")
        assert (told["state"], told["total"], told["by"]) == ("done", 4, "admin")
        assert told["stored"] + told["not_stored"] + told["failed"] == 4
        assert {each["url"]: each["reason"] for each in told["problems"]}[f"{SITE}/gone"] == "status 404"
        stored = f"{SITE}/images/dawn.png"
        assert stored not in {each["url"] for each in told["problems"]}
        await origin.stop()
        async with client() as session:
            for _ in range(8):
                content, cache_status = await get(session, f"{edge.node.url}/images/dawn.png")
                assert is_hit(cache_status)
                assert content.startswith(b"\x89PNG")
        code, told, _ = await edge.command("preload", stored, "--wait")
        assert (code, told["fresh"], told["stored"]) == (0, 1, 0)


async def test_no_more_are_asked_for_at_a_time_than_may_be_and_a_sitemap_is_read(tmp_path: Path) -> None:
    async with patient_origin() as origin, node(tmp_path, origin.url) as edge:
        begun = spawn(
            edge.command("preload", "--sitemap", f"{SITE}/sitemap.xml", "--concurrency", "3", "--wait"),
            name="preload",
        )
        await origin.until(1)
        assert origin.asked == ["/sitemap.xml"]
        origin.open.set()
        code, told, _ = await begun
        assert (code, told["total"], told["stored"]) == (0, 20, 20)
        assert sorted(origin.asked[1:]) == sorted(f"/{number}" for number in range(20))
        origin.open.clear()
        urls = [f"{SITE}/more/{number}" for number in range(20)]
        _, job = await edge.ask("POST", "/v1/preloads", urls=urls, limits={"concurrency": 3})
        await origin.until(21 + 3)
        origin.open.set()
        assert (await edge.job(job["id"], lambda job: job["state"] == "done"))["stored"] == 20
        assert origin.most == 3


async def test_a_job_goes_on_after_a_kill(tmp_path: Path) -> None:
    urls = [f"{SITE}/{number}" for number in range(250)]
    async with patient_origin() as origin:
        origin.open.set()
        async with node(tmp_path, origin.url) as edge:
            _, job = await edge.ask("POST", "/v1/preloads", urls=urls)
            assert job["total"] == 250
            # In the middle of the second hundred.
            await origin.until(130)
            origin.open.clear()
            await edge.job(job["id"], lambda job: job["chunk"] == 1)
            await edge.node.stop(signal.SIGKILL)
        origin.open.set()
        async with node(tmp_path, origin.url) as edge, client() as session:
            told = await edge.job(job["id"], lambda job: job["state"] == "done")
            assert told["stored"] + told["fresh"] == 250
            assert set(origin.asked) == {f"/{number}" for number in range(250)}
            for number in range(250):
                content, cache_status = await get(session, f"{edge.node.url}/{number}")
                assert is_hit(cache_status)
                assert content == f"/{number}".encode() * 100


async def test_what_cannot_be_had_is_tried_again_and_told_of(tmp_path: Path) -> None:
    async with node(tmp_path, NO_ORIGIN) as edge:
        code, told, _ = await edge.command(
            "preload", f"{SITE}/a", "--sitemap", f"{SITE}/s.xml", "--retries", "1", "--wait"
        )
        assert (code, told["state"], told["failed"]) == (1, "done", 2)
        assert {each["url"]: each["reason"] for each in told["problems"]} == {
            f"{SITE}/a": "status 502",
            f"{SITE}/s.xml": "as a sitemap: status 502",
        }


async def test_a_job_can_be_cancelled_and_stays_so(tmp_path: Path) -> None:
    async with patient_origin() as origin:
        async with node(tmp_path, origin.url) as edge:
            _, job = await edge.ask("POST", "/v1/preloads", urls=[f"{SITE}/{number}" for number in range(10)])
            await origin.until(1)
            assert (await edge.ask("DELETE", f"/v1/preloads/{job['id']}"))[1]["state"] == "cancelled"
            assert (await edge.ask("DELETE", "/v1/preloads/none"))[0] == 404
            closed = {"urls": [f"{SITE}/closed"], "limits": {"window": a_closed_window()}}
            _, waiting = await edge.ask("POST", "/v1/preloads", **closed)
            await edge.job(waiting["id"], lambda job: job["state"] == "waiting")
        async with node(tmp_path, origin.url) as edge:
            _, told = await edge.ask("GET", "/v1/preloads")
            assert [each["id"] for each in told["jobs"]] == [waiting["id"], job["id"]]
            assert told["jobs"][1]["state"] == "cancelled"
            assert "/closed" not in origin.asked


def a_closed_window() -> str:
    """Return a minute of the day that is some ten hours away."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    opens = datetime.now(UTC) + timedelta(hours=10)
    return f"{opens:%H:%M}-{opens + timedelta(minutes=1):%H:%M}"


async def test_what_was_asked_for_most_is_there_again_after_a_purge(tmp_path: Path) -> None:
    async with patient_origin() as origin, node(tmp_path, origin.url) as edge, client() as session:
        origin.open.set()
        for path in ("a", "b", "c"):
            for _ in range(4):
                await get(session, f"{edge.node.url}/x/{path}")
        await get(session, f"{edge.node.url}/y")
        asked = len(origin.asked)
        code, receipt, _ = await edge.command("purge", "--prefix", "site.test/x", "--hard", "--rewarm", "2")
        assert code == 0
        told = await edge.job(receipt["preload"], lambda job: job["state"] == "done")
        assert (told["total"], told["stored"]) == (2, 2)
        assert {path for path in origin.asked[asked:] if path.startswith("/x/")} == set(origin.asked[asked:])
        answers = [is_hit((await get(session, f"{edge.node.url}/x/{path}"))[1]) for path in ("a", "b", "c")]
        assert sorted(answers) == [False, True, True]
        # Nothing of what leads was purged.
        assert (await edge.command("purge", "--url", f"{SITE}/z", "--rewarm", "2"))[1]["preload"] == ""


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"urls": [f"{SITE}/", "/relative"]}, "/urls/1"),
        ({"sitemaps": ["ftp://site.test/"]}, "/sitemaps/0"),
        ({"urls": ["http://a b/"]}, "/urls/0"),
        ({"limits": {}}, ""),
    ],
)
async def test_what_cannot_be_preloaded_is_refused_whole(admin: Node, content: dict, pointer: str) -> None:
    status, told = await admin.ask("POST", "/v1/preloads", **content)
    assert (status, [each["pointer"] for each in told["errors"]]) == (422, [pointer])
    assert (await admin.ask("GET", "/v1/preloads"))[1]["jobs"] == []


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Node]:
    async with node(tmp_path, NO_ORIGIN) as edge:
        yield edge
