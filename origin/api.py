"""The endpoints: an API that is public, one that is private, one that takes content, and generated content."""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from origin.answer import Generated, Literal, Representation
from origin.conditional import Validators
from origin.knobs import Knobs
from origin.negotiation import language

READ_METHODS = ("GET", "HEAD")
MIB = 1 << 20
LARGE_SIZE = 50 * MIB
#: Octets under /bytes when the query does not say.
DEFAULT_SIZE = MIB
#: Octets of a name that /hello repeats.
MAX_NAME = 100

#: Generated content does not change: it was all made on 2024-01-01.
GENERATED_AT = 1704067200

_GREETINGS = {"en": "Hello, {}!", "zh": "你好,{}!", "fr": "Bonjour, {} !", "de": "Hallo, {}!", "es": "¡Hola, {}!"}

Answering = Callable[[web.Request, Knobs], Awaitable[Representation]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a path, and to which methods."""

    methods: tuple[str, ...]
    answer: Answering


def find(path: str) -> Endpoint | None:
    """Return the endpoint of a decoded path, or None when it is a file's."""
    if path.startswith("/bytes/"):
        return ENDPOINTS["/bytes"]
    return ENDPOINTS.get(path)


def as_json(value: object, *fields: tuple[str, str]) -> Representation:
    """Return `value` as JSON, without validators."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    return Representation(Literal(text.encode(errors="replace")), "application/json", fields=fields)


async def _time(_request: web.Request, _knobs: Knobs) -> Representation:
    now = time.time()
    return as_json({"now": now, "text": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")})


async def _whoami(request: web.Request, _knobs: Knobs) -> Representation:
    """Tell the client what arrived; secrets by name only."""
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    shown = [line for line in lines if line[0].lower() not in {"cookie", "authorization", "proxy-authorization"}]
    version = f"{request.version.major}.{request.version.minor}"
    return as_json(
        {
            "method": request.method,
            "target": request.raw_path,
            "version": version,
            "client": request.remote,
            "fields": shown,
            "cookies": sorted(request.cookies),
            "authorized": "Authorization" in request.headers,
        }
    )


async def _hello(request: web.Request, _knobs: Knobs) -> Representation:
    spoken = language(request.headers.get("Accept-Language"), tuple(_GREETINGS))
    name = request.query.get("name", "world")[:MAX_NAME]
    greeting = {"greeting": _GREETINGS[spoken].format(name), "language": spoken}
    return as_json(greeting, ("Vary", "Accept-Language"), ("Content-Language", spoken))


async def _echo(request: web.Request, _knobs: Knobs) -> Representation:
    data = await request.read()
    return Representation(Literal(data), request.headers.get("Content-Type", "application/octet-stream"))


async def _bytes(request: web.Request, knobs: Knobs) -> Representation:
    return generated(request.path, DEFAULT_SIZE if knobs.size is None else knobs.size)


async def _large(request: web.Request, _knobs: Knobs) -> Representation:
    return generated(request.path, LARGE_SIZE)


def generated(path: str, length: int) -> Representation:
    """Return `length` octets of the pattern whose seed is the decoded path in UTF-8."""
    seed = path.encode(errors="surrogateescape")
    etag = f'"{hashlib.blake2s(seed, digest_size=6).hexdigest()}-{length:x}"'
    return Representation(Generated(length, seed), "application/octet-stream", Validators(etag, GENERATED_AT))


ENDPOINTS = {
    "/api/time": Endpoint(READ_METHODS, _time),
    "/api/whoami": Endpoint(READ_METHODS, _whoami),
    "/api/private": Endpoint(READ_METHODS, _whoami),
    "/api/hello": Endpoint(READ_METHODS, _hello),
    "/hello": Endpoint(READ_METHODS, _hello),
    "/api/echo": Endpoint(("POST", "PUT"), _echo),
    "/bytes": Endpoint(READ_METHODS, _bytes),
    "/large.bin": Endpoint(READ_METHODS, _large),
}
