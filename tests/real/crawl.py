"""A small crawler: everything that the pages and style sheets below a URL refer to."""

import asyncio
import re
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import aiohttp

_CLIENTS = 8
_css_url = re.compile(r"""url\(\s*['"]?([^'")]+)""")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL was answered with."""

    status: int
    content: bytes
    cache_status: str


class _Links(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"href", "src"} and value]


async def crawl(session: aiohttp.ClientSession, start: str) -> dict[str, Fetched]:
    """Return what everything below the URL `start` is answered with, by path and query."""
    fetched: dict[str, Fetched] = {}
    seen = {start}
    waiting: asyncio.Queue[str] = asyncio.Queue()
    waiting.put_nowait(start)

    async def work() -> None:
        while True:
            url = await waiting.get()
            async with session.get(url, allow_redirects=False) as response:
                content, kind = await response.read(), response.content_type
                answer = Fetched(response.status, content, response.headers["Cache-Status"])
            parts = urlsplit(url)
            fetched[parts.path + (f"?{parts.query}" if parts.query else "")] = answer
            for link in _references(content, kind) if response.status == 200 else ():
                found = urldefrag(urljoin(url, link)).url
                if found.startswith(start) and found not in seen:
                    seen.add(found)
                    waiting.put_nowait(found)
            waiting.task_done()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(_CLIENTS)]
        finished = group.create_task(waiting.join())
        await asyncio.wait([finished, *workers], return_when=asyncio.FIRST_COMPLETED)
        for task in (finished, *workers):
            task.cancel()
    return fetched


# Parsing takes most of a crawl, and a tree is crawled more than once.
@lru_cache(maxsize=2048)
def _references(content: bytes, kind: str) -> list[str]:
    if kind == "text/css":
        return _css_url.findall(content.decode(errors="replace"))
    links = _Links()
    if kind == "text/html":
        links.feed(content.decode(errors="replace"))
    return links.found
