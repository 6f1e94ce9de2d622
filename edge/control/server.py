"""The admin plane as a server that is started and stopped."""

import logging
from collections.abc import Iterable
from typing import Any, final

from aiohttp import web

from edge.control.guard import guard
from edge.control.routes import Sources, routes

log = logging.getLogger("edge.control")

#: Requests have no content here; a little is read to answer 405 on a usable connection.
MAX_CONTENT = 64 * 2**10
KEEPALIVE_SECONDS = 30.0
SHUTDOWN_SECONDS = 2.0


@final
class Control:
    """The admin plane of one node.

    Args:
        sources: where the answers come from.
        names: host names that may be asked for beside localhost and IP literals.
    """

    def __init__(self, sources: Sources, *, names: Iterable[str] = ()) -> None:
        application = web.Application(middlewares=[guard(names)], client_max_size=MAX_CONTENT)
        application.add_routes(routes(sources))
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )  # fmt: skip

    async def start(self, host: str, port: int) -> str:
        """Listen on `host` and `port` (0: one that the system chooses) and return the URL; OSError if it is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        address: Any = self._runner.addresses[0]
        actual = address[0]
        return f"http://{f'[{actual}]' if ':' in actual else actual}:{address[1]}"

    async def stop(self) -> None:
        """Stop listening, let answers end for a moment, then close; stopping twice does nothing."""
        await self._runner.cleanup()
