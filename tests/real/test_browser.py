"""A browser loads the sample site through the edge, twice: what the second one needs, the origin is not asked for.

FORELAND_LARGE_MIB sets the size of the large file; 64 by default.
"""

import asyncio
import hashlib
import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.real.node import MIB, STUCK, Running, client, demo_origin, edge, generated, get
from tests.real.programs import find

pytestmark = [pytest.mark.real, pytest.mark.slow]

LARGE = int(os.environ.get("FORELAND_LARGE_MIB", "64")) * MIB

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--virtual-time-budget=5000", "--dump-dom", "--ignore-certificate-errors",
)  # fmt: skip
#: Asked for between the two loads, to tell them apart in the access log.
DIVIDER = "/bytes/divider"
PAGES = [
    pytest.param("/", "Foreland: the first land you see", "data-live", id="a page with a style sheet and a script"),
    pytest.param("/gallery.html", "Gallery", "<img", id="a page of pictures"),
]


async def load(url: str, profile: Path) -> str:
    """Return the document that a browser with an empty cache makes of `url`."""
    process = await asyncio.create_subprocess_exec(
        find("chromium", "chromium"), *_FLAGS, f"--user-data-dir={profile}", url,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(STUCK):
            document, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return document.decode()


async def counted(origin: Running) -> Counter[str]:
    """Return how often each path has been asked of the origin so far."""
    async with aiohttp.ClientSession() as session, session.get(f"{origin.url}/_origin/stats") as response:
        return Counter((await response.json())["paths"])


#: Says by which protocol it came.
PAGE = """<!doctype html><title>?</title>
<script>document.title = performance.getEntriesByType("navigation")[0].nextHopProtocol</script>"""


@pytest.mark.parametrize(
    ("is_secure", "said", "protocol"),
    [
        pytest.param(False, "http/1.1", "HTTP/1.1", id="without TLS by HTTP-1.1"),
        pytest.param(True, "h2", "HTTP/2.0", id="by TLS and HTTP-2"),
    ],
)
async def test_a_browser_comes_by_the_best_protocol_there_is(
    tmp_path: Path, is_secure: bool, said: str, protocol: str
) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    async with (
        demo_origin("--root", str(tmp_path)) as origin,
        edge(origin.url, tmp_path / "cache", "--log", "json", is_secure=is_secure) as node,
    ):
        assert f"<title>{said}</title>" in await load(f"{node.url}/", tmp_path / "browser")
        _, written = await node.stop()
    assert {json.loads(line)["proto"] for line in written.splitlines()} == {protocol}


#: Reads a large file, and says what it is.
SUMMING = """<!doctype html><title>?</title><script>
fetch("%s").then(response => response.arrayBuffer()).then(content => crypto.subtle.digest("SHA-256", content)).then(
  sum => document.title = Array.from(new Uint8Array(sum), octet => octet.toString(16).padStart(2, "0")).join(""))
</script>"""


async def test_a_browser_has_a_large_file_whole_by_http2(tmp_path: Path) -> None:
    target = f"/bytes/large?_size={LARGE}B&_cache_control=max-age%3D3600"
    (tmp_path / "index.html").write_text(SUMMING % target)
    expected = hashlib.sha256()
    for start in range(0, LARGE, 8 * MIB):
        expected.update(generated("/bytes/large", start, min(start + 8 * MIB, LARGE)))
    options = ("--cache-size", f"{3 * LARGE}B", "--log", "json")
    async with (
        demo_origin("--root", str(tmp_path)) as origin,
        edge(origin.url, tmp_path / "cache", *options, is_secure=True) as node,
    ):
        for number in range(2):
            document = await load(f"{node.url}/", tmp_path / f"browser-{number}")
            assert f"<title>{expected.hexdigest()}</title>" in document
        _, written = await node.stop()
    lines = [json.loads(line) for line in written.splitlines()]
    assert {(line["proto"], line["bytes_out"]) for line in lines if line["path"] == "/bytes/large"} == {
        ("HTTP/2.0", LARGE)
    }


@pytest.mark.parametrize("is_secure", [pytest.param(False, id="HTTP"), pytest.param(True, id="HTTPS")])
@pytest.mark.parametrize(("path", "title", "sign"), PAGES)
async def test_a_second_browser_is_served_by_the_edge_alone(
    tmp_path: Path, path: str, title: str, sign: str, is_secure: bool
) -> None:
    async with (
        demo_origin() as origin,
        edge(origin.url, tmp_path / "cache", "--log", "json", is_secure=is_secure) as node,
    ):
        first = await load(node.url + path, tmp_path / "browser-1")
        before = await counted(origin)
        async with client() as session:
            await get(session, f"{node.url}{DIVIDER}?_size=1B")
        second = await load(node.url + path, tmp_path / "browser-2")
        after = await counted(origin)
        code, written = await node.stop()
    assert code == 0
    for document in (first, second):
        assert f"<title>{title}" in document
        assert sign in document
    lines = [json.loads(line) for line in written.splitlines()]
    of_site = [line for line in lines if not line["path"].startswith("/api/")]
    half = next(number for number, line in enumerate(of_site) if line["path"] == DIVIDER)
    first_lines, second_lines = of_site[:half], of_site[half + 1 :]
    assert {line["path"] for line in second_lines} == {line["path"] for line in first_lines}
    assert len(second_lines) > 2
    assert [(line["path"], line["cache"]) for line in second_lines if line["cache"] != "HIT"] == []
    assert {line["status"] for line in of_site} == {200}
    assert [path for path in after - before if not path.startswith("/api/")] == [DIVIDER]
