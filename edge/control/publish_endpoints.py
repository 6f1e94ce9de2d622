"""What the admin plane answers about versions of sites."""

from collections.abc import Iterator
from typing import Any

from aiohttp import web

from edge.control.endpoint import Endpoint, answer, read_json
from edge.control.publishing import (
    Difference,
    Draft,
    Expected,
    Listing,
    Pruned,
    PruneRequest,
    Published,
    Publishing,
    Taken,
)
from edge.control.tokens import Scope
from edge.published.manifest import Manifest

#: Octets of a manifest.
MOST = 64 << 20


def endpoints(publishing: Publishing) -> Iterator[Endpoint]:
    """Yield the endpoints."""

    async def draft(request: web.Request) -> web.Response:
        asked = await read_json(request, Manifest, most=MOST)
        return asked if isinstance(asked, web.Response) else _told(await publishing.draft(request, asked))

    async def take(request: web.Request) -> web.Response:
        return _told(await publishing.take(request))

    async def activate(request: web.Request) -> web.Response:
        asked = await read_json(request, Expected)
        if isinstance(asked, web.Response):
            return asked
        return _told(await publishing.activate(request, request.match_info["id"], asked.expected))

    async def rollback(request: web.Request) -> web.Response:
        asked = await read_json(request, Expected)
        if isinstance(asked, web.Response):
            return asked
        return _told(await publishing.rollback(request, request.match_info["site"], asked.expected))

    async def withdraw(request: web.Request) -> web.Response:
        return _told(await publishing.withdraw(request, request.match_info["site"]))

    async def listing(request: web.Request) -> web.Response:
        return _told(await publishing.listing(request.query.get("site", "")))

    async def difference(request: web.Request) -> web.Response:
        return _told(await publishing.difference(request.match_info["id"], request.query.get("against", "")))

    async def prune(request: web.Request) -> web.Response:
        asked = await read_json(request, PruneRequest)
        if isinstance(asked, web.Response):
            return asked
        return _told(await publishing.prune(request, request.match_info["site"], asked.keep))

    push, refused = Scope.PUSH, (404, 503, 507)
    pointing = (404, 409, 503, 507)
    yield Endpoint(
        "POST", "/v1/manifests", "Keep a manifest as a version of a site, not served yet, and say which contents are lacking.",
        draft, push, Manifest, (Draft,), statuses=refused,
    )  # fmt: skip
    yield Endpoint(
        "POST", "/v1/blobs", "Take contents in: for each its SHA-256 (32 octets), its length (8), and itself.",
        take, push, gives=(Taken,), statuses=(408, 413, 415, 422, 503, 507),
    )  # fmt: skip
    yield Endpoint(
        "POST", "/v1/manifests/{id}/activate", "Let a version be served, whole and at once, in place of the one before.",
        activate, push, Expected, (Published,), statuses=pointing,
    )  # fmt: skip
    yield Endpoint(
        "GET", "/v1/manifests", "List the versions of a site, the newest first.", listing, Scope.READ, gives=(Listing,),
        query=(("site", "The name of the site."),), statuses=refused,
    )  # fmt: skip
    yield Endpoint(
        "GET", "/v1/manifests/{id}/diff", "Say what a version has that another has not.", difference, Scope.READ,
        gives=(Difference,), query=(("against", "The id of the other one."),), statuses=refused,
    )  # fmt: skip
    yield Endpoint(
        "POST", "/v1/sites/{site}/rollback", "Let the version before be served again.", rollback, push, Expected,
        (Published,), statuses=pointing,
    )  # fmt: skip
    yield Endpoint(
        "DELETE", "/v1/sites/{site}/published", "Let no version be served: the origin is asked again.", withdraw, push,
        gives=(Published,), statuses=pointing,
    )  # fmt: skip
    yield Endpoint(
        "POST", "/v1/sites/{site}/prune", "Delete old versions of a site, and what only they consist of.", prune, push,
        PruneRequest, (Pruned,), statuses=refused,
    )  # fmt: skip


def _told(result: Any) -> web.Response:  # noqa: ANN401 - whatever JSON can say
    return result if isinstance(result, web.Response) else answer(result)
