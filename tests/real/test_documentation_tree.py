"""The documentation of Python, as Debian packs it, from Debian's nginx: hundreds of real files, followed link by link."""

import asyncio
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp
import pytest

from tests.real.crawl import Fetched, crawl
from tests.real.nginx import Nginx, nginx
from tests.real.node import Running, client, demo_origin, edge, get, is_hit
from tests.real.programs import find, missing

pytestmark = [pytest.mark.real, pytest.mark.slow]

TREE = Path("/usr/share/doc/python3-doc/html")
SHORT_LIVED = [f"/short/{number}.txt" for number in range(20)]


@pytest.fixture
def tree() -> Path:
    if not TREE.joinpath("index.html").is_file():
        missing(f"{TREE} is missing: install Debian's package python3-doc")
    return TREE.resolve()


def file_of(tree: Path, target: str) -> Path:
    path = tree / unquote(urlsplit(target).path).lstrip("/")
    return path / "index.html" if path.is_dir() else path


def wrong_content(tree: Path, fetched: dict[str, Fetched]) -> list[str]:
    return [
        target
        for target, answer in fetched.items()
        if answer.status == 200 and answer.content != file_of(tree, target).read_bytes()
    ]


def not_hit(fetched: dict[str, Fetched], targets: Iterable[str]) -> list[tuple[str, str]]:
    return [(each, fetched[each].cache_status) for each in targets if not is_hit(fetched[each].cache_status)]


async def test_every_file_comes_from_the_origin_once_and_is_never_wrong(tree: Path, tmp_path: Path) -> None:
    locations = f"location / {{ root {tree}; expires 1h; }}"
    cache = tmp_path / "cache"
    async with nginx(tmp_path / "nginx", locations) as origin, client() as session:
        async with edge(origin.url, cache, "--cache-size", "1GiB") as node:
            first = await crawl(session, f"{node.url}/")
            found = sorted(target for target, answer in first.items() if answer.status == 200)
            assert len(found) > 500
            assert {Path(urlsplit(each).path).suffix for each in found} > {".html", ".css", ".js", ".png", ".svg"}
            # A link into nothing stays one: an error must not come from a file that is there.
            assert [each for each in first if each not in found and file_of(tree, each).is_file()] == []
            assert wrong_content(tree, first) == []
            asked = len(origin.requests())

            second = await crawl(session, f"{node.url}/")
            assert not_hit(second, found) == []
            assert wrong_content(tree, second) == []
            assert asked_for(origin, asked, found) == []
            assert await node.stop() == (0, "")
        async with edge(origin.url, cache, "--cache-size", "1GiB") as node:
            third = await crawl(session, f"{node.url}/")
            assert not_hit(third, found) == []
            assert wrong_content(tree, third) == []
            assert asked_for(origin, asked, found) == []
            for target in found[:: len(found) // 10]:
                assert await fetch_with_curl(node, target, tmp_path) == file_of(tree, target).read_bytes()


def asked_for(origin: Nginx, since: int, targets: list[str]) -> list[str]:
    """Return which requests for any of `targets` have reached the origin `since` that many had."""
    paths = {unquote(urlsplit(target).path) for target in targets}
    return [line for line in origin.requests()[since:] if line.split()[1] in paths]


async def fetch_with_curl(node: Running, target: str, folder: Path) -> bytes:
    """Return the content that curl gets, which has to be a hit."""
    process = await asyncio.create_subprocess_exec(
        find("curl", "curl"), "-sS", "--fail", "--max-time", "30", "-H", "Host: site.test", "-D", folder / "head",
        "-o", folder / "content", f"{node.url}{target}",
    )  # fmt: skip
    assert await process.wait() == 0
    assert b"; hit" in (folder / "head").read_bytes()
    return (folder / "content").read_bytes()


async def after_expiry(session: aiohttp.ClientSession, url: str) -> tuple[bytes, str]:
    """Ask for a stored response until it is answered with the origin's help."""
    async with asyncio.timeout(30):
        while True:
            content, status = await get(session, url)
            if not is_hit(status):
                return content, status


async def test_what_expires_is_freshened_when_it_is_the_same_and_replaced_when_not(tmp_path: Path) -> None:
    files = {target: tmp_path / "files" / target.rpartition("/")[2] for target in SHORT_LIVED}
    (tmp_path / "files").mkdir()
    for target, file in files.items():
        file.write_bytes(target.encode() * 1000)
        os.utime(file, (1_700_000_000, 1_700_000_000))
    locations = f'location /short/ {{ alias {tmp_path}/files/; add_header Cache-Control "max-age=1"; }}'
    async with (
        nginx(tmp_path / "nginx", locations) as origin,
        edge(origin.url, tmp_path / "cache") as node,
        client() as session,
    ):
        for target, file in files.items():
            content, _ = await get(session, node.url + target)
            assert content == file.read_bytes()
        changed = SHORT_LIVED[::2]
        for target in changed:
            files[target].write_bytes(b"changed: " + target.encode() * 500)
        for target, file in files.items():
            content, status = await after_expiry(session, node.url + target)
            assert content == file.read_bytes()
            assert f"fwd=stale; fwd-status={200 if target in changed else 304}" in status
            content, status = await get(session, node.url + target)
            assert content == file.read_bytes()
            assert is_hit(status)
        statuses = [line.split()[2] for line in origin.requests()]
        assert (statuses.count("304"), statuses.count("200")) == (10, 30)


async def test_a_file_that_is_removed_is_gone_once_it_has_expired(tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(Path(__file__).parent, root / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    async with (
        demo_origin("--root", str(root), "--rule", "**=max-age=1") as origin,
        edge(origin.url, tmp_path / "cache") as node,
        client() as session,
    ):
        file = root / "tests" / "crawl.py"
        content, _ = await get(session, f"{node.url}/tests/crawl.py")
        assert content == file.read_bytes()
        file.unlink()
        async with asyncio.timeout(30):
            while True:
                async with session.get(f"{node.url}/tests/crawl.py") as response:
                    if response.status == 404:
                        break
                    assert await response.read() == content
