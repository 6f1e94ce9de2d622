"""The server: the story of one request, and the life of the process."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from typing import assert_never

from aiohttp import web
from aiohttp.log import access_logger
from aiohttp.typedefs import Handler

from origin import api, files
from origin.answer import Representation, plan, text
from origin.delivery import deliver, hint
from origin.knobs import NO_KNOBS, BadKnob, Knobs, parse, turned
from origin.rules import cache_control
from origin.settings import Settings
from origin.stats import Stats

#: Octets of request content taken at most.
MAX_CONTENT = 16 * api.MIB
#: Seconds that answers under way have to end once the server stops, twice: by themselves, then cancelled.
GRACE = 1.0
#: Client, request line, status, octets sent and seconds taken.
LOG_FORMAT = '%a "%r" %s %b %Tf'

_NO_STORE = ("Cache-Control", "no-store")


class Origin:
    """Answers requests by its settings, and counts them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = settings.root.resolve()
        self._stats = Stats()

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request, whatever aiohttp's router makes of it."""
        if request.path.startswith("/_origin/"):
            return await self._send(request, self._administer(request), NO_KNOBS)
        self._stats.arrived(request)
        response = await self._answer(request)
        self._stats.answered(response.status)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            knobs = parse(request.query) if self._settings.knobs else NO_KNOBS
        except BadKnob as error:
            return await self._send(request, text(400, str(error)), NO_KNOBS)
        if knobs.early_hints:
            hint(request)
        await asyncio.sleep(self._settings.delay if knobs.delay is None else knobs.delay)
        endpoint = api.find(request.path)
        methods = api.READ_METHODS if endpoint is None else endpoint.methods
        if request.method not in methods:
            return await self._send(request, _refuse_method(request.method, methods), knobs)
        if endpoint is not None:
            return await self._send(request, self._ruled(request, await endpoint.answer(request, knobs)), knobs)
        return await self._serve_file(request, knobs)

    async def _serve_file(self, request: web.Request, knobs: Knobs) -> web.StreamResponse:
        match await files.look_up(self._root, request.rel_url.raw_path):
            case files.Refused(status):
                return await self._send(request, text(status), knobs)
            case files.Redirect(location):
                query = request.rel_url.raw_query_string
                target = f"{location}?{query}" if query else location
                return await self._send(request, text(301, target, ("Location", target)), knobs)
            case files.OpenFile() as file:
                with closing(file):
                    return await self._send(request, self._ruled(request, file.representation()), knobs)
            case _ as never:
                assert_never(never)

    def _administer(self, request: web.Request) -> Representation:
        match request.method, request.path:
            case (("GET" | "HEAD"), "/_origin/stats"):
                return api.as_json(self._stats.snapshot(), _NO_STORE)
            case "POST", "/_origin/reset":
                self._stats.reset()
                return text(204)
            case method, "/_origin/stats":
                return _refuse_method(method, api.READ_METHODS)
            case method, "/_origin/reset":
                return _refuse_method(method, ("POST",))
            case _:
                return text(404)

    def _ruled(self, request: web.Request, representation: Representation) -> Representation:
        value = cache_control(self._settings.rules, request.path, request.query)
        if value is None:
            return representation
        return replace(representation, fields=(*representation.fields, ("Cache-Control", value)))

    async def _send(self, request: web.Request, representation: Representation, knobs: Knobs) -> web.StreamResponse:
        answer = plan(request.method, request.headers, turned(representation, knobs), now=time.time())
        return await deliver(request, answer, knobs, knobs.bandwidth or self._settings.bandwidth)


def application(settings: Settings) -> web.Application:
    """Return the origin as an aiohttp application."""
    # A middleware and no route: the router has no place for `OPTIONS *`, nor for a path that answers 405 by itself.
    return web.Application(client_max_size=MAX_CONTENT, middlewares=[Origin(settings).handle])


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the URL once connections are accepted.

    Raises:
        OSError: the address cannot be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        application(settings),
        handler_cancellation=True,
        shutdown_timeout=GRACE,
        auto_decompress=False,
        access_log=None if settings.quiet else access_logger,
        access_log_format=LOG_FORMAT,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        ready(_url(runner))
        await stop.wait()
    finally:
        await runner.cleanup()


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refuse_method(method: str, allowed: tuple[str, ...]) -> Representation:
    """Return what another method than those `allowed` is answered with: the choice for OPTIONS, 405 for the others."""
    allow = ("Allow", ", ".join((*allowed, "OPTIONS")))
    return text(HTTPStatus.NO_CONTENT if method == "OPTIONS" else HTTPStatus.METHOD_NOT_ALLOWED, "", allow)
