"""Tunnels: connections that become another protocol's, by Upgrade and 101 (RFC 9110 §7.8), most often WebSocket (RFC 6455).

The origin decides: what it does not answer with a 101 is an ordinary response that is not stored.  A tunnel has a
connection of its own to the origin, and ends with either side, or when both have been silent for too long.
"""

import asyncio

from edge.caching.reuse import Fwd
from edge.errors import EdgeError, TunnelsFull, UpstreamProtocolError
from edge.exchange.asking import interim_to
from edge.exchange.context import Context
from edge.exchange.deliver import pass_through
from edge.exchange.exchange import Exchange
from edge.exchange.forward import forwarded_fields, forwarded_request, received_head
from edge.ports import Source, UpstreamResponse
from edge.semantics.forwarding import connection_options, end_to_end
from edge.semantics.messages import Request, Response
from edge.tasks import spawn


def protocol_of(request: Request, allowed: frozenset[bytes]) -> bytes | None:
    """Return the first protocol that a request asks for and that is `allowed`, None when it gets none."""
    fields = request.fields
    if (
        not allowed
        or request.method != b"GET"
        or request.version != (1, 1)
        or request.has_content
        or b"upgrade" not in connection_options(fields)
    ):
        return None
    return next((wanted for wanted in fields.members(b"upgrade") if wanted.lower() in allowed), None)


class Tunnels:
    """The tunnels of one worker."""

    def __init__(self, context: Context) -> None:
        self._context, self._limits = context, context.tunnels
        self._open = 0

    def __len__(self) -> int:
        return self._open

    async def serve(self, ex: Exchange, protocol: bytes) -> None:
        """Ask the origin for `protocol`, and carry what both sides say until one of them ends it.

        Raises:
            TunnelsFull: there are too many.
            UpstreamError: the origin gave no answer, or agrees to another protocol.
        """
        if self._open >= self._limits.most:
            raise TunnelsFull
        ex.forwards(Fwd.BYPASS, outcome="BYPASS")
        ex.did("upgrade")
        self._open += 1
        try:
            fields = forwarded_fields(ex).with_lines((b"upgrade", protocol))
            upstream = await self._context.origins[ex.site.origin].switch(forwarded_request(ex, fields), interim_to(ex))
            ex.heard(upstream)
            try:
                await self._answered(ex, upstream, protocol)
            finally:
                upstream.close()
        finally:
            self._open -= 1

    async def _answered(self, ex: Exchange, upstream: UpstreamResponse, protocol: bytes) -> None:
        now = self._context.clock.now()
        if upstream.head.status != 101:
            await pass_through(ex, upstream, received_head(upstream.head, upstream.response_time), now)
            return
        agreed = upstream.head.fields.combined(b"upgrade") or b""
        if agreed.lower() != protocol.lower():
            raise UpstreamProtocolError("the origin switches to a protocol that nobody asked for")
        fields = end_to_end(upstream.head.fields).without(b"content-length").with_lines((b"upgrade", agreed))
        ex.did("tunnel")
        said = ex.responder.switch(Response(101, fields, upstream.head.reason))
        ex.status, ex.first_byte, ex.left = 101, now, None
        await self._carry(ex, said, upstream)

    async def _carry(self, ex: Exchange, said: Source, upstream: UpstreamResponse) -> None:
        loop, idle = asyncio.get_running_loop(), self._limits.idle_seconds
        try:
            async with asyncio.timeout(idle) as limit:

                async def to_origin() -> None:
                    try:
                        while piece := await said.read():
                            await upstream.write(piece)
                            limit.reschedule(loop.time() + idle)
                        upstream.end_writing()
                    except EdgeError as error:
                        # The client is gone, or the origin is: reading from it ends as well.
                        ex.did(error.detail)
                        upstream.close()

                sending = spawn(to_origin(), name="tunnel")
                try:
                    while piece := await upstream.read():
                        await ex.send(piece)
                        limit.reschedule(loop.time() + idle)
                finally:
                    sending.cancel()
                    await asyncio.wait([sending])
        except TimeoutError:
            ex.did("tunnel-idle")
        except EdgeError as error:
            # Neither side may take what it got for all there was to be said.
            ex.did(error.detail)
            ex.responder.abort()
            return
        ex.finish()
