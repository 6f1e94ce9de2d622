"""A connection from a balancer that says first, by the PROXY protocol, for which client it is."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, cast

from edge.downstream.proxy_header import read_header
from edge.errors import ParseError

if TYPE_CHECKING:
    from edge.downstream.listener import Listener

Networks = Sequence[IPv4Network | IPv6Network]

#: Counted: a peer that may not announce clients; what is no PROXY header; none in time; too many, or the node stops.
UNTRUSTED, MALFORMED, TIMEOUT, GIVEN_UP = "proxy-untrusted", "proxy-malformed", "proxy-timeout", "proxy-given-up"


class AnnouncedConnection(asyncio.Protocol):
    """The beginning of a connection; what speaks TLS or HTTP takes it over behind the header."""

    def __init__(self, listener: "Listener", trusted: Networks) -> None:
        """Believe peers in the networks `trusted`, and refuse all others."""
        self._listener = listener
        self._trusted = trusted
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header of a peer that is trusted."""
        self._transport = cast("asyncio.Transport", transport)
        self._listener.arrived(self)
        self._deadline = asyncio.get_running_loop().time() + self._listener.limits.handshake_timeout
        if not self._is_trusted():
            self._reset(UNTRUSTED)

    def data_received(self, data: bytes) -> None:
        """Read the header, and hand over what follows it."""
        self._received += data
        try:
            announced = read_header(self._received)
        except ParseError:
            self._reset(MALFORMED)
            return
        if announced is None:
            return
        self._listener.settled(self)
        following = self._listener.entrance(announced.client)
        self._transport.set_protocol(following)
        following.connection_made(self._transport)
        if rest := self._received[announced.size :]:
            following.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the listener forget it."""
        self._listener.settled(self)

    def check(self, now: float) -> None:
        """Give up a peer that takes too long."""
        if now >= self._deadline:
            self._reset(TIMEOUT)

    def give_up(self) -> None:
        """Break it off: there are too many, or the node stops."""
        self._reset(GIVEN_UP)

    def _is_trusted(self) -> bool:
        peer = self._transport.get_extra_info("peername")
        if not isinstance(peer, tuple):
            return False
        address = ip_address(peer[0].partition("%")[0])
        # An IPv4 peer of a socket for both families.
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._trusted)

    def _reset(self, why: str) -> None:
        self._listener.settled(self)
        self._listener.count(why)
        self._transport.abort()
