"""Two workers with a purge log between them, in front of an origin whose content changes, and what clients may see.

The origin counts versions.  Whoever purges changes the content first; once the purge has returned, a request that starts
may get that version or a later one.  Some content changes without its entity tag: only what a hard purge takes away can
keep a validation from bringing the old one back.
"""

import asyncio
import random
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from edge.caching.coding import CompressionRules
from edge.clock import SystemClock
from edge.codecs.streams import NodeCodecs
from edge.downstream.listener import Listener, bind
from edge.downstream.ready import ReadyTable
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.policy import purging_targets
from edge.policy.key import KeyPolicy
from edge.policy.limits import Limits
from edge.policy.purging import EVERYTHING, Mode, Selector
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch, NodePurges
from edge.store.disk import Disk
from edge.store.settings import Settings
from edge.tasks import spawn
from edge.testing.telemetry import RecordingTelemetry
from edge.upstream.origin import Origin
from edge.upstream.settings import OriginSettings

HOST = "site.test"
_request = re.compile(rb"([A-Z]+) (/\S*) ").match
_range = re.compile(rb"\r\nrange: bytes=(\d+)-(\d*)\r\n", re.IGNORECASE).search
_condition = re.compile(rb"\r\nif-(?:none-match|range): ([^\r]*)\r\n", re.IGNORECASE).search
_LINE = 8


@dataclass
class Page:
    """Something at the origin: `hides` changes its content and not its entity tag."""

    path: str
    tag: str
    group: str
    lines: int
    hides: bool
    version: int = 1

    @property
    def etag(self) -> bytes:
        return b'W/"same"' if self.hides else b'"%d"' % self.version

    def content(self, version: int) -> bytes:
        return b"%07d\n" % version * self.lines


PAGES = [
    Page(f"/{'ab'[number % 2]}/{number}", f"t{number % 3}", f"g{number % 2}", (4, 400, 30_000)[number % 3], number % 4 == 3)
    for number in range(12)
]  # fmt: skip


