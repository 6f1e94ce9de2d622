from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from origin.pattern import pattern
from origin.rules import Rule
from origin.server import application
from origin.settings import SITE, Settings

Client = TestClient[web.Request, web.Application]
BARE = {"Accept-Encoding": "identity"}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(application(Settings()))


@pytest.mark.parametrize(
    ("path", "content_type", "cache_control"),
    [
        pytest.param("/", "text/html; charset=utf-8", "public, max-age=60, stale-while-revalidate=30", id="a page"),
        pytest.param("/style.css?v=1", "text/css; charset=utf-8", "public, max-age=31536000, immutable", id="a sheet"),
        pytest.param("/images/dawn.png", "image/png", "public, max-age=86400", id="a picture"),
        pytest.param("/favicon.svg", "image/svg+xml", "public, max-age=86400", id="a vector"),
        pytest.param("/api/time", "application/json", "public, max-age=5", id="the public API"),
        pytest.param("/api/private", "application/json", "private, no-store", id="the private API"),
    ],
)
async def test_resource(client: Client, path: str, content_type: str, cache_control: str) -> None:
    response = await client.get(path, headers=BARE)
    assert response.status == 200
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Cache-Control"] == cache_control
    assert len(await response.read()) == int(response.headers["Content-Length"])


@pytest.mark.parametrize("path", sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.*")))
async def test_every_file_of_the_site_is_served_as_it_is(client: Client, path: str) -> None:
    response = await client.get(f"/{path}", headers=BARE)
    assert await response.read() == (SITE / path).read_bytes()
    assert "octet-stream" not in response.headers["Content-Type"]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
async def test_encoded_page(client: Client, coding: str) -> None:
    response = await client.get("/", headers={"Accept-Encoding": coding})
    assert response.headers["Content-Encoding"] == coding
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["ETag"].endswith(f'-{coding}"')
    assert await response.read() == (SITE / "index.html").read_bytes()


async def test_validation(client: Client) -> None:
    first = await client.get("/images/dawn.png")
    again = await client.get("/images/dawn.png", headers={"If-None-Match": first.headers["ETag"]})
    dated = await client.get("/images/dawn.png", headers={"If-Modified-Since": first.headers["Last-Modified"]})
    assert [again.status, dated.status] == [304, 304]
    assert again.headers["Cache-Control"] == "public, max-age=86400"
    assert "Content-Type" not in again.headers


async def test_range_of_the_large_file(client: Client) -> None:
    response = await client.get("/large.bin", headers={"Range": "bytes=4000-4999"})
    assert response.status == 206
    assert response.headers["Content-Range"] == "bytes 4000-4999/52428800"
    assert await response.read() == pattern(4000, 5000, b"/large.bin")


async def test_multiple_ranges(client: Client) -> None:
    response = await client.get("/bytes/x?_size=1MiB", headers={"Range": "bytes=0-9,500000-500009,-10"})
    content = await response.read()
    assert len(content) == int(response.headers["Content-Length"])
    message = message_from_bytes(b"Content-Type: %s\r\n\r\n%s" % (response.headers["Content-Type"].encode(), content))
    parts: Any = message.get_payload()
    assert [(part["Content-Range"], part.get_payload(decode=True)) for part in parts] == [
        ("bytes 0-9/1048576", pattern(0, 10, b"/bytes/x")),
        ("bytes 500000-500009/1048576", pattern(500000, 500010, b"/bytes/x")),
        ("bytes 1048566-1048575/1048576", pattern(1048566, 1048576, b"/bytes/x")),
    ]


async def test_head_is_the_head_of_get(client: Client) -> None:
    head, get = await client.head("/style.css", headers=BARE), await client.get("/style.css", headers=BARE)
    ignored = {"Date"}
    assert {k: v for k, v in head.headers.items() if k not in ignored} == {
        k: v for k, v in get.headers.items() if k not in ignored
    }
    assert await head.read() == b""


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        pytest.param("OPTIONS", "/", 204, "GET, HEAD, OPTIONS", id="OPTIONS of a file"),
        pytest.param("OPTIONS", "/api/echo", 204, "POST, PUT, OPTIONS", id="OPTIONS of an endpoint"),
        pytest.param("DELETE", "/", 405, "GET, HEAD, OPTIONS", id="a method that files do not have"),
        pytest.param("GET", "/api/echo", 405, "POST, PUT, OPTIONS", id="a method that an endpoint does not have"),
        pytest.param("GET", "/_origin/reset", 405, "POST, OPTIONS", id="a reset is not safe"),
        pytest.param("POST", "/_origin/stats", 405, "GET, HEAD, OPTIONS", id="stats are only read"),
    ],
)
async def test_methods(client: Client, method: str, path: str, status: int, allow: str) -> None:
    response = await client.request(method, path)
    assert (response.status, response.headers["Allow"]) == (status, allow)


async def test_directory_gets_its_slash_and_keeps_the_query(client: Client) -> None:
    response = await client.get("/images?a=%20b", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (301, "/images/?a=%20b")


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        pytest.param("_cache_control=no-cache", "Cache-Control", "no-cache", id="Cache-Control"),
        pytest.param("_cache_control=", "Cache-Control", None, id="no Cache-Control"),
        pytest.param("_etag=v2", "ETag", '"v2"', id="an entity tag"),
        pytest.param("_etag=off", "ETag", None, id="no entity tag"),
        pytest.param("_last_modified=off", "Last-Modified", None, id="no Last-Modified"),
        pytest.param("_vary=User-Agent", "Vary", "User-Agent", id="Vary"),
        pytest.param("_set_cookie=a=1", "Set-Cookie", "a=1", id="Set-Cookie"),
        pytest.param("_chunked=1", "Transfer-Encoding", "chunked", id="no length"),
        pytest.param("_status=503", "Cache-Control", None, id="an error has no rule"),
    ],
)
async def test_knob(client: Client, query: str, name: str, value: str | None) -> None:
    response = await client.get(f"/images/dawn.png?{query}")
    assert response.headers.get(name) == value


@pytest.mark.parametrize(("status", "content"), [(503, b"503 Service Unavailable: asked for by _status\n"), (204, b"")])
async def test_status_knob(client: Client, status: int, content: bytes) -> None:
    response = await client.get(f"/?_status={status}")
    assert (response.status, await response.read()) == (status, content)


async def test_knob_that_cannot_be_used_says_why(client: Client) -> None:
    response = await client.get("/?_delay=soon")
    assert response.status == 400
    assert "'soon' is not a duration" in await response.text()


async def test_knobs_and_rules_by_configuration(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("page")
    client = await aiohttp_client(
        application(Settings(root=tmp_path, knobs=False, rules=(Rule("*.html", "max-age=7"),)))
    )
    response = await client.get("/page.html?_status=503")
    assert (response.status, response.headers["Cache-Control"]) == (200, "max-age=7")


async def test_what_reached_the_origin_is_counted(client: Client) -> None:
    for path in ("/", "/", "/none", "/_origin/none"):
        await (await client.get(path)).read()
    stats = await (await client.get("/_origin/stats")).json()
    assert stats == {"requests": 3, "connections": 1, "paths": {"/": 2, "/none": 1}, "statuses": {"200": 2, "404": 1}}
    assert (await client.post("/_origin/reset")).status == 204
    assert (await (await client.get("/_origin/stats")).json())["requests"] == 0
