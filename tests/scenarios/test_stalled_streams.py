"""What a client costs that asks for much and takes none of it: little beside the requests, which wait for the origin alike."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import edge
from edge.app import ring_limits
from edge.clock import SystemClock
from edge.config.load import load
from edge.downstream.http2.frames import HEADERS
from edge.downstream.listener import Listener
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.ports import Store
from edge.store.disk import Disk
from edge.store.settings import Settings
from edge.tasks import spawn
from edge.testing.store import MemoryStore
from edge.testing.telemetry import RecordingTelemetry
from edge.upstream.origin import Origin
from edge.upstream.settings import OriginSettings
from tests.downstream.http2.speaking import GET, Speaking, only, window_update
from tests.scenarios.staging import NODE, Log

STREAMS, MIB = 100, 1 << 20
PIECE = bytes(64 << 10)
# Nothing is sent for so long once nobody has room.
QUIET, STUCK = 0.2, 30


class Plenty:
    """An origin that sends so much for each request, once `gate` is open, as fast as it is taken."""

    def __init__(self, cache_control: bytes, size: int = 16 * MIB) -> None:
        self.gate, self.all_asked = asyncio.Event(), asyncio.Event()
        self.written, self._arrived, self._size = 0, 0, size
        self._head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nCache-Control: %b\r\n\r\n" % (size, cache_control)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self._arrived += 1
                if self._arrived == STREAMS:
                    self.all_asked.set()
                await self.gate.wait()
                writer.write(self._head)
                for _ in range(self._size // len(PIECE)):
                    writer.write(PIECE)
                    await writer.drain()
                    self.written += len(PIECE)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def quiet(self) -> None:
        """Wait until nothing more is taken."""
        async with asyncio.timeout(STUCK):
            before = -1
            while before != self.written:
                before = self.written
                await asyncio.sleep(QUIET)


class Owner:
    """A ring in which another worker owns everything."""

    def __init__(self, way: Origin) -> None:
        self._way = way

    def owner(self, _key: bytes) -> Origin:
        return self._way

    async def invalidate(self, _key: bytes) -> None:
        """Have nothing forgotten: no key is here."""


@asynccontextmanager
async def speaking(
    plenty: Plenty, store: Store, owner: tuple[Path, Store] | None = None
) -> AsyncIterator[tuple[Speaking, int]]:
    """Run an edge, with its `owner` of all keys at a path, if there is one; yield clients for it and its port."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spawn(plenty.serve(reader, writer), name="plenty")

    async with await asyncio.start_server(run, "127.0.0.1", 0) as server:
        clock, port = SystemClock(), server.sockets[0].getsockname()[1]
        upstream = Origin(OriginSettings(name="main", scheme="http", host="127.0.0.1", port=port), clock)
        sites = Sites([Site(name="site", hosts=(b"*",), origin="main")])
        clients, ring = Speaking(), None
        if owner is not None:
            driver = Driver(sites, Context(owner[1], {"main": upstream}, RecordingTelemetry(), clock, NODE))
            limits = ring_limits(load(None, {"origins": ["http://a.test"]}, {}))
            listener = Listener(driver.handle_relayed, driver.refuse_unparsed, limits, clock)
            listener.scheme = b"ring"
            bound = socket.socket(socket.AF_UNIX)
            bound.bind(str(owner[0]))
            await listener.start(bound)
            clients.listeners.append(listener)
            ring = Owner(Origin(OriginSettings("owner", "http", "127.0.0.1", 0, path=str(owner[0])), clock))
        driver = Driver(sites, Context(store, {"main": upstream}, Log(), clock, NODE, ring=ring))
        _, port = await clients.listener(driver.handle)
        try:
            yield clients, port
        finally:
            upstream.close()
            await clients.close()


def held() -> int:
    """Return the octets that the edge has asked for and not given back, but for the few buffers that all reads share."""
    package = Path(edge.__file__).parent
    ours = tracemalloc.Filter(True, str(package / "*"))
    shared = tracemalloc.Filter(False, str(package / "store" / "buffers.py"))
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ours, shared]).traces)


def asking(streams: range, path: bytes | None = None) -> list[bytes]:
    """Return requests for `path`, by default each for a content of its own."""
    return [only(stream, *GET[:3], (b":path", path or b"/%d" % stream)) for stream in streams]


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("window", [0, 1, 65_535, 1 << 24])
@pytest.mark.usefixtures("traced")
async def test_what_is_passed_on_stays_with_the_origin(window):
    plenty, streams = Plenty(b"no-store"), range(1, 2 * STREAMS, 2)
    async with speaking(plenty, MemoryStore()) as (clients, port):
        # With windows for everything, it is the kernel that has no room, and what was to be sent at once waits for it.
        peer = await clients.peer(port, receive_buffer=64 << 10)
        await peer.greet((0x4, window))
        await peer.send(window_update(0, 1 << 24), *asking(streams))
        async with asyncio.timeout(STUCK):
            await plenty.all_asked.wait()
        waiting = held()
        plenty.gate.set()
        if window < 1 << 24:
            for _ in streams:
                assert await peer.until(lambda got: got.kind == HEADERS)
            assert await peer.pong()
        await plenty.quiet()
        assert held() - waiting < MIB


@pytest.mark.parametrize("window", [0, 1, 65_535])
@pytest.mark.usefixtures("traced")
async def test_what_is_stored_stays_on_the_disk(window, tmp_path):
    plenty = Plenty(b"max-age=3600")
    plenty.gate.set()
    disk = await Disk.start(tmp_path, Settings(quota=256 * MIB, memory=MIB), SystemClock())
    try:
        async with speaking(plenty, disk) as (clients, port):
            filler = await clients.peer(port)
            await filler.greet((0x4, 1 << 24))
            await filler.send(window_update(0, 1 << 24), *asking(range(1, 2), b"/"))
            assert (await filler.answer()).is_whole
            peer = await clients.peer(port)
            await peer.greet((0x4, window))
            before = held()
            streams = range(1, 2 * STREAMS, 2)
            await peer.send(window_update(0, 1 << 24), *asking(streams, b"/"))
            for _ in streams:
                assert await peer.until(lambda got: got.kind == HEADERS)
            assert await peer.pong()
            await plenty.quiet()
            assert held() - before < MIB
    finally:
        await disk.close()


@pytest.mark.parametrize(("control", "size"), [(b"no-store", 16 * MIB), (b"max-age=3600", 2 * MIB)])
@pytest.mark.usefixtures("traced")
async def test_of_what_another_worker_brings_little_waits_there(control, size, tmp_path):
    plenty, streams = Plenty(control, size), range(1, 2 * STREAMS, 2)
    disk = await Disk.start(tmp_path, Settings(quota=512 * MIB, memory=MIB), SystemClock())
    try:
        async with speaking(plenty, MemoryStore(), (tmp_path / "owner", disk)) as (clients, port):
            peer = await clients.peer(port)
            await peer.greet()
            await peer.send(window_update(0, 1 << 24), *asking(streams))
            async with asyncio.timeout(STUCK):
                await plenty.all_asked.wait()
            waiting = held()
            plenty.gate.set()
            for _ in streams:
                assert await peer.until(lambda got: got.kind == HEADERS)
            assert await peer.pong()
            async with asyncio.timeout(STUCK):
                # What is stored is on the disk before long.
                while held() - waiting > 16 * MIB:
                    await plenty.quiet()
    finally:
        await disk.close()
