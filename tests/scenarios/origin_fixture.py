"""A whole node in this process, between raw sockets on both sides."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edge.clock import SystemClock
from edge.codecs.streams import NodeCodecs
from edge.downstream.listener import Listener, bind
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.policy.limits import Limits
from edge.ports import Store
from edge.tasks import cancel_all, spawn
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
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            spawn(self._serve(reader, writer), name="raw-origin")

        self._server = await asyncio.start_server(run, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Accept no more connections."""
        self._server.close()

    async def stop(self) -> None:
        self._server.close()
        await cancel_all()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                request = await reader.readuntil(HEAD_END)
                self.requests.append(request)
                await self.script(Peer(request, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


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
        self._clients: list[Client] = []
        self.store = store or MemoryStore()
        self.telemetry = RecordingTelemetry()
        self.origin = Origin(OriginSettings("main", "http", "127.0.0.1", origin.port, timeouts=timeouts), clock)
        self.codecs = NodeCodecs()
        context = Context(self.store, {"main": self.origin}, self.telemetry, clock, b"edge", codecs=self.codecs)
        self.driver = Driver(Sites([Site("a.test", (b"*",), "main", **site)]), context)
        self.listener = Listener(self.driver.handle, self.driver.refuse_unparsed, Limits(), clock)

    async def start(self) -> None:
        bound = bind("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        await self.listener.start(bound)

    async def stop(self) -> None:
        for client in self._clients:
            await client.close()
        self.listener.drain()
        self.listener.cut()
        await self.listener.drained()
        self.origin.close()
        self.codecs.close()

    async def connect(self, path: str = "/", *fields: str, version: str = "1.1", method: str = "GET") -> "Client":
        """Send a request without content."""
        _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", self.port)
        self._clients.append(client)
        lines = [f"{method} {path} HTTP/{version}", "Host: a.test", "Connection: close", *fields]
        client.transport.write("\r\n".join([*lines, "", ""]).encode())
        return client

    async def get(self, path: str = "/", *fields: str, method: str = "GET") -> Received:
        client = await self.connect(path, *fields, method=method)
        return await client.received()


Start = Callable[..., Awaitable[RealNode]]


class Client(asyncio.Protocol):
    """The client's end of one connection; `data` is all that came, also before a reset."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_over = False
        self.error: Exception | None = None
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over, self.error = True, exc
        self._changed.set()

    async def until(self, is_enough: Callable[[bytes], bool]) -> None:
        """Wait for enough data, or for the end."""
        while not self.is_over and not is_enough(self.data):
            self._changed.clear()
            await self._changed.wait()

    async def received(self) -> Received:
        """Wait for the end and return the response."""
        await self.until(lambda _: False)
        return parsed(bytes(self.data))

    async def close(self) -> None:
        self.transport.abort()
        await self.until(lambda _: False)


def parsed(data: bytes) -> Received:
    """Return the response that a connection brought."""
    head, _, content = data.partition(HEAD_END)
    first, *lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    status = int(first.split()[1])
    if fields.get(b"transfer-encoding") == b"chunked":
        return Received(status, fields, *_dechunked(content))
    return Received(status, fields, content, len(content) == int(fields.get(b"content-length", b"0")))


def _dechunked(rest: bytes) -> tuple[bytes, bool]:
    content = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        content += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
        if int(size, 16) == 0:
            return content, True
    return content, False


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
