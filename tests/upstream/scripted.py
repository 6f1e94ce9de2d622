"""An origin that says exactly what a test tells it to, on real sockets, and what most tests of the upstream need."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from edge.clock import SystemClock
from edge.errors import EdgeError
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.tasks import cancel_all, spawn
from edge.upstream.origin import Origin
from edge.upstream.settings import Limits, OriginSettings, Timeouts


class ManualClock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Peer:
    """The origin's end of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.lost = asyncio.Event()

    async def head(self) -> bytes:
        """Read one request head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def send(self, *pieces: bytes) -> None:
        """Send each piece in a segment of its own, as far as that can be had."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(3 if len(pieces) > 1 else 0):
                await asyncio.sleep(0)

    def reset(self) -> None:
        """Break the connection with RST."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def closed_by_edge(self) -> bytes:
        """Wait until the edge has closed the connection and return what it sent before."""
        received = b""
        with suppress(ConnectionError):
            while data := await self.reader.read(65536):
                received += data
        return received


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class ScriptedOrigin:
    """A listening origin; `requests` holds the heads that `answering` and tests put there."""

    script: Script
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self.connections, reader, writer)
        self.connections += 1
        try:
            await self.script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception as error:
            self.failures.append(error)
            raise
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


class Serving:
    """Starts scripted origins and edges to them, and ends all of it."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._origins: list[Origin] = []
        self.scripted: list[ScriptedOrigin] = []

    async def origin(self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"):
        scripted = ScriptedOrigin(script)

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            spawn(scripted.serve(reader, writer), name="scripted-origin")

        server = await asyncio.start_server(run, host, 0, ssl=tls)
        scripted.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        self.scripted.append(scripted)
        return scripted

    def edge(self, port: int, *, timeouts: Timeouts | None = None, limits: Limits | None = None, **settings) -> Origin:
        lookup = {"lookup": settings.pop("lookup")} if "lookup" in settings else {}
        clock = settings.pop("clock", None) or SystemClock()
        values = {"name": "main", "scheme": "http", "host": "127.0.0.1", "port": port} | settings
        edge = Origin(
            OriginSettings(**values, timeouts=timeouts or Timeouts(), limits=limits or Limits()), clock, **lookup
        )
        self._origins.append(edge)
        return edge

    async def pair(self, script: Script, **settings) -> tuple[ScriptedOrigin, Origin]:
        scripted = await self.origin(script)
        return scripted, self.edge(scripted.port, **settings)

    async def close(self) -> None:
        for edge in self._origins:
            edge.close()
        for server in self._servers:
            server.close()
        await cancel_all()
        for server in self._servers:
            await server.wait_closed()


class Content:
    """Request content in given pieces; an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece


class EndlessContent:
    """Request content that stops after one piece without an end; `stopped` tells that its reading was cancelled."""

    def __init__(self, piece: bytes) -> None:
        self.piece = piece
        self.stopped = asyncio.Event()

    async def read(self) -> bytes:
        if self.piece:
            piece, self.piece = self.piece, b""
            return piece
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()
        return b""


def a_request(method: bytes = b"GET", path: bytes = b"/", *, fields=(), **values) -> Request:
    target = Target(b"http", b"a.test", path)
    return Request(method, target, FieldSection(fields), **values)


async def content_of(response) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


async def outcome(work: Awaitable[object]) -> object:
    """Return the result of `work`, or the error the edge raised on purpose."""
    try:
        return await work
    except EdgeError as error:
        return error


def answering(*answers: bytes) -> Script:
    """Return a script that answers the requests of a connection with `answers` in turn, then waits for its end."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.head()
            await peer.send(answer)
        await peer.closed_by_edge()

    return script


def closing_after(*pieces: bytes, by_reset: bool = False) -> Script:
    """Return a script that answers one request with `pieces` and closes the connection."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(*pieces)
        if by_reset:
            peer.reset()

    return script
