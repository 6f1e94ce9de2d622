"""Pushed content, from the command to a client: checked, kept, and served without an origin."""

import asyncio
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from tests.real.node import Running, client, edge
from tests.scenarios.test_store_faults import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]
#: Nobody listens there.
NO_ORIGIN = "http://127.0.0.1:1"
FILES = int(os.environ.get("FORELAND_PUSHED_FILES", "500"))


@dataclass
class Pushable:
    """A node, its admin plane, and the token for that."""

    node: Running
    admin: str
    token_file: Path

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    def arguments(self) -> list[str]:
        return ["--node", f"http://{self.admin}", "--token-file", str(self.token_file)]


@asynccontextmanager
async def pushable(folder: Path, workers: int = 2, *options: str) -> AsyncIterator[Pushable]:
    admin, tokens = f"127.0.0.1:{free_port()}", folder / "tokens"
    given = ("--admin", admin, "--admin-token-file", str(tokens), "--workers", str(workers), *options)
    async with edge(NO_ORIGIN, folder / "cache", *given) as node:
        (secret,) = [path for path in folder.iterdir() if path.name.endswith(".secret")]
        yield Pushable(node, admin, secret)


async def push(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "origin", "push", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def got(session: aiohttp.ClientSession, url: str, **fields: str) -> tuple[int, bytes, dict[str, str]]:
    async with session.get(url, headers=fields) as response:
        return response.status, await response.read(), {name.title(): value for name, value in response.headers.items()}


def site(folder: Path) -> dict[str, bytes]:
    """Make a site of many files, and return its contents by path."""
    contents = {f"page-{number:05}.html": f"<p>{number}</p>".encode() * 20 for number in range(FILES)}
    contents |= {
        "index.html": b"<h1>home</h1>",
        "empty.txt": b"",
        "deep/er/\u00e4 b.css": b"p{}",
        "big.bin": os.urandom(5 << 20),
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return contents


async def test_a_folder_is_pushed_once_and_then_only_what_changed(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    contents = site(tmp_path / "dist")
    count = len(contents) + 1
    async with pushable(tmp_path, 2, "--cache-size", "1GiB") as there, client() as session:
        arguments = [str(tmp_path / "dist"), "--url", "http://site.test/", "-H", "Cache-Control: max-age=60"]
        code, told, errors = await push(*arguments, *there.arguments(), "--dry-run", "--json")
        assert (code, json.loads(told)["sent"], errors) == (0, count, "")
        code, told, errors = await push(*arguments, *there.arguments(), "--json")
        assert (code, json.loads(told)["sent"], json.loads(told)["kept"], errors) == (0, count, 0, "")
        for name in range(3):
            (tmp_path / "dist" / f"page-{name:05}.html").write_bytes(b"changed")
        code, told, _ = await push(*arguments, *there.arguments())
        assert (code, told.endswith(f"3 sent, 21 octets; {count - 3:,} were there\n")) == (0, True)
        for name in ("index.html", "empty.txt", "big.bin", "deep/er/%C3%A4%20b.css", f"page-{FILES - 1:05}.html", ""):
            status, content, fields = await got(session, f"{there.node.url}/{name}")
            wanted = contents[name.replace("%C3%A4%20", "\u00e4 ") or "index.html"]
            assert (status, content) == (200, wanted)
            assert fields["Cache-Control"] == "max-age=60"
            assert "; hit" in fields["Cache-Status"]
            assert "Foreland-Cache-Control" not in fields
        assert (await got(session, f"{there.node.url}/page-00000.html"))[1] == b"changed"


async def test_pushed_content_has_conditions_and_ranges_and_survives_a_kill(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "a.bin").write_bytes(content)
    async with pushable(tmp_path) as there:
        assert (await push(str(tmp_path / "dist"), "--url", "http://site.test/", *there.arguments()))[0] == 0
        await there.node.stop(signal.SIGKILL)
    async with pushable(tmp_path) as there, client() as session:
        status, whole, fields = await got(session, f"{there.node.url}/a.bin")
        assert (status, whole) == (200, content)
        assert fields["Etag"] == f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        status, part, ranged = await got(session, f"{there.node.url}/a.bin", Range="bytes=100-199")
        assert (status, part, ranged["Content-Range"]) == (206, content[100:200], f"bytes 100-199/{len(content)}")
        assert (await got(session, f"{there.node.url}/a.bin", **{"If-None-Match": fields["Etag"]}))[0] == 304


@dataclass
class Plane:
    """What a test says to the admin plane."""

    there: Pushable
    session: aiohttp.ClientSession

    async def put(self, url: str, content: object, **fields: str) -> tuple[int, dict]:
        headers = {"Host": self.there.admin, "Authorization": f"Bearer {self.there.token}", **fields}
        target = f"http://{self.there.admin}/v1/objects"
        async with self.session.put(target, params={"url": url}, data=content, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@pytest.mark.parametrize(
    ("url", "fields", "status"),
    [
        pytest.param(
            "http://site.test/a", {"Content-Digest": f"sha-256=:{b64encode(bytes(32)).decode()}:"}, 400, id="digest"
        ),
        pytest.param("http://site.test/a", {"Content-Digest": "sha-256=x"}, 400, id="a digest that is none"),
        pytest.param("http://site.test/a", {"Content-Digest": "md5=:AAAA:"}, 400, id="another digest"),
        pytest.param("http://site.test/a", {"Content-Encoding": "gzip"}, 400, id="content that is not gzip"),
        pytest.param("http://site.test/a", {"Object-Set-Cookie": "a=b"}, 422, id="a field that is not for the pusher"),
        pytest.param("http://site.test/a", {"Object-A(b": "c"}, 400, id="a field that is none"),
        pytest.param("site.test/a", {}, 422, id="a URL that is not absolute"),
        pytest.param("http://site.test/\u00e4", {}, 422, id="a URL that no client asks for"),
        pytest.param("http://site.test/a", {"Authorization": "Bearer x"}, 401, id="another token"),
    ],
)
async def test_what_is_wrong_is_refused_and_nothing_is_stored(tmp_path: Path, url, fields, status) -> None:
    async with pushable(tmp_path, 1) as there, client() as session:
        answered, told = await Plane(there, session).put(url, b"hello", **fields)
        assert (answered, told["status"]) == (status, status)
        assert (await got(session, f"{there.node.url}/a"))[0] == 502
        assert list((tmp_path / "cache" / "admin" / "spool").glob("*")) == []


async def test_an_upload_that_breaks_off_stores_nothing_and_a_compressed_one_is_stored_plain(tmp_path: Path) -> None:
    async with pushable(tmp_path, 1) as there, client() as session:
        plane = Plane(there, session)
        content = b"hello " * 10_000
        coded = gzip.compress(content)
        assert (await plane.put("http://site.test/a", coded, **{"Content-Encoding": "gzip"}))[0] == 200
        assert (await got(session, f"{there.node.url}/a"))[1] == content
        host, _, port = there.admin.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"PUT /v1/objects?url=http://site.test/a HTTP/1.1\r\nHost: {there.admin}\r\nContent-Length: 100\r\n"
            f"Authorization: Bearer {there.token}\r\n\r\nhalf".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await got(session, f"{there.node.url}/a"))[1] == content


async def test_there_is_no_more_room_than_there_is(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("EDGE_CACHE__PINNED", "8MiB")
    async with pushable(tmp_path, 1) as there, client() as session:
        plane = Plane(there, session)
        statuses = [(await plane.put(f"http://site.test/{number}", BytesIO(bytes(2 << 20))))[0] for number in range(6)]
        assert statuses.count(507) >= 1
        assert statuses[:3] == [200] * 3
        assert (await plane.put("http://site.test/large", BytesIO(bytes(9 << 20))))[0] == 413
        assert len((await got(session, f"{there.node.url}/0"))[1]) == 2 << 20


async def test_what_is_removed_is_asked_of_the_origin_again(tmp_path: Path) -> None:
    async with pushable(tmp_path) as there, client() as session:
        plane = Plane(there, session)
        for number in range(4):
            assert (await plane.put(f"http://site.test/{number}", b"x"))[0] == 200
        headers = {"Host": there.admin, "Authorization": f"Bearer {there.token}"}
        for number in range(4):
            url = f"http://{there.admin}/v1/objects?url=http://site.test/{number}"
            async with session.delete(url, headers=headers) as response:
                assert response.status == 200
            assert (await got(session, f"{there.node.url}/{number}"))[0] == 502


async def test_a_purge_takes_pushed_content_away(tmp_path: Path) -> None:
    async with pushable(tmp_path) as there, client() as session:
        assert (await Plane(there, session).put("http://site.test/a", b"x", **{"Object-Surrogate-Key": "t"}))[0] == 200
        headers = {"Host": there.admin, "Authorization": f"Bearer {there.token}"}
        asked = {"tags": ["t"], "mode": "hard"}
        async with session.post(f"http://{there.admin}/v1/purge", json=asked, headers=headers) as response:
            assert response.status == 200
        assert (await got(session, f"{there.node.url}/a"))[0] == 502


async def test_one_node_of_two_that_is_away_is_a_part(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "a.txt").write_text("x")
    async with pushable(tmp_path, 1) as there:
        arguments = [str(tmp_path / "dist"), "--url", "http://site.test/", *there.arguments(), "--node", NO_ORIGIN]
        code, told, errors = await push(*arguments)
        assert (code, "1 sent" in told, "failed" in errors) == (4, True, True)


async def test_what_cannot_be_pushed_is_told(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "out").symlink_to("/etc/hostname")
    code, _, errors = await push(str(tmp_path / "dist"), "--url", "http://a/", "--node", NO_ORIGIN)
    assert (code, "leads out of" in errors) == (1, True)
    code, _, errors = await push(str(tmp_path), "--url", "http://a/", "--node", NO_ORIGIN, "-H", "x")
    assert (code, "is not a field" in errors) == (2, True)