class ChangingOrigin:
    """Answers with the version there is when it is asked, and takes its time."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.pages = {page.path: Page(**vars(page)) for page in PAGES}
        self.not_modified = self.parts = 0

    async def start(self) -> int:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            spawn(self._serve(reader, writer), name="changing-origin")

        self._server = await asyncio.start_server(run, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not await self._answer(head, writer):
                    break
        writer.transport.abort()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        method, path = _request(head).groups()
        page = self.pages[path.decode()]
        if method == b"POST":
            for other in self.pages.values():
                other.version += other.group == page.group and not other.hides
            writer.write(b'HTTP/1.1 204 x\r\nCache-Group-Invalidation: "%s"\r\n\r\n' % page.group.encode())
            return True
        version, etag = page.version, page.etag
        common = (
            b'ETag: %s\r\nCache-Control: max-age=600\r\nSurrogate-Key: all %s\r\nCache-Groups: "%s"\r\nVary: X-Kind\r\n'
            b"Content-Type: text/plain\r\n" % (etag, page.tag.encode(), page.group.encode())
        )
        await asyncio.sleep(self._rng.choice((0, 0, 0.001, 0.01)))
        condition, part = _condition(head), _range(head)
        if condition is not None and condition[1] == etag and part is None:
            self.not_modified += 1
            writer.write(b"HTTP/1.1 304 x\r\n%s\r\n" % common)
            return True
        content = page.content(version)
        status = b"200 OK"
        common += b"X-Version: %d\r\n" % version
        if part is not None and not page.hides and (condition is None or condition[1] == etag):
            start, end = int(part[1]), min(int(part[2] or len(content)) + 1, len(content))
            if start < end:
                self.parts += 1
                status = b"206 Partial Content"
                common += b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, len(content))
                content = content[start:end]
        writer.write(b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, common, len(content)))
        if method == b"HEAD":
            return True
        for start in range(0, len(content), 50_000):
            writer.write(content[start : start + 50_000])
            await writer.drain()
            await asyncio.sleep(self._rng.choice((0, 0, 0.002)))
        return True


class Worker:
    """An edge with a store of its own, and the purge log of all."""

    async def start(
        self, path: Path, log: Path, shared: LocalEpoch, port: int, compression: CompressionRules | None
    ) -> None:
        clock = SystemClock()
        self.disk = await Disk.start(path, Settings(quota=64 << 20, memory=2 << 20), clock)
        self.purges = NodePurges(PurgeLog(log, shared, holds=self.disk.stats().objects > 0, now=clock.now()), shared)
        self.origin = Origin(OriginSettings(name="main", scheme="http", host="127.0.0.1", port=port), clock)
        site = Site("site", (b"*",), "main", collapse_wait=0.05, compression=compression)
        self.codecs = NodeCodecs()
        self.telemetry = RecordingTelemetry()
        context = Context(
            self.disk, {"main": self.origin}, self.telemetry, clock, b"edge", self.purges, codecs=self.codecs
        )
        driver = Driver(Sites([site]), context)
        self.ready = 0

        def told(*_: object) -> None:
            self.ready += 1

        table = ReadyTable(driver.prepared.find, told, clock, swept=driver.prepared.sweep)
        self.listener = Listener(
            driver.handle, driver.refuse_unparsed, Limits(), clock, begin=driver.begin, ready=table
        )
        bound = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        await self.listener.start(bound)

    async def stop(self) -> None:
        self.listener.drain()
        self.listener.cut()
        await self.listener.drained()
        self.origin.close()
        self.codecs.close()
        await self.disk.close()
        self.purges.close()


@dataclass
class Tally:
    """What clients saw: `wrong` says what should never be."""

    checked: int = 0
    coded: int = 0
    hits: int = 0
    ready: int = 0
    collapsed: int = 0
    purges: int = 0
    wrong: list[str] = field(default_factory=list)


class Purging:
    """Clients, and somebody who purges."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._rng = folder, random.Random(seed)
        self._origin = ChangingOrigin(seed)
        self._floors = dict.fromkeys(self._origin.pages, 0)
        self._left = 0
        self.tally = Tally()

    async def run(self, requests: int, *, lives: int) -> Tally:
        """Let clients send so many requests, over so many lives of the workers."""
        port = await self._origin.start()
        for life in range(lives):
            self._left = requests // lives
            # What was stored without codings is found with them, and the other way round.
            compression = CompressionRules(hot=5) if life % 2 else None
            shared = LocalEpoch()
            self._workers = [Worker(), Worker()]
            for number, worker in enumerate(self._workers):
                await worker.start(self._folder / str(number), self._folder / "purges", shared, port, compression)
            async with aiohttp.ClientSession(headers={"Host": HOST}) as session, asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(self._ask(session))
                for _ in range(2):
                    group.create_task(self._purge(session))
            for worker in self._workers:
                await worker.stop()
                self.tally.ready += worker.ready
        await self._origin.stop()
        return self.tally

    @property
    def validated(self) -> int:
        return self._origin.not_modified

    @property
    def parts(self) -> int:
        return self._origin.parts

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        rng = self._rng
        while self._left > 0:
            self._left -= 1
            page = rng.choice(list(self._origin.pages.values()))
            fields = {"X-Kind": rng.choice("001"), "Accept-Encoding": rng.choice(["identity", "br", "gzip, zstd"])}
            length = page.lines * _LINE
            if rng.random() < 0.2:
                start = rng.randrange(length)
                fields["Range"] = f"bytes={start}-{rng.choice(['', min(length - 1, start + 1000)])}"
            # A 200 to HEAD with the same entity tag updates the fields: of what hides, to those of another version.
            method = "HEAD" if rng.random() < 0.05 and not page.hides else "GET"
            floor = self._floors[page.path]
            url = rng.choice(self._workers).url + page.path
            async with session.request(method, url, headers=fields) as response:
                self._check(page, floor, response, await response.read(), method)

    def _check(self, page: Page, floor: int, response: aiohttp.ClientResponse, content: bytes, method: str) -> None:
        version, status = int(response.headers["X-Version"]), response.headers["Cache-Status"]
        expected = page.content(version)
        if response.status == 206:
            first, last = re.fullmatch(r"bytes (\d+)-(\d+)/\d+", response.headers["Content-Range"]).groups()
            expected = expected[int(first) : int(last) + 1]
        self.tally.checked += 1
        self.tally.coded += "Content-Encoding" in response.headers
        self.tally.hits += "; hit" in status
        self.tally.collapsed += "; collapsed" in status
        if version < floor:
            self.tally.wrong.append(f"{page.path} has version {version} after {floor} was purged: {status}")
        if method == "GET" and content != expected:
            self.tally.wrong.append(f"{page.path} is not its version {version}: {status}")

    async def _purge(self, session: aiohttp.ClientSession) -> None:
        while self._left > 0:
            before = self._left
            if self._rng.random() < 0.1:
                await self._post(session)
            else:
                await self._purge_some()
            self.tally.purges += 1
            while self._left > max(0, before - 20):
                await asyncio.sleep(0.001)

    async def _purge_some(self) -> None:
        page = self._rng.choice(list(self._origin.pages.values()))
        mode = self._rng.choice(list(Mode))
        selector, hit = self._selected(page)
        floors = {}
        for one in hit:
            if mode is Mode.HARD or not one.hides:
                one.version += 1
                floors[one.path] = one.version
        await self._rng.choice(self._workers).purges.purge(mode, (selector,), SystemClock().now())
        self._raise(floors)

    def _selected(self, page: Page) -> tuple[Selector, list[Page]]:
        pages = list(self._origin.pages.values())
        policy_of = {HOST.encode(): KeyPolicy()}.get
        folder = page.path[:2]
        match self._rng.choice(["url", "url", "prefix", "tag", "group", "host", "everything"]):
            case "url":
                return purging_targets.url(f"http://{HOST}{page.path}", policy_of), [page]
            case "prefix":
                return purging_targets.prefix(HOST + folder, policy_of), [p for p in pages if p.path.startswith(folder)]
            case "tag":
                return purging_targets.tag(page.tag), [p for p in pages if p.tag == page.tag]
            case "group":
                return purging_targets.tag(page.group), [p for p in pages if p.group == page.group]
            case "host":
                return purging_targets.host(HOST, policy_of), pages
            case _:
                return EVERYTHING, pages

    async def _post(self, session: aiohttp.ClientSession) -> None:
        page = self._rng.choice(list(self._origin.pages.values()))
        async with session.post(self._rng.choice(self._workers).url + page.path) as response:
            await response.read()
        same = [one for one in self._origin.pages.values() if one.group == page.group and not one.hides]
        # At least the version that the origin made of the one before it was asked.
        self._raise({one.path: min(one.version, self._floors[one.path] + 1) for one in same})

    def _raise(self, floors: dict[str, int]) -> None:
        for path, version in floors.items():
            self._floors[path] = max(self._floors[path], version)
