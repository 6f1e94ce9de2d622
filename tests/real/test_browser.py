"""A browser loads the sample site through the edge, twice: what the second one needs, the origin is not asked for."""

import asyncio
import json
import subprocess
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.real.node import STUCK, Running, client, demo_origin, edge, get
from tests.real.programs import find

pytestmark = [pytest.mark.real, pytest.mark.slow]

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
