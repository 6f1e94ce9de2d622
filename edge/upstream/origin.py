"""The way to one origin: connect, send, and send once more when that is safe; implements the exchange's `Upstream`."""

import asyncio
import ssl
from functools import partial

from edge.clock import Clock
from edge.errors import EdgeError, UpstreamClosedEarly, UpstreamConnectError, UpstreamError, UpstreamTimeout
from edge.outbox import Outbox
from edge.ports import Allowance
from edge.semantics.messages import IDEMPOTENT_METHODS, Request
from edge.tasks import spawn
from edge.upstream.addresses import Addresses, Lookup, system_lookup
from edge.upstream.connection import Answered, Connection, Interim, Received
from edge.upstream.pool import Pool, PoolStatistics
from edge.upstream.request import RequestContent, request_head
from edge.upstream.settings import OriginSettings
from edge.upstream.tls import OriginTls

#: How many addresses one attempt to connect goes through.
ADDRESSES_TRIED = 4


class Origin:
    """One origin and the connections to it."""

    def __init__(self, settings: OriginSettings, clock: Clock, *, lookup: Lookup = system_lookup) -> None:
        """Prepare to connect.

        Raises:
            OSError: `settings.ca_file` cannot be read or holds no certificate.
        """
        self.settings = settings
        self._clock = clock
        self._addresses = Addresses(settings.host, settings.port, clock, lookup=lookup)
        self._tls = _tls_context(settings) if settings.scheme == "https" else None
        self._server_name = (settings.server_name or self._addresses.host) if self._tls else None
        self._outbox = Outbox()
        self._pool = Pool(self._connect, settings.limits, clock)

    async def send(
        self,
        request: Request,
        content: RequestContent | None,
        interim: Interim | None,
        allowance: Allowance | None = None,
    ) -> Received:
        """Send `request` and return the final response's head, as the port says.

        An idempotent request without content is sent again, once and on a connection that has not been idle, when
        a reused connection turns out to be dead (RFC 9112 §9.3.1).
        """
        head = request_head(request, self.settings.authority)
        connection = await self._pool.acquire()
        try:
            return await connection.exchange(request, head, content, interim, allowance)
        except UpstreamClosedEarly:
            if content is not None or request.method not in IDEMPOTENT_METHODS:
                raise
        return await self._send_again(request, head, content, interim, allowance)

    async def switch(self, request: Request, interim: Interim | None) -> Received:
        """Send a request that asks for another protocol, on a connection of its own, as the port says."""
        head = request_head(request, self.settings.authority)
        connection = await self._connect()
        return await connection.exchange(request, head, None, interim)

    def send_nowait(self, request: Request, interim: Interim | None, answered: Answered) -> bool:
        """Send `request`, if a connection is at hand, and have `answered` told what `send` returns, as the port says."""
        head = request_head(request, self.settings.authority)
        connection = self._pool.take_idle()
        if connection is None:
            return False
        again = partial(self._again, request, head, interim, answered) if request.method in IDEMPOTENT_METHODS else None
        connection.begin(request.method, head, interim, answered, again)
        return True

    def _again(self, request: Request, head: bytes, interim: Interim | None, answered: Answered) -> None:
        async def again() -> None:
            try:
                response = await self._send_again(request, head, None, interim)
            except EdgeError as error:
                answered(error)
            else:
                answered(response)

        _ = spawn(again(), name="upstream-again")

    async def _send_again(
        self,
        request: Request,
        head: bytes,
        content: RequestContent | None,
        interim: Interim | None,
        allowance: Allowance | None = None,
    ) -> Received:
        connection = await self._pool.acquire(fresh=True)
        return await connection.exchange(request, head, content, interim, allowance)

    def statistics(self) -> PoolStatistics:
        """Return how the connections are used."""
        return self._pool.statistics()

    def close(self) -> None:
        """Close idle connections and take no more requests; what is under way goes on to its end."""
        self._pool.close()

    async def _connect(self) -> Connection:
        """Connect to one of the addresses, within the connect timeout for all of them."""
        deadline = asyncio.get_running_loop().time() + self.settings.timeouts.connect
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._addresses.candidates()
        except TimeoutError as error:
            raise UpstreamTimeout(f"no answer for {self._addresses.host} in time") from error
        return await self._connect_to_first(addresses[:ADDRESSES_TRIED], deadline)

    async def _connect_to_first(self, addresses: list[str], deadline: float) -> Connection:
        """Connect to the first address that lets us; each may take its share of the time that is left."""
        loop = asyncio.get_running_loop()
        failure: UpstreamError = UpstreamConnectError("no address")
        for tried, address in enumerate(addresses):
            now = loop.time()
            try:
                async with asyncio.timeout_at(now + (deadline - now) / (len(addresses) - tried)):
                    return await self._dial(address)
            except TimeoutError as error:
                failure = UpstreamTimeout(f"no connection to {address} in time")
                failure.__cause__ = error
            except OSError as error:
                failure = UpstreamConnectError(f"no connection to {address}: {error}")
                failure.__cause__ = error
            self._addresses.mark_failed(address)
        raise failure

    async def _dial(self, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(self._clock, self.settings.timeouts, self._outbox)
        if self.settings.path is not None:
            await loop.create_unix_connection(lambda: connection, self.settings.path)
        elif self._tls is None:
            await loop.create_connection(lambda: connection, address, self.settings.port)
        else:
            tls = OriginTls(self._tls, self._server_name, connection)
            await loop.create_connection(lambda: tls, address, self.settings.port)
            await tls.established()
        return connection


def _tls_context(settings: OriginSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
