"""Clients that say exactly what a test tells them to, and small handlers to say it to, on real sockets."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from edge.clock import SystemClock
from edge.downstream.content import Content
from edge.downstream.http1 import Http1
from edge.downstream.listener import Handle, Listener, bind
from edge.downstream.response import Http1Responder
from edge.errors import DownstreamClosed, DownstreamError, EdgeError
from edge.policy.limits import Limits
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.tasks import cancel_all

NO_FIELDS = FieldSection()


@dataclass(frozen=True)
class Answer:
    """A response as a client reads it."""

    status: int
    fields: dict[bytes, bytes]
    content: bytes

    @property
    def closes(self) -> bool:
        return self.fields.get(b"connection") == b"close"


class Client:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def head(self) -> tuple[int, dict[bytes, bytes]]:
        line, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines)
        return int(line.split(b" ")[1]), {name.lower(): value for name, value in fields.items()}

    async def answer(self, method: bytes = b"GET") -> Answer:
        """Read one response as RFC 9112 §6.3 says."""
        status, fields = await self.head()
        if method == b"HEAD" or status < 200 or status in {204, 304}:
            return Answer(status, fields, b"")
        if b"transfer-encoding" in fields:
            return Answer(status, fields, await self._chunked())
        if b"content-length" in fields:
            return Answer(status, fields, await self.reader.readexactly(int(fields[b"content-length"])))
        return Answer(status, fields, await self.reader.read())

    async def rest(self) -> bytes:
        """Read to the clean end of the connection; ConnectionResetError at any other."""
        return await self.reader.read()

    async def ended(self) -> bytes:
        """Read to the end of the connection, of whatever kind."""
        received = b""
        with suppress(ConnectionError):
            while data := await self.reader.read(1 << 16):
                received += data
        return received

    async def _chunked(self) -> bytes:
        content = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            content += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return content


class Talking:
    """Starts listeners and clients, and ends all of it."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.clients: list[Client] = []

    async def listener(self, handle: Handle, limits: Limits | None = None, **options) -> tuple[Listener, int]:
        listener = Listener(handle, refuse, limits or Limits(), SystemClock(), **options)
        bound = bind("127.0.0.1", 0)
        port = bound.getsockname()[1]
        await listener.start(bound)
        self.listeners.append(listener)
        return listener, port

    async def client(self, port: int, *, receive_buffer: int | None = None, **tls) -> Client:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        client = Client(*await asyncio.open_connection(sock=sock, limit=1 << 20, **tls))
        self.clients.append(client)
        return client

    async def to(self, handle: Handle, limits: Limits | None = None, **options: int) -> Client:
        """Return a client of a new listener whose requests `handle` answers."""
        _, port = await self.listener(handle, limits)
        return await self.client(port, **options)

    async def close(self) -> None:
        for client in self.clients:
            client.writer.close()
        for listener in self.listeners:
            listener.drain()
            listener.cut()
            await listener.drained()
        for client in self.clients:
            # A TLS connection may have ended by an alert, which is an OSError too.
            with suppress(OSError):
                await client.writer.wait_closed()
        await cancel_all()


@dataclass
class Hearing:
    """Handles requests by answering with what it heard, once `gate` is open; `heard` says how reading ended."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[tuple[Request, bytes, EdgeError | None]] = field(default_factory=list)

    async def __call__(self, request: Request, content: Content, responder: Http1Responder, client: str) -> None:
        self.began.set()
        await self.gate.wait()
        received, error = b"", None
        try:
            while piece := await content.read():
                received += piece
        except DownstreamError as raised:
            error = raised
        self.heard.append((request, received, error))
        with suppress(DownstreamClosed):
            if error is None:
                await say(responder, 200, b"%s %s %s" % (request.method, request.target.path_and_query, received))
            elif not isinstance(error, DownstreamClosed):
                await say(responder, error.status, b"")


def hearing() -> Hearing:
    """Return a handler that answers at once."""
    heard = Hearing()
    heard.gate.set()
    return heard


def saying(status: int = 200, content: bytes = b"hello", *, lines=()) -> Handle:
    """Return a handler that answers without looking at the request content."""

    async def handle(request: Request, _content: Content, responder: Http1Responder, _client: str) -> None:
        with suppress(DownstreamClosed):
            await say(responder, status, content, lines=lines)

    return handle


async def say(responder: Http1Responder, status: int, content: bytes, *, lines=()) -> None:
    responder.start(Response(status, FieldSection(lines)), len(content))
    await responder.send(content)
    responder.finish()


async def refuse(error: DownstreamError, responder: Http1Responder, client: str) -> None:
    await say(responder, error.status, b"%d\n" % error.status)


def feeding(listener: Listener) -> Callable[[bytes], None]:
    """Return what feeds the only connection of `listener`, for tests that care where segments end."""
    (connection,) = listener._connections
    assert isinstance(connection, Http1)
    return connection.data_received
