"""An origin that writes down every octet it is sent, and an edge in front of it, in one process on real sockets."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from edge.clock import SystemClock
from edge.downstream.listener import Listener, bind
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.policy.limits import Limits
from edge.ports import Record
from edge.tasks import cancel_all, spawn
from edge.testing.store import MemoryStore
from edge.upstream.origin import Origin
from edge.upstream.settings import OriginSettings

NODE = b"edge.test"
_request_line = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1").fullmatch
_field_line = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([^\x00-\x08\x0a-\x1f\x7f]*)").fullmatch
_chunk_size = re.compile(rb"([0-9a-f]+)\r\n").fullmatch


@dataclass(frozen=True)
class Asked:
    """A request as the origin understood it, by a grammar that forgives nothing."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    content: bytes

    @property
    def line(self) -> bytes:
        return b"%s %s" % (self.method, self.target)

    def values(self, name: bytes) -> list[bytes]:
        return [value for line_name, value in self.fields if line_name.lower() == name]


Answering = Callable[[Asked], bytes]


def ok(asked: Asked) -> bytes:
    """Answer with the target; what begins with /hit may be stored."""
    lifetime = b"max-age=60" if asked.target.startswith(b"/hit") else b"no-store"
    content = b"" if asked.method == b"HEAD" else asked.target
    return response(b"200 OK", content, b"Cache-Control: " + lifetime, length=len(asked.target))


def response(status: bytes, content: bytes, *lines: bytes, length: int | None = None) -> bytes:
    framing = b"Content-Length: %d" % (len(content) if length is None else length)
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, framing, b"", content])


@dataclass
class RecordingOrigin:
    """Answers with `answering`; keeps what it was asked, what it could not read, and how many connections there were.

    Attributes:
        asked: whole requests, in order.
        broken: what was sent on a connection before it was given up within a request.
        damaged: what is not a request.
    """

    answering: Answering = ok
    asked: list[Asked] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                asked = await self._read(reader)
                self.asked.append(asked)
                writer.write(self.answering(asked))
                await writer.drain()
        except asyncio.IncompleteReadError as error:
            if error.partial:
                self.broken.append(error.partial)
        except ValueError as error:
            self.damaged.append(repr(error).encode())
        except ConnectionError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *lines = head[:-4].split(b"\r\n")
        request, fields = _request_line(line), [_field_line(line) for line in lines]
        if request is None or None in fields:
            raise ValueError(head)
        asked = Asked(request[1], request[2], tuple((match[1], match[2]) for match in fields if match), b"")
        lengths, codings = asked.values(b"content-length"), asked.values(b"transfer-encoding")
        if len(lengths) + len(codings) > 1 or len(asked.values(b"host")) != 1:
            raise ValueError(head)
        if codings:
            return Asked(asked.method, asked.target, asked.fields, await self._chunked(reader))
        if lengths:
            content = await reader.readexactly(int(lengths[0]))
            return Asked(asked.method, asked.target, asked.fields, content)
        return asked

    async def _chunked(self, reader: asyncio.StreamReader) -> bytes:
        content = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = _chunk_size(line)
            if size is None:
                raise ValueError(line)
            piece = await reader.readexactly(int(size[1], 16) + 2)
            if piece[-2:] != b"\r\n":
                raise ValueError(piece)
            if len(piece) == 2:
                return content
            content += piece[:-2]


class Log:
    """Telemetry that keeps the records."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def exchange_ended(self, record: Record) -> None:
        self.records.append(record)

    def count(self, counter: str, amount: int = 1) -> None:
        pass


@dataclass(frozen=True)
class Edge:
    """A running edge."""

    port: int
    listener: Listener
    store: MemoryStore
    log: Log


class Stage:
    """Starts origins and edges, and ends all of it."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._origins: list[Origin] = []
        self._listeners: list[Listener] = []

    async def origin(self, answering: Answering = ok) -> RecordingOrigin:
        recording = RecordingOrigin(answering)

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            spawn(recording.serve(reader, writer), name="recording-origin")

        server = await asyncio.start_server(run, "127.0.0.1", 0)
        recording.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        return recording

    async def edge_with(
        self, origin: RecordingOrigin, *, hosts: tuple[bytes, ...] = (b"*",), limits: Limits | None = None, **choices
    ) -> Edge:
        clock, store, log = SystemClock(), MemoryStore(), Log()
        upstream = Origin(OriginSettings(name="main", scheme="http", host="127.0.0.1", port=origin.port), clock)
        site = Site(name="site", hosts=hosts, origin="main", **choices)
        driver = Driver(Sites([site]), Context(store, {"main": upstream}, log, clock, NODE))
        listener = Listener(driver.handle, driver.refuse_unparsed, limits or Limits(), clock)
        bound = bind("127.0.0.1", 0)
        port = bound.getsockname()[1]
        await listener.start(bound)
        self._origins.append(upstream)
        self._listeners.append(listener)
        return Edge(port, listener, store, log)

    async def close(self) -> None:
        for listener in self._listeners:
            listener.drain()
            listener.cut()
            await listener.drained()
        for upstream in self._origins:
            upstream.close()
        for server in self._servers:
            server.close()
        await cancel_all()
        for server in self._servers:
            await server.wait_closed()
