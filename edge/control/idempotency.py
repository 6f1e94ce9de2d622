"""Answers that are given again when the same request comes again, under the key its sender chose."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from sqlite3 import Error as DatabaseError
from typing import Any

from aiohttp import web
from diskcache import Timeout

from edge.control.endpoint import BY
from edge.control.problems import problem
from edge.durable import open_durable
from edge.errors import StoreError

#: For so many seconds an answer is remembered.
KEPT_SECONDS = 86_400
_is_key = re.compile(r"[\x21-\x7e]{1,255}").fullmatch


class Idempotency:
    """What was answered to requests with an Idempotency-Key, kept in a directory that is made when there is one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: Any = None
        self._in_progress: set[str] = set()

    async def once(self, request: web.Request, act: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """Return what `act` answers, or answered when this request came with the same key before."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return await act()
        if _is_key(key) is None:
            return problem(400, "An Idempotency-Key has 1 to 255 visible ASCII characters.")
        name = f"{request[BY].name} {key}"
        if name in self._in_progress:
            return problem(409, "A request with this Idempotency-Key is in progress.")
        self._in_progress.add(name)
        try:
            return await self._once(request, name, act)
        finally:
            self._in_progress.discard(name)

    async def _once(self, request: web.Request, name: str, act: Callable[[], Awaitable[web.Response]]) -> web.Response:
        try:
            self._kept = self._kept or await asyncio.to_thread(open_durable, self._directory)
        except StoreError:
            return problem(507, "The Idempotency-Key could not be remembered: nothing was done.")
        asked = sha256(await request.read()).hexdigest()
        match await asyncio.to_thread(self._recall, name):
            case [str(earlier), int(status), str(text)] if earlier == asked:
                headers = {"Idempotency-Replayed": "true"}
                return web.Response(status=status, body=text.encode(), content_type="application/json", headers=headers)
            case [str(), int(), str()]:
                return problem(422, "This Idempotency-Key came with another request before.")
            case _:
                pass
        response = await act()
        if response.status < 300:
            await asyncio.to_thread(self._remember, name, [asked, response.status, response.text])
        return response

    def _recall(self, name: str) -> object:
        try:
            return self._kept.get(name)
        except (StoreError, DatabaseError, Timeout, OSError):
            # To purge twice does no harm; not to purge would.
            return None

    def _remember(self, name: str, value: object) -> None:
        try:
            self._kept.set(name, value, expire=KEPT_SECONDS)
        except (DatabaseError, Timeout, OSError):
            return
