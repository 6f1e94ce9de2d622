"""Listening sockets, their connections, and the time limits these are held to."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from edge.clock import Clock
from edge.downstream.content import Content
from edge.downstream.head import Head
from edge.downstream.http1 import Http1
from edge.downstream.ready import ReadyTable
from edge.downstream.response import Http1Responder
from edge.errors import DownstreamError
from edge.policy.limits import Limits
from edge.semantics.dates import format_date
from edge.semantics.messages import Request

log = logging.getLogger("edge.downstream")

#: Called for each request of a connection, in order; must not raise.
Handle = Callable[[Request, Content, Http1Responder, str], Awaitable[None]]
#: Called instead for what could not be parsed as a request.
Refuse = Callable[[DownstreamError, Http1Responder, str], Awaitable[None]]
_BACKLOG = 4096
_SWEEP = 0.5


class Listener:
    """One listening socket."""

    def __init__(
        self,
        handle: Handle,
        refuse: Refuse,
        limits: Limits,
        clock: Clock,
        *,
        ready: ReadyTable | None = None,
        scheme: bytes = b"http",
    ) -> None:
        """Answer with `handle`, and with `ready` first where there is one."""
        self.handle = handle
        self.refuse = refuse
        self.limits = limits
        self.scheme = scheme
        self.is_draining = False
        self._clock = clock
        self._ready = ready
        self._connections: set[Http1] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._date = (0, b"")

    async def start(self, bound: socket.socket) -> None:
        """Accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        self._server = await create(lambda: Http1(self), sock=bound, backlog=_BACKLOG)
        self._sweeper = loop.call_later(_SWEEP, self._sweep)

    def drain(self) -> None:
        """Accept no more, close what is idle, and let every answer in progress be its connection's last."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close_if_idle()

    async def drained(self) -> None:
        """Wait until no connection is left."""
        while self._connections:
            self._empty.clear()
            await self._empty.wait()

    def cut(self) -> None:
        """Reset the connections that are left."""
        if self._connections:
            log.warning("%d connections were cut off", len(self._connections))
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def opened(self, connection: Http1) -> None:
        """Take note of a new connection; one too many is refused at once."""
        self._connections.add(connection)
        if len(self._connections) > self.limits.connections:
            connection.abort()
        elif self.is_draining:
            connection.close_if_idle()

    def closed(self, connection: Http1) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def by_octets(self, raw: bytes, client: str) -> tuple[bytes, ...] | None:
        """Return the ready answer to a head that was answered before, None when it must be parsed."""
        return None if self._ready is None else self._ready.by_octets(raw, client, self.date)

    def by_request(self, raw: bytes, head: Head, client: str) -> tuple[bytes, ...] | None:
        """Return the ready answer to a parsed head, None when the handler must answer it."""
        return None if self._ready is None else self._ready.by_request(raw, head, client, self.date)

    def date(self) -> bytes:
        """Return the present time as an IMF-fixdate, made once a second."""
        now = int(self._clock.now())
        if self._date[0] != now:
            self._date = (now, format_date(now))
        return self._date[1]

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        if self._ready is not None:
            self._ready.sweep()
        self._sweeper = loop.call_later(_SWEEP, self._sweep)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; OSError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6 and host == "::":
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)  # noqa: FBT003 - the socket API is positional
    return bound
