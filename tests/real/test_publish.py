"""Versions of a site on nodes that run: published at once, kept through crashes, served without the origin."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from edge.published.blobs import blob_path
from tests.real.node import MIB, client, demo_origin, generated, is_hit, running

pytestmark = [pytest.mark.real, pytest.mark.slow]

TOKEN = "a-token"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Published:
    """A node to publish on."""

    def __init__(self, process, url: str, admin: str, token: Path) -> None:
        self.process, self.url, self.admin, self.token = process, url, admin, token

    async def origin(self, *words: str) -> tuple[int, list[dict]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "origin", *words, "--node", self.admin, "--token-file", str(self.token), "--json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode, [json.loads(line) for line in out.splitlines()]

    async def publish(self, folder: Path, *words: str) -> dict:
        code, told = await self.origin("publish", str(folder), "--site", "site.test", *words)
        assert code == 0, told
        return told[0]

    async def admin_request(self, method: str, path: str, **options) -> tuple[int, dict]:
        headers = {"Authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        async with aiohttp.ClientSession() as session, session.request(
            method, self.admin + path, headers=headers, **options
        ) as response:  # fmt: skip
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def node(folder: Path, origin: str, *, workers: int = 2, quota: str = "64MiB"):
    token, tokens, port = folder / "secret", folder / "tokens", free_port()
    token.write_text(TOKEN)
    tokens.write_text(f"t read,push,purge {sha256(TOKEN.encode()).hexdigest()}\n")
    tokens.chmod(0o600)
    file = folder / "edge.toml"
    file.write_text(f"""
