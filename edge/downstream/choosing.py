"""Which protocol a client speaks without TLS: what it begins with tells (RFC 9113 §3.3)."""

import asyncio
from typing import TYPE_CHECKING, cast

from edge.downstream.http1 import Http1
from edge.downstream.http2.connection import Http2
from edge.downstream.http2.frames import PREFACE

if TYPE_CHECKING:
    from edge.downstream.listener import Listener

_FIRST_REQUEST_SECONDS = 1.0


class Choosing(asyncio.Protocol):
    """A connection that does not know its protocol yet, and gives its place to one that does."""

    __slots__ = ("_client", "_deadline", "_input", "_is_gone", "_listener", "_transport")

    def __init__(self, listener: "Listener", client: str | None = None) -> None:
        """Serve through `listener`; `client` is who the client is if it is not the peer."""
        self._listener = listener
        self._client = client
        self._input = b""
        self._is_gone = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first octets."""
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().time() + self._listener.limits.header_timeout
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        """Go on as soon as the octets tell."""
        self._input += data
        if not PREFACE.startswith(self._input[: len(PREFACE)]):
            self._become(Http1)
        elif len(self._input) >= len(PREFACE):
            self._become(Http2)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave."""
        self._is_gone = True
        self._listener.closed(self)

    # What the listener calls.

    def close_if_idle(self) -> None:
        """Give it a moment, as what it asks may be on its way."""
        now = asyncio.get_running_loop().time()
        self._deadline = min(self._deadline, now + _FIRST_REQUEST_SECONDS)

    def abort(self) -> None:
        """Reset the connection; does nothing once it is gone."""
        if not self._is_gone:
            self._is_gone = True
            self._transport.abort()

    def check(self, now: float) -> None:
        """Close when the client does not begin."""
        if now >= self._deadline:
            self._transport.close()

    def _become(self, kind: type[Http1] | type[Http2]) -> None:
        protocol = kind(self._listener, self._client)
        self._listener.closed(self)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._input:
            protocol.data_received(self._input)
