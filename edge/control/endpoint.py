"""One endpoint of the admin plane: a record from which the route, the OpenAPI document and the reference come."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from aiohttp import web

from edge.control.problems import problem
from edge.control.tokens import Scope, Token, TokenError, Tokens

audit = logging.getLogger("edge.audit")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Content = TypeVar("Content")
#: The token that a request was authorised by.
BY = web.RequestKey("by", Token)
#: The content of a request, once it was read.
CONTENT = web.RequestKey("content", bytes)
#: A request content longer than this is refused, octets; and one that takes longer than so many seconds to come.
MAX_CONTENT, CONTENT_SECONDS = 1 << 20, 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is answered.

    Attributes:
        method: GET, which answers HEAD as well, or another.
        path: as aiohttp has it, with {names}.
        sentence: what it does.
        handler: what does it.
        scope: what its token must allow, None for everybody.
        takes: the type of its JSON content.
        gives: the types that its answer may have, if they are told.
        media_type: of its answer.
        query: its query parameters, each with a sentence.
        statuses: what else it answers on its own account, beside what the scope and the content bring along.
        credentials: the field that has the token.
        refuses: the type of its own refusals where these are no problems; those on the way to it still are.
    """

    method: str
    path: str
    sentence: str
    handler: Handler
    scope: Scope | None = None
    takes: type | None = None
    gives: tuple[type, ...] = ()
    media_type: str = "application/json"
    query: tuple[tuple[str, str], ...] = ()
    statuses: tuple[int, ...] = ()
    credentials: str = "Authorization"
    refuses: type | None = None


def route(endpoint: Endpoint, tokens: Tokens | None) -> web.RouteDef:
    """Return the route of an endpoint, which asks for a token where one is needed."""
    scope = endpoint.scope

    async def authorised(request: web.Request) -> web.StreamResponse:
        if scope is None:
            return await endpoint.handler(request)
        refusal = _refusal(request, scope, tokens, endpoint.credentials)
        if refusal is not None:
            audit.warning("refused %s %s from %s: %d", request.method, endpoint.path, request.remote, refusal.status)
            return refusal
        return await endpoint.handler(request)

    return web.get(endpoint.path, authorised) if endpoint.method == "GET" else web.route(
        endpoint.method, endpoint.path, authorised
    )  # fmt: skip


async def read_json(request: web.Request, kind: type[Content], *, most: int = MAX_CONTENT) -> Content | web.Response:
    """Return the content of a request, at most `most` octets, as `kind`, or the problem with it."""
    read_from = request if most == MAX_CONTENT else request.clone(client_max_size=most)
    if request.content_type != "application/json":
        return problem(415, "The content has to be application/json.", {"Accept": "application/json"})
    try:
        async with asyncio.timeout(CONTENT_SECONDS):
            raw = request[CONTENT] = await read_from.read()
        return msgspec.json.decode(raw, type=kind)
    except TimeoutError:
        return problem(408)
    except web.RequestPayloadError:
        # Where the next request would begin is not known any more.
        refusal = problem(400, "The content is not what its coding and its length say.")
        refusal.force_close()
        return refusal
    except msgspec.ValidationError as error:
        return problem(422, f"{error}.")
    except RecursionError:
        return problem(422, "The content is nested too deeply.")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return problem(400, "The content is not JSON.")


def answer(value: object, status: int = 200) -> web.Response:
    """Return `value` as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def statuses(endpoint: Endpoint) -> Iterable[int]:
    """Return every status of a problem that an endpoint answers with."""
    found = {421, 500, *endpoint.statuses}
    if endpoint.scope is not None:
        found |= {401, 403, 503}
    if "{" in endpoint.path:
        # A part that cannot be there, such as one with a brace, leads nowhere.
        found.add(404)
    if endpoint.takes is not None:
        found |= {400, 408, 413, 415, 422}
    return sorted(found)


def _refusal(request: web.Request, scope: Scope, tokens: Tokens | None, field: str) -> web.Response | None:
    if tokens is None:
        return problem(
            403, "This needs a token, and the node has no token file; start it with --admin-token-file FILE."
        )
    values = request.headers.getall(field, [])
    kind, _, given = (
        values[0].partition(" ") if field == "Authorization" and values else ("bearer", "", "".join(values))
    )
    try:
        token = tokens.find(given.strip()) if len(values) == 1 and kind.lower() == "bearer" else None
    except TokenError:
        audit.exception("the token file cannot be used")
        return problem(503, "The token file cannot be read at present.")
    if token is None:
        return problem(401, "This needs a token.", {"WWW-Authenticate": 'Bearer realm="foreland"'})
    if scope not in token.scopes:
        challenge = f'Bearer realm="foreland", error="insufficient_scope", scope="{scope}"'
        return problem(
            403, f"The token does not allow this: it lacks the scope {scope}.", {"WWW-Authenticate": challenge}
        )
    request[BY] = token
    return None