workers = {workers}
[[listen]]
address = "127.0.0.1:0"
[cache]
path = "{folder / "cache"}"
max_size = "64MiB"
memory = "16MiB"
[admin]
address = "127.0.0.1:{port}"
token_file = "{tokens}"
[push]
path = "{folder / "pushed"}"
max_size = "{quota}"
[origins.app]
urls = ["{origin}"]
[[site]]
hosts = ["site.test"]
origin = "app"
[log]
format = "off"
""")
    async with running("edge", "serve", "--config", str(file)) as process:
        yield Published(process, process.url, f"http://127.0.0.1:{port}", token)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


async def content(session, url: str, **headers) -> tuple[int, bytes, str]:
    async with session.get(url, headers=headers) as response:
        return response.status, await response.read(), response.headers.get("Cache-Status", "")


async def test_ten_thousand_files_then_ten_changes_then_no_origin(tmp_path):
    count = 10_000
    dist = write(tmp_path / "dist", {f"{n % 100}/{n}.txt": f"file {n}" for n in range(count)})
    async with demo_origin() as origin, node(tmp_path, origin.url, quota="1GiB") as edge, client() as session:
        assert (await edge.publish(dist))["sent"] == count
        write(dist, {f"{n}/{n}.txt": f"changed {n}" for n in range(10)})
        assert (await edge.publish(dist))["sent"] == 10
        await origin.stop()
        for n in range(count):
            status, body, told = await content(session, f"{edge.url}/{n % 100}/{n}.txt")
            assert (status, body) == (200, f"changed {n}".encode() if n < 10 else f"file {n}".encode())
            assert "hit; detail=published" in told


async def test_on_a_terminal_a_bar_shows_how_far_it_is(tmp_path):
    dist = write(tmp_path / "dist", {"a.txt": "same", "b.txt": "same", "c.txt": "c" * 100})
    (dist / "big.bin").write_bytes(generated("/big", 0, 5 * MIB))
    async with node(tmp_path, "http://127.0.0.1:1") as edge:
        for sent in (3, 0):
            terminal, other = os.openpty()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "origin", "publish", str(dist), "--site", "site.test",
                "--node", edge.admin, "--token-file", str(edge.token), "--json", stdout=asyncio.subprocess.PIPE, stderr=other,
            )  # fmt: skip
            os.close(other)
            out, _ = await process.communicate()
            assert json.loads(out)["sent"] == sent
            shown = os.read(terminal, 1 << 16).decode()
            os.close(terminal)
            # What is not sent because it is there is done as well.
            assert ("publishing" in shown, "100%" in shown) == (True, True), shown


async def test_a_version_is_served_whole_and_the_one_before_after_a_rollback(tmp_path):
    dist = write(tmp_path / "dist", {"index.html": "one", "old.css": "old"})
    async with demo_origin() as origin, node(tmp_path, origin.url) as edge, client() as session:
        first = await edge.publish(dist, "-H", "Cache-Control: max-age=60")
        for _ in range(3):
            assert (await content(session, f"{edge.url}/"))[:2] == (200, b"one")
        (dist / "old.css").unlink()
        write(dist, {"index.html": "two"})
        second = await edge.publish(dist)
        # Every worker, by a ready answer or not.
        for _ in range(20):
            async with client() as other:
                assert (await content(other, f"{edge.url}/"))[1] == b"two"
        assert (await content(session, f"{edge.url}/old.css"))[0] == 404
        status, told = await edge.admin_request("GET", f"/v1/manifests/{second['id']}/diff?against={first['id']}")
        assert (status, told["removed"]) == (200, ["/old.css"])
        assert (await edge.origin("rollback", "--site", "site.test"))[1][0]["id"] == first["id"]
        assert (await content(session, f"{edge.url}/"))[1] == b"one"
        assert (await content(session, f"{edge.url}/old.css"))[1] == b"old"
        assert (await edge.origin("rollback", "--site", "site.test"))[0] == 1
        _, listed = await edge.origin("versions", "--site", "site.test")
        assert [(each["id"], each["is_active"]) for each in listed[0]["versions"]] == [
            (second["id"], False), (first["id"], True),
        ]  # fmt: skip


async def test_conditions_ranges_and_head(tmp_path):
    dist = write(tmp_path / "dist", {"a b.txt": "0123456789"})
    async with demo_origin() as origin, node(tmp_path, origin.url) as edge, client() as session:
        await edge.publish(dist)
        url = f"{edge.url}/a%20b.txt"
        async with session.get(url) as response:
            etag = response.headers["ETag"]
            assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert "Age" not in response.headers
        assert (await content(session, url, **{"If-None-Match": etag}))[:2] == (304, b"")
        assert (await content(session, url, **{"If-Match": '"x"'}))[0] == 412
        assert (await content(session, url, Range="bytes=2-4"))[:2] == (206, b"234")
        async with session.head(url) as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "10")


async def test_what_the_cache_had_is_not_served_any_more_once_it_is_published(tmp_path):
    dist = write(tmp_path / "dist", {"bytes/x": "pushed"})
    rule = ("--rule", "/*=max-age=600")
    async with demo_origin(*rule) as origin, node(tmp_path, origin.url) as edge, client() as session:
        for _ in range(5):
            assert (await content(session, f"{edge.url}/bytes/x"))[1] == generated("/bytes/x", 0, MIB)
        assert is_hit((await content(session, f"{edge.url}/bytes/x"))[2])
        await edge.publish(dist)
        for _ in range(5):
            assert (await content(session, f"{edge.url}/bytes/x"))[1] == b"pushed"
        status, _ = await edge.admin_request("DELETE", "/v1/sites/site.test/published")
        assert status == 200
        assert (await content(session, f"{edge.url}/bytes/x"))[1] == generated("/bytes/x", 0, MIB)


async def test_a_crash_in_the_middle_leaves_the_old_version_whole(tmp_path):
    old = write(tmp_path / "old", {f"{n}": f"old {n}" for n in range(50)})
    new = write(tmp_path / "new", {f"{n}": f"new {n}" for n in range(50)})
    async with demo_origin() as origin:
        async with node(tmp_path, origin.url) as edge:
            await edge.publish(old)
            await edge.publish(new, "--dry-run")
            await edge.process.stop(signal.SIGKILL)
        (tmp_path / "pushed/active/.site.test.new").write_text('{"id": "half')
        async with node(tmp_path, origin.url) as edge, client() as session:
            assert [(await content(session, f"{edge.url}/{n}"))[1] for n in range(50)] == [
                f"old {n}".encode() for n in range(50)
            ]
            await edge.publish(new)
            assert (await content(session, f"{edge.url}/7"))[1] == b"new 7"


async def test_damage_is_never_served(tmp_path):
    dist = write(tmp_path / "dist", {"large.bin": "x" * (1 << 20), "small": "y" * 100})
    async with demo_origin() as origin, node(tmp_path, origin.url) as edge, client() as session:
        await edge.publish(dist)
        for name in ("large.bin", "small"):
            path = blob_path(tmp_path / "pushed", sha256((dist / name).read_bytes()).hexdigest())
            path.write_bytes(b"z" + path.read_bytes()[1:])
        # Short ones are compared before the answer begins: the origin has none, and says so.
        assert (await content(session, f"{edge.url}/small"))[0] == 404
        with pytest.raises(aiohttp.ClientError):
            await content(session, f"{edge.url}/large.bin")


async def test_what_is_refused_says_why(tmp_path):
    async with demo_origin() as origin, node(tmp_path, origin.url, workers=1, quota="1MiB") as edge:
        hash_ = sha256(b"abc").hexdigest()

        async def draft(*entries: dict) -> tuple[int, dict]:
            return await edge.admin_request("POST", "/v1/manifests", json={"site": "site.test", "entries": entries})

        def entry(path: str, **more) -> dict:
            return {"path": path, "sha256": hash_, "size": 3, **more}

        for path in ("/../etc/passwd", "/a/%2e%2e/b", "/a%2fb", "relative", "/a b", "/a%00"):
            assert (await draft(entry(path)))[0] == 422, path
        assert (await draft(entry("/a"), entry("/%61")))[0] == 422
        assert (await draft(entry("/a", fields={"Content-Length": "9"})))[0] == 422
        assert (await draft(entry("/a", fields={"X": "a\r\nb"})))[0] == 422
        assert (await draft({**entry("/a"), "size": 2 << 20}))[0] == 507
        assert (await edge.admin_request("POST", "/v1/manifests", json={"site": "else", "entries": []}))[0] == 404
        status, told = await draft(entry("/a"))
        assert (status, told["lacks"]) == (200, [hash_])
        activate = f"/v1/manifests/{told['id']}/activate"
        assert (await edge.admin_request("POST", activate, json={}))[0] == 409

        async def blobs(data: bytes) -> int:
            headers = {"Content-Type": "application/vnd.foreland.bundle"}
            return (await edge.admin_request("POST", "/v1/blobs", data=data, headers=headers))[0]

        head = bytes.fromhex(hash_) + (3).to_bytes(8, "big")
        assert await blobs(head + b"abd") == 422
        assert await blobs(head + b"ab") == 422
        assert await blobs(bytes.fromhex(hash_) + (1 << 40).to_bytes(8, "big")) == 507
        assert await blobs(head + b"abc") == 200
        status, told = await edge.admin_request("POST", activate, json={"expected": "000009-00000000"})
        assert (status, "nothing is published" in told["detail"]) == (409, True)
        assert (await edge.admin_request("POST", activate, json={"expected": ""}))[0] == 200
        assert list((tmp_path / "pushed/incoming").iterdir()) == []


async def test_pruning_deletes_what_only_old_versions_had(tmp_path):
    dist = tmp_path / "dist"
    async with demo_origin() as origin, node(tmp_path, origin.url, workers=1) as edge, client() as session:
        for number in range(4):
            write(dist, {"x": f"content {number}"})
            await edge.publish(dist, "--keep", "2")
        assert len(list((tmp_path / "pushed/blobs").glob("??/*"))) == 2
        await edge.origin("rollback", "--site", "site.test")
        assert (await content(session, f"{edge.url}/x"))[1] == b"content 2"
