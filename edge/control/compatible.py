"""Purge requests in the shape of Fastly's and Cloudflare's APIs, for tools that know no other."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from aiohttp import web

from edge.control.endpoint import BY, Endpoint, answer, read_json
from edge.control.problems import problem
from edge.control.purge_endpoints import not_written
from edge.control.purging import Names, PurgeRequest, Purging
from edge.control.tokens import Scope
from edge.errors import PurgeNotWritten
from edge.policy.purging import Mode

#: What the settings call them.
FASTLY, CLOUDFLARE = "fastly", "cloudflare"


class KeysRequest(msgspec.Struct, kw_only=True):
    """Fastly's batch of surrogate keys."""

    surrogate_keys: Annotated[list[str], msgspec.Meta(max_length=256)] = msgspec.field(default_factory=list)


class File(msgspec.Struct):
    """A file with the request fields that select a variant; every variant of it is purged."""

    url: str


class ZoneRequest(msgspec.Struct, kw_only=True):
    """Cloudflare's one of five."""

    files: Annotated[list[str | File], msgspec.Meta(max_length=1000)] = msgspec.field(default_factory=list)
    tags: Names = msgspec.field(default_factory=list)
    hosts: Names = msgspec.field(default_factory=list)
    prefixes: Names = msgspec.field(default_factory=list)
    purge_everything: bool = False


def endpoints(purging: Purging, shapes: tuple[str, ...]) -> Iterator[Endpoint]:
    """Yield the endpoints of the shapes that are wanted."""
    if FASTLY in shapes:
        yield from _fastly(purging)
    if CLOUDFLARE in shapes:
        yield from _cloudflare(purging)


def _fastly(purging: Purging) -> Iterator[Endpoint]:
    async def act(request: web.Request, asked: PurgeRequest) -> int | web.Response:
        asked.mode = Mode.SOFT if request.headers.get("Fastly-Soft-Purge") == "1" else Mode.HARD
        selectors, faults = purging.selectors(asked)
        if faults:
            return problem(422, "Nothing was purged.", errors=faults)
        try:
            return (await purging.purge(asked.mode, selectors, by=request[BY].name, at=request.remote)).id
        except PurgeNotWritten:
            return not_written()

    async def url(request: web.Request) -> web.Response:
        named = request.raw_path.removeprefix("/purge/")
        texts = [named] if "://" in named else [f"http://{named}", f"https://{named}"]
        done = await act(request, PurgeRequest(urls=texts))
        return done if isinstance(done, web.Response) else answer({"status": "ok", "id": str(done)})

    async def key(request: web.Request) -> web.Response:
        done = await act(request, PurgeRequest(tags=[request.match_info["key"]]))
        return done if isinstance(done, web.Response) else answer({"status": "ok", "id": str(done)})

    async def keys(request: web.Request) -> web.Response:
        named = request.headers.get("Surrogate-Key", "").split()
        if not named:
            asked = await read_json(request, KeysRequest)
            if isinstance(asked, web.Response):
                return asked
            named = asked.surrogate_keys
        done = await act(request, PurgeRequest(tags=named))
        return done if isinstance(done, web.Response) else answer(dict.fromkeys(named, str(done)))

    async def everything(request: web.Request) -> web.Response:
        done = await act(request, PurgeRequest(everything=True))
        return done if isinstance(done, web.Response) else answer({"status": "ok"})

    given: dict[str, Any] = {"gives": (dict[str, str],), "statuses": (422, 507), "credentials": "Fastly-Key"}
    service = "/service/{service}"
    yield Endpoint("POST", "/purge/{url:(?s:.+)}", "Fastly: purge a URL.", url, Scope.PURGE, **given)
    yield Endpoint("POST", service + "/purge/{key}", "Fastly: purge a surrogate key.", key, Scope.PURGE, **given)
    yield Endpoint("POST", service + "/purge", "Fastly: purge surrogate keys.", keys, Scope.PURGE, KeysRequest, **given)
    yield Endpoint("POST", service + "/purge_all", "Fastly: purge everything.", everything, Scope.PURGE, **given)


def _cloudflare(purging: Purging) -> Iterator[Endpoint]:
    async def zone(request: web.Request) -> web.Response:
        asked = await read_json(request, ZoneRequest)
        if isinstance(asked, web.Response):
            refusal = _enveloped(asked.status, "the content is not a purge request")
            if asked.keep_alive is False:
                refusal.force_close()
            return refusal
        selectors, faults = purging.selectors(
            PurgeRequest(
                urls=[file if isinstance(file, str) else file.url for file in asked.files],
                tags=asked.tags,
                hosts=asked.hosts,
                prefixes=asked.prefixes,
                everything=asked.purge_everything,
            )
        )
        if faults:
            return _enveloped(400, "; ".join(f"{fault.pointer} {fault.detail}".strip() for fault in faults))
        try:
            receipt = await purging.purge(Mode.HARD, selectors, by=request[BY].name, at=request.remote)
        except PurgeNotWritten:
            return _enveloped(507, "the purge could not be written to the disk: it did not happen")
        return answer({"success": True, "errors": [], "messages": [], "result": {"id": str(receipt.id)}})

    yield Endpoint(
        "POST", "/client/v4/zones/{zone}/purge_cache", "Cloudflare: purge a zone's files, tags, hosts, prefixes or all.",
        zone, Scope.PURGE, ZoneRequest, (dict[str, Any],), statuses=(507,), refuses=dict[str, Any],
    )  # fmt: skip


def _enveloped(status: int, message: str) -> web.Response:
    errors = [{"code": status, "message": message}]
    return answer({"success": False, "errors": errors, "messages": [], "result": None}, status)
