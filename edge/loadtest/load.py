"""Asking for URLs by some connections at once, as fast as they are answered."""

import asyncio
import contextlib
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import SplitResult

import httptools

from edge.errors import EdgeError

_CONNECT_TIMEOUT = 5.0
# Seconds that what is under way at the end may still take.
_PATIENCE = 5.0


class LoadError(EdgeError):
    """No load can be made: nothing answers, or not in HTTP."""

    detail = "load"


@dataclass(slots=True)
class Counts:
    """What was seen.

    Attributes:
        seconds: how long the load was on.
        latencies: of each answered request in seconds, in the order of the answers.
        statuses: how many answers had which status.
        hits: answers that a cache on the way calls a hit of its own (Cache-Status, RFC 9211; else X-Cache).
        octets: of content received.
        failed: requests without a whole answer.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    hits: int = 0
    octets: int = 0
    failed: int = 0


class _Client(asyncio.Protocol):
    """One connection that asks, is answered, and asks again."""

    def __init__(self, requests: "itertools.cycle[bytes]", counts: Counts, until: float) -> None:
        self._requests, self._counts, self._until = requests, counts, until
        self._loop = asyncio.get_running_loop()
        self._asked: float | None = None
        self._is_hit = self._is_last = False
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._ask()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def eof_received(self) -> None:
        self._is_last = True

    def connection_lost(self, error: Exception | None) -> None:
        if self._asked is not None:
            self._counts.failed += 1
        if not self.ended.done():
            self.ended.set_result(None)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"cache-status":
            # RFC 9211 §2: the last member is the cache closest to us.
            self._is_hit = b"hit" in [part.strip() for part in value.rpartition(b",")[2].split(b";")]
        elif name == b"x-cache":
            self._is_hit = self._is_hit or value.lower().startswith(b"hit")

    def on_body(self, data: bytes) -> None:
        self._counts.octets += len(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._asked is None:
            return
        counts, now = self._counts, time.perf_counter()
        counts.latencies.append(now - self._asked)
        counts.statuses[status] += 1
        counts.hits += self._is_hit
        self._asked = None
        if self._is_last or now >= self._until or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._loop.call_soon(self._ask)

    def _ask(self) -> None:
        if not self._transport.is_closing():
            self._is_hit = False
            self._asked = time.perf_counter()
            self._transport.write(next(self._requests))


async def load(
    urls: Sequence[SplitResult], counts: Counts, *, connections: int, seconds: float, insecure: bool
) -> None:
    """Ask for `urls`, which are all of one server, in turn for `seconds`; fill `counts` meanwhile.

    Raises:
        LoadError: the server cannot be reached, or does not answer any request.
    """
    first = urls[0]
    host, tls = first.hostname or "", None
    if first.scheme == "https":
        tls = ssl.create_default_context()
        tls.set_alpn_protocols(["http/1.1"])
        if insecure:
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    requests = itertools.cycle([_request(url) for url in urls])
    began = time.perf_counter()
    until = began + seconds

    async def stay() -> None:
        """Keep one connection's worth of load up, whoever closes it."""
        while time.perf_counter() < until:
            answered = len(counts.latencies)
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                transport, client = await asyncio.get_running_loop().create_connection(
                    lambda: _Client(requests, counts, until),
                    host,
                    first.port or (443 if tls else 80),
                    ssl=tls,
                )
            try:
                async with asyncio.timeout(max(0.0, until - time.perf_counter()) + _PATIENCE):
                    await client.ended
            except TimeoutError:
                transport.abort()
                with contextlib.suppress(TimeoutError):
                    await client.ended
                return
            if answered == len(counts.latencies):
                raise LoadError("the server closes connections without an answer in HTTP/1.1")

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(connections):
                group.create_task(stay(), name=f"load {number}")
    except* OSError as errors:
        error = errors.exceptions[0]
        why = "it takes too long" if isinstance(error, TimeoutError) else error
        raise LoadError(f"no connection to {first.netloc}: {why}") from None
    except* LoadError as errors:
        raise LoadError(str(errors.exceptions[0])) from None
    finally:
        counts.seconds = min(time.perf_counter(), until) - began
    if not counts.latencies:
        raise LoadError("no request was answered")


def _request(url: SplitResult) -> bytes:
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return f"GET {path} HTTP/1.1\r\nHost: {url.netloc.rpartition('@')[2]}\r\nAccept: */*\r\n\r\n".encode("ascii")
