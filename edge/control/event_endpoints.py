"""The stream of what happens to a node, as server-sent events."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import msgspec
from aiohttp import web

from edge.control.endpoint import Endpoint
from edge.control.events import Event, Events
from edge.control.guard import HEADERS
from edge.control.problems import problem
from edge.control.tokens import Scope

#: So many may look on at a time; each hears something at least so often, and has to take it within so many seconds.
MOST, QUIET_SECONDS, TAKE_SECONDS = 32, 15.0, 30.0

_COMMENT = b":\n\n"


def endpoints(events: Events) -> Iterator[Endpoint]:
    """Yield the endpoint."""
    streams: set[web.StreamResponse] = set()

    async def stream(request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Last-Event-ID", "0")
        if not (given.isascii() and given.isdigit() and len(given) < 20):
            return problem(400, "Last-Event-ID is the id of an event.")
        if len(streams) >= MOST:
            return problem(503, f"There are {MOST} streams already.")
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        streams.add(response)
        try:
            # Who goes, or does not take what is sent, is let go; what was missed is told by the id that is sent next time.
            with suppress(ConnectionError, TimeoutError):
                await response.prepare(request)
                if request.method != "HEAD":
                    await _send_all(response, events, int(given))
        finally:
            streams.discard(response)
        return response

    yield Endpoint(
        "GET", "/v1/events",
        "Stream what happens to the node: purges, reloads, ends of workers, storing, certificates (server-sent events).",
        stream, Scope.READ, gives=(Event,), media_type="text/event-stream", statuses=(400,),
    )  # fmt: skip


async def _send_all(response: web.StreamResponse, events: Events, last: int) -> None:
    """Send every event after `last`, and those to come, until there are no more."""
    while True:
        found = events.after(last)
        last = found[-1].id if found else last
        async with asyncio.timeout(TAKE_SECONDS):
            await response.write(b"".join(map(_framed, found)) or _COMMENT)
        if events.has_ended:
            return
        # Some may have come while those before were sent.
        if not events.after(last):
            await events.wait(QUIET_SECONDS)


def _framed(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode(), msgspec.json.encode(event))
