"""The admin plane as a server that is started and stopped."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, final

from aiohttp import web

from edge.control.endpoint import MAX_CONTENT, Endpoint, answer, route
from edge.control.guard import HEADERS, guard
from edge.control.openapi import document
from edge.control.problems import problem
from edge.control.routes import Sources, endpoints
from edge.control.tokens import Scope, Tokens
from edge.control.unix import UnixSocket
from edge.downstream.tls_contexts import TlsContexts

log = logging.getLogger("edge.control")

KEEPALIVE_SECONDS = 30.0
SHUTDOWN_SECONDS = 2.0


@final
class Control:
    """The admin plane of one node.

    Args:
        sources: where the answers come from.
        names: host names that may be asked for beside localhost and IP literals.
        more: what is answered beside that.
        tokens: who may ask for what needs a token; None for nobody.
        tls: what is shown to clients; None to speak plain HTTP. Its names may be asked for, too.
        is_exposed: whether other machines can connect: figures then need a token.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        names: Iterable[str] = (),
        more: Iterable[Endpoint] = (),
        tokens: Tokens | None = None,
        tls: TlsContexts | None = None,
        is_exposed: bool = False,
    ) -> None:
        self._tls = tls
        self._socket: UnixSocket | None = None
        certified = () if tls is None else (name for each in tls.certificates for name in each.names)
        application = web.Application(middlewares=[guard([*names, *certified])], client_max_size=MAX_CONTENT)
        answered = [*endpoints(sources, Scope.READ if is_exposed else None), *more]
        application.add_routes([route(one, tokens) for one in [*answered, _described(answered, sources.version)]])
        self._runner = _Runner(
            application, access_log=None, handle_signals=False, keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )  # fmt: skip

    async def start(self, host: str, port: int) -> str:
        """Listen on `host` and `port` (0: one that the system chooses) and return the URL; OSError if it is taken."""
        await self._runner.setup()
        try:
            context = None if self._tls is None else self._tls.front.context
            await web.TCPSite(self._runner, host, port, ssl_context=context).start()
        except OSError:
            await self._runner.cleanup()
            raise
        address: Any = self._runner.addresses[0]
        actual = address[0]
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{f'[{actual}]' if ':' in actual else actual}:{address[1]}"

    async def start_unix(self, path: Path) -> str:
        """Listen on a Unix socket at `path` and return its address; OSError if it cannot be had."""
        self._socket = UnixSocket(path)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket.socket).start()
        return f"unix:{path}"

    def refresh(self) -> None:
        """Show the certificate that is on the disk now, if it has changed and can be used."""
        if self._tls is not None:
            self._tls.refresh()

    async def stop(self) -> None:
        """Stop listening, let answers end for a moment, then close; stopping twice does nothing."""
        await self._runner.cleanup()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _described(answered: Sequence[Endpoint], version: str) -> Endpoint:
    described = document(answered, version)

    async def openapi(_request: web.Request) -> web.Response:
        return answer(described)

    return Endpoint("GET", "/openapi.json", "Describe the endpoints (OpenAPI 3.1).", openapi)


class _Connection(web.RequestHandler):
    """A connection that answers what is not HTTP, or fails outside the middleware, as the rest is answered."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a problem, and close."""
        if status >= 500:
            log.error("admin request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = problem(status, headers=HEADERS)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)
