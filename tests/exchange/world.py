"""A driver between fakes, and what the tests of the exchange say to it."""

import asyncio
from dataclasses import dataclass, replace

from edge.caching.freshness import FreshnessRules
from edge.caching.stored import StoredResponse
from edge.codecs.streams import NodeCodecs
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.published import NothingPublished
from edge.exchange.site import Site, Sites
from edge.exchange.unwritten import UnwrittenPurges
from edge.policy.key import KeyPolicy, cache_key
from edge.policy.profile import SAFE, Profile
from edge.ports import Closable, Record
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target
from edge.tasks import alive
from edge.testing.clock import ManualClock
from edge.testing.pauses import Pauses
from edge.testing.responder import RecordingResponder
from edge.testing.store import MemoryStore
from edge.testing.telemetry import RecordingTelemetry
from edge.testing.upstream import Answer, ScriptedUpstream

ETAG = (b"etag", b'"v1"')
FRESH = (b"cache-control", b"max-age=60")
STALE = (b"cache-control", b"max-age=0")
# Seconds after which a task that should have ended is taken for stuck.
_STUCK = 20.0
PIECE = bytes(range(256)) * 256  # 64 KiB


class RequestContent:
    """Request content in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@dataclass
class Got:
    """What a client got, and what telemetry was told of it."""

    responder: RecordingResponder
    record: Record

    @property
    def head(self) -> Response:
        assert self.responder.head is not None
        return self.responder.head

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def content(self) -> bytes:
        return bytes(self.responder.content)

    @property
    def trace(self) -> list[str]:
        return list(self.record.trace)

    @property
    def cache_status(self) -> str:
        return self.record.cache_status.decode().removeprefix("edge; ")

    def field(self, name: bytes) -> bytes | None:
        return self.head.fields.get(name)


class Page(NothingPublished):
    """One stored response, published at every path."""

    sites = ("a.test",)

    def __init__(self, store: MemoryStore, stored: StoredResponse) -> None:
        self._store, self._stored = store, stored

    def covers(self, *_) -> bool:
        return True

    def find(self, *_) -> StoredResponse:
        return self._stored

    def open(self, stored: StoredResponse, start: int, end: int) -> Closable:
        return self._store.open(stored, start, end)


class World:
    """One node and everything around it."""

    def __init__(self, *, profile: Profile = SAFE, pauses: Pauses | None = None, **site) -> None:
        self.pauses = pauses or Pauses()
        self.clock = ManualClock()
        self.store = site.pop("store", None) or MemoryStore(self.pauses)
        self.upstream = ScriptedUpstream(self.clock, lambda _: Answer(fields=[FRESH]), self.pauses)
        self.telemetry = RecordingTelemetry()
        ports, self.codecs = {name: site.pop(name, None) for name in ("ring", "challenges")}, NodeCodecs()
        ports["purges"] = site.pop("purges", UnwrittenPurges())
        rules = site.pop("freshness", FreshnessRules(heuristic=profile.heuristic))
        self.site = Site("a.test", (b"a.test",), "main", profile=profile, freshness=rules, **site)
        context = Context(
            self.store, {"main": self.upstream}, self.telemetry, self.clock, b"edge", codecs=self.codecs, **ports
        )
        self.driver = Driver(Sites([self.site]), context)

    @property
    def asked(self) -> list[Request]:
        return self.upstream.requests

    def stored(self, path: bytes = b"/") -> list[StoredResponse]:
        return self.store.heads.get(cache_key(Target(b"http", b"a.test", path), KeyPolicy()), [])

    def request(
        self, *fields, method: bytes = b"GET", path: bytes = b"/", host: bytes = b"a.test", scheme: bytes = b"http"
    ) -> Request:
        path, _, query = path.partition(b"?")
        return Request(method, Target(scheme, host, path, query or None), FieldSection(fields))

    async def get(
        self, *fields, responder: RecordingResponder | None = None, content=None, client_ca: str = "", **request
    ) -> Got:
        """Send a request to its end, background work included only with `settle`."""
        responder = responder or RecordingResponder(pauses=self.pauses)
        asked = self.request(*fields, **request)
        if content is not None:
            asked = replace(asked, has_content=True, content_length=sum(map(len, content)))
        before = len(self.telemetry.records)
        await self.driver.handle(
            asked, RequestContent(*content or ()), responder, "192.0.2.1", client_ca=client_ca
        )  # fmt: skip
        mine = [record for record in self.telemetry.records[before:] if record.request is asked]
        assert len(mine) == 1, "one record for each exchange"
        return Got(responder, mine[0])

    async def head(self, *fields, **request) -> Got:
        return await self.get(*fields, method=b"HEAD", **request)

    async def warm(self, *answers: Answer, **request) -> None:
        """Let the answers be stored, one GET each, and forget what was asked."""
        for answer in answers:
            self.upstream.answers(answer)
            await self.get(**request)
            await self.settle()
        self.asked.clear()

    async def settle(self) -> None:
        """Wait until no task is left that the exchange has started."""
        turns, loop = 0, asyncio.get_running_loop()
        end = loop.time() + _STUCK
        while alive():
            assert loop.time() < end, "a task stays behind"
            turns += 1
            # What is left after so many turns waits for a thread.
            await (asyncio.sleep(0) if turns < 1000 else asyncio.to_thread(int))
        # Callbacks of the last one.
        await asyncio.sleep(0)

    def assert_idle(self) -> None:
        """Assert that nothing is left of the exchanges so far."""
        assert self.driver.in_flight == 0
        assert len(self.driver._collapsing) == 0
        assert not self.upstream.open
        assert (self.store.writers, self.store.sources) == (0, 0)
        assert alive() == 0


async def turns(count: int = 20) -> None:
    """Let everything else run for a while that does not wait for the test."""
    for _ in range(count):
        await asyncio.sleep(0)
