"""A whole node in this process, between raw sockets on both sides."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edge.clock import SystemClock
from edge.downstream.listener import Listener, bind
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.policy.limits import Limits
from edge.ports import Store
from edge.testing.store import MemoryStore
from edge.testing.telemetry import RecordingTelemetry
from edge.upstream.origin import Origin
from edge.upstream.settings import OriginSettings, Timeouts

HEAD_END = b"\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nfine"


class Peer:
    """The origin's end of one request."""

    def __init__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class RawOrigin:
    """Answers each request by `script`, byte for byte; `requests` are the heads in order."""

    script: Script
    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                request = await reader.readuntil(HEAD_END)
                self.requests.append(request)
                await self.script(Peer(request, writer))
        writer.close()


@dataclass(frozen=True)
class Received:
    """What a client got: `is_whole` when the framing says that nothing is missing."""

    status: int
    fields: dict[bytes, bytes]
    content: bytes
    is_whole: bool


class RealNode:
    """A listener, the exchange and the way to one raw origin."""

    def __init__(self, origin: RawOrigin, store: Store | None = None, *, timeouts: Timeouts, **site) -> None:
        clock = SystemClock()
        self.raw = origin
        self.store = store or MemoryStore()
        self.telemetry = RecordingTelemetry()
        self.origin = Origin(OriginSettings("main", "http", "127.0.0.1", origin.port, timeouts=timeouts), clock)
        context = Context(self.store, {"main": self.origin}, self.telemetry, clock, b"edge")
        self.driver = Driver(Sites([Site("a.test", (b"*",), "main", **site)]), context)
        self.listener = Listener(self.driver.handle, self.driver.refuse_unparsed, Limits(), clock)

    async def start(self) -> None:
        bound = bind("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        await self.listener.start(bound)

    def stop(self) -> None:
        self.listener.drain()
        self.listener.cut()
        self.origin.close()

    async def connect(self, path: str = "/", *fields: str, method: str = "GET") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{method} {path} HTTP/1.1", "Host: a.test", "Connection: close", *fields]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        self._writers = [*getattr(self, "_writers", ()), writer]
        return reader

    async def get(self, path: str = "/", *fields: str, method: str = "GET") -> Received:
        reader = await self.connect(path, *fields, method=method)
        try:
            return await receive(reader)
        finally:
            self._writers.pop().close()


async def receive(reader: asyncio.StreamReader) -> Received:
    """Read one response up to its end, or to where it broke off."""
    head = await reader.readuntil(HEAD_END)
    first, *lines = head[:-4].split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    content, is_whole = await _content(reader, fields)
    return Received(int(first.split()[1]), fields, content, is_whole)


async def _content(reader: asyncio.StreamReader, fields: dict[bytes, bytes]) -> tuple[bytes, bool]:
    received = bytearray()
    try:
        if b"content-length" in fields:
            length = int(fields[b"content-length"])
            while len(received) < length and (piece := await reader.read(65536)):
                received += piece
            return bytes(received), len(received) == length
        while fields.get(b"transfer-encoding") == b"chunked":
            size = int(await reader.readuntil(b"\r\n"), 16)
            received += await reader.readexactly(size)
            await reader.readexactly(2)
            if size == 0:
                return bytes(received), True
    except (ConnectionError, asyncio.IncompleteReadError):
        return bytes(received), False
    return b"", True


def sends(*pieces: bytes, then: Callable[[Peer], None] | None = None) -> Script:
    """Return the script that sends `pieces` and may end the connection."""

    async def script(peer: Peer) -> None:
        for piece in pieces:
            await peer.send(piece)
        if then is not None:
            then(peer)

    return script


def in_turn(*scripts: Script) -> Script:
    """Return the script that lets each of `scripts` answer one request, the last one all that follow."""
    left: Sequence[Script] = scripts

    async def script(peer: Peer) -> None:
        nonlocal left
        first, left = left[0], left[1:] or left
        await first(peer)

    return script


async def hang(_: Peer) -> None:
    """Answer nothing, ever."""
    await asyncio.Event().wait()
