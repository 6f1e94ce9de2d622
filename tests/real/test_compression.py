"""Codings between real programs: nginx, which codes nothing or by itself, and clients that decode by themselves."""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.real.crawl import crawl
from tests.real.nginx import nginx
from tests.real.node import STUCK, client, edge, get, is_hit
from tests.real.programs import find
from tests.real.test_documentation_tree import not_hit, tree, wrong_content

pytestmark = [pytest.mark.real, pytest.mark.slow]

__all__ = ["tree"]
PAGE = "".join(f"<p>paragraph {number} of a page</p>\n" for number in range(2000)).encode()


async def curl(url: str, *options: str) -> tuple[bytes, dict[str, str]]:
    """Return the content that curl makes of `url`, and the response fields."""
    process = await asyncio.create_subprocess_exec(
        find("curl", "curl"), "-sS", "--fail", "-D", "/dev/stderr", *options, url,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(STUCK):
        content, head = await process.communicate()
    assert process.returncode == 0, head
    lines = [line.partition(":") for line in head.decode().splitlines()[1:]]
    return content, {name.lower(): value.strip() for name, _, value in lines if name}


@pytest.mark.parametrize("is_secure", [pytest.param(False, id="HTTP"), pytest.param(True, id="HTTPS")])
@pytest.mark.parametrize("gzip", [pytest.param("gzip off", id="plain"), pytest.param("gzip on", id="gzip")])
async def test_curl_gets_the_page_in_every_coding(tmp_path: Path, gzip: str, is_secure: bool) -> None:
    (tmp_path / "page.html").write_bytes(PAGE)
    async with (
        nginx(
            tmp_path / "nginx", f"location / {{ root {tmp_path}; expires 1h; {gzip}; gzip_http_version 1.0; }}"
        ) as origin,
        edge(origin.url, tmp_path / "cache", "--workers", "2", is_secure=is_secure) as node,
    ):
        for _ in range(3):
            for accepted in ("zstd", "br", "gzip", "gzip, deflate, br, zstd", "identity"):
                taken = ("--compressed", "-H", f"Accept-Encoding: {accepted}", "-k")
                content, fields = await curl(f"{node.url}/page.html", *taken)
                assert content == PAGE
                assert fields.get("content-encoding", "identity") in accepted
                assert "accept-encoding" in fields["vary"].lower()
                again, fields = await curl(f"{node.url}/page.html", *taken, "-H", f"If-None-Match: {fields['etag']}")
                assert again == b""
            content, fields = await curl(f"{node.url}/page.html", "-k", "-r", "100-199")
            # Of what is coded by the origin there are no parts for this client.
            assert content in {PAGE[100:200], PAGE}
        assert Counter(origin.requests()) == {"GET /page.html 200": 1}


async def test_a_documentation_tree_is_the_same_in_every_coding(tree: Path, tmp_path: Path) -> None:
    locations = f"location / {{ root {tree}; expires 1h; }}"
    async with (
        nginx(tmp_path / "nginx", locations) as origin,
        edge(origin.url, tmp_path / "cache", "--cache-size", "1GiB") as node,
    ):
        for accepted in ("gzip, deflate, br, zstd", "br"):
            async with client(accepted) as session:
                fetched = await crawl(session, f"{node.url}/")
            found = [target for target, answer in fetched.items() if answer.status == 200]
            assert len(found) > 500
            assert wrong_content(tree, fetched) == []
        assert not_hit(fetched, found) == []
        asked = Counter(line for line in origin.requests() if line.endswith(" 200"))
        # Which is also at "/".
        assert asked.pop("GET /index.html 200") == 2
        assert set(asked.values()) == {1}


async def test_what_is_stored_is_served_coded_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(PAGE)
    locations = f"location / {{ root {tmp_path}; expires 1h; }}"
    async with nginx(tmp_path / "nginx", locations) as origin:
        for _ in range(2):
            async with edge(origin.url, tmp_path / "cache") as node, client("br") as session:
                content, status = await get(session, f"{node.url}/page.html")
                assert content == PAGE
                await node.stop()
        assert is_hit(status)
        assert len(origin.requests()) == 1
