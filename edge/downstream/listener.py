"""Listening sockets, their connections, and the time limits these are held to."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

from edge.clock import Clock
from edge.downstream.accepting import Accepting, Sharing
from edge.downstream.announced import AnnouncedConnection, Networks
from edge.downstream.choosing import Choosing
from edge.downstream.head import Head
from edge.downstream.http1 import Http1
from edge.downstream.http2.connection import Http2
from edge.downstream.ready import ReadyTable
from edge.downstream.tls import Tls
from edge.downstream.tls_contexts import TlsContexts
from edge.errors import DownstreamError
from edge.outbox import Outbox
from edge.policy.limits import Limits
from edge.ports import Piece, PromptResponder, Responder, Source
from edge.semantics.dates import format_date
from edge.semantics.messages import Request

log = logging.getLogger("edge.downstream")

#: Called for each request of a connection, in order; must not raise.
Handle = Callable[[Request, Source, Responder, str], Awaitable[None]]
#: Called before it for a request that comes alone, with what to call when the answer has ended; returns whether it does.
Begin = Callable[[Request, PromptResponder, str, Callable[[], None]], bool]
#: Called instead for what could not be parsed as a request.
Refuse = Callable[[DownstreamError, Responder, str], Awaitable[None]]
#: What a TLS listener offers by ALPN, the preferred one first; `Listener.protocol` speaks it.
PROTOCOLS = ("h2", "http/1.1")
_BACKLOG = 4096
_SWEEP = 0.5


class Passing(Protocol):
    """A connection that is not at HTTP yet, or no longer."""

    def check(self, now: float) -> None:
        """Act on whatever takes too long."""
        ...

    def give_up(self) -> None:
        """Break it off before HTTP: there are too many, or the node stops."""
        ...


class Connection(Protocol):
    """A connection at HTTP."""

    def close_if_idle(self) -> None:
        """Close between requests, or as soon as those in progress are answered."""
        ...

    def check(self, now: float) -> None:
        """Act on whatever the client takes too long for."""
        ...

    def abort(self) -> None:
        """Reset it; does nothing once it is gone."""
        ...


class Listener:
    """One listening socket."""

    def __init__(  # noqa: PLR0913 - what a listener needs, by name
        self,
        handle: Handle,
        refuse: Refuse,
        limits: Limits,
        clock: Clock,
        *,
        begin: Begin = lambda _request, _responder, _client, _over: False,
        ready: ReadyTable | None = None,
        tls: TlsContexts | None = None,
        announcing: Networks = (),
        count: Callable[[str], None] = lambda _event: None,
        h2c: bool = False,
        known: Callable[[str], Handle] | None = None,
    ) -> None:
        """Answer with `handle`, and with `ready` and `begin` first where there are any.

        Args:
            handle: answers a request.
            refuse: answers what is no request.
            limits: what a client may do.
            clock: for Date.
            begin: begins to answer a request without a task, if it can.
            ready: answers that need no handler.
            tls: the certificates; None to speak HTTP without TLS.
            announcing: the peers that say by the PROXY protocol who the client is; all others are refused then.
            count: told of named events.
            h2c: whether clients may begin with HTTP/2 without TLS.
            known: returns what answers the clients that have shown a certificate which a site's `client_ca` has signed.
        """
        self.handle = handle
        self.begin = begin
        self.refuse = refuse
        self.limits = limits
        #: Of the targets of requests.
        self.scheme = b"http" if tls is None else b"https"
        self.count = count
        self.is_draining = False
        #: For whole answers.
        self.outbox = Outbox()
        self._clock = clock
        self._ready = ready
        #: Returns the ready answer to a head that was answered before, None when it must be parsed.
        self.by_octets = _nothing_ready if ready is None else ready.by_octets
        self._tls = tls
        self._announcing = announcing
        self._h2c = h2c
        self._known = known
        self._connections: set[Connection] = set()
        # In the order in which they came.
        self._arriving: dict[Passing, None] = {}
        self._leaving: set[Passing] = set()
        self._server: asyncio.Server | Accepting | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._date = (0, b"")
        self._changed: Callable[[], None] | None = None

    async def start(self, bound: socket.socket, sharing: Sharing | None = None) -> None:
        """Accept connections on a bound socket; with `sharing`, as one of several processes."""
        loop = asyncio.get_running_loop()
        if sharing is not None:
            self._changed = sharing.changed
            bound.listen(_BACKLOG)
            self._server = Accepting(bound, self._accepted, sharing)
            sharing.changed()
        else:
            create = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
            self._server = await create(self._accepted, sock=bound, backlog=_BACKLOG)
        self._sweeper = loop.call_later(_SWEEP, self._sweep)

    def drain(self) -> None:
        """Accept no more, close what is idle, and let every answer in progress be its connection's last."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        for arriving in list(self._arriving):
            arriving.give_up()
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
        return len(self._connections) + len(self._arriving)

    def entrance(self, client: str | None = None) -> asyncio.Protocol:
        """Return what a connection begins with, for `client` if that is not the peer."""
        if self._tls is not None:
            return Tls(self, self._tls, client)
        return Choosing(self, client) if self._h2c else Http1(self, client)

    def protocol(self, negotiated: str | None, client: str | None, client_ca: str = "") -> asyncio.Protocol:
        """Return what speaks the protocol that was negotiated by ALPN; None is HTTP/1.1 (RFC 7301)."""
        handle = self._known(client_ca) if client_ca and self._known is not None else self.handle
        return Http2(self, client, handle) if negotiated == "h2" else Http1(self, client, handle)

    def arrived(self, connection: Passing) -> None:
        """Take note of a connection that is not at HTTP yet; it makes the oldest of too many give up.

        The oldest, because an honest one is through in milliseconds and one that stalls is not.
        """
        self._arriving[connection] = None
        if self.is_draining or self.connections > self.limits.connections:
            connection.give_up()
        elif len(self._arriving) > self.limits.handshakes:
            next(iter(self._arriving)).give_up()

    def settled(self, connection: Passing) -> None:
        """Forget a connection that is at HTTP, or has failed before."""
        self._arriving.pop(connection, None)

    def leaving(self, connection: Passing) -> None:
        """Take note of a connection that waits for its client to close too."""
        self._leaving.add(connection)

    def left(self, connection: Passing) -> None:
        """Forget a connection that is closed."""
        self._arriving.pop(connection, None)
        self._leaving.discard(connection)

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection; one too many is refused at once."""
        self._connections.add(connection)
        if self._changed is not None:
            self._changed()
        if len(self._connections) > self.limits.connections:
            connection.abort()
        elif self.is_draining:
            connection.close_if_idle()

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if self._changed is not None:
            self._changed()
        if not self._connections:
            self._empty.set()

    def by_request(self, raw: bytes, head: Head, client: str) -> tuple[Piece, ...] | None:
        """Return the ready answer to a parsed head, None when the handler must answer it."""
        return None if self._ready is None else self._ready.by_request(raw, head, client, self.date)

    def date(self) -> bytes:
        """Return the present time as an IMF-fixdate, made once a second."""
        now = int(self._clock.now())
        if self._date[0] != now:
            self._date = (now, format_date(now))
        return self._date[1]

    def _accepted(self) -> asyncio.Protocol:
        return AnnouncedConnection(self, self._announcing) if self._announcing else self.entrance()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for passing in [*self._arriving, *self._leaving]:
            passing.check(now)
        for connection in list(self._connections):
            connection.check(now)
        if self._ready is not None:
            self._ready.sweep()
        self._sweeper = loop.call_later(_SWEEP, self._sweep)


def _nothing_ready(_raw: bytes, _client: str, _date: Callable[[], bytes]) -> None:
    return None


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
