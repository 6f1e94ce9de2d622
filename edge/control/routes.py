"""What the admin plane tells everybody who can reach it."""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import web

from edge.control.endpoint import Endpoint, answer
from edge.control.tokens import Scope

_inline = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the answers come from.

    Attributes:
        node: the name of this node.
        version: the version of the edge.
        stats: what `/v1/stats` tells, as JSON can take it.
        metrics: the text of all metrics for an Accept field, and its media type.
        unready: why the node should get no traffic now, one reason token each; empty when it should.
    """

    node: str
    version: str
    stats: Callable[[], Awaitable[Mapping[str, object]]]
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]]
    unready: Callable[[], Awaitable[Sequence[str]]]


def endpoints(sources: Sources, figures: Scope | None = None) -> list[Endpoint]:
    """Return the endpoints that everybody who reaches the admin plane may ask, but for figures those with a scope."""
    page = files("edge.control").joinpath("dashboard.html").read_text("utf-8")
    page_headers = {"Content-Security-Policy": content_security_policy(page)}

    async def healthz(_request: web.Request) -> web.Response:
        return answer({"status": "ok"})

    async def ping(_request: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def readyz(_request: web.Request) -> web.Response:
        reasons = list(await sources.unready())
        return answer({"status": "unready" if reasons else "ready", "reasons": reasons}, status=503 if reasons else 200)

    async def metrics(request: web.Request) -> web.Response:
        body, media_type = await sources.metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": media_type})

    async def stats(_request: web.Request) -> web.Response:
        return answer({"node": sources.node, "version": sources.version, **await sources.stats()})

    async def dashboard(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", charset="utf-8", headers=page_headers)

    async def to_dashboard(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/ui"})

    return [
        Endpoint("GET", "/", "Lead to the dashboard.", to_dashboard, media_type="text/html", statuses=(307,)),
        Endpoint("GET", "/healthz", "Answer as long as the event loop does.", healthz),
        Endpoint("GET", "/ping", "The same, in one word.", ping, media_type="text/plain"),
        Endpoint("GET", "/readyz", "Say whether the node should get traffic, and why not.", readyz, statuses=(503,)),
        Endpoint("GET", "/metrics", "All metrics, for Prometheus.", metrics, figures, media_type="text/plain"),
        Endpoint("GET", "/v1/stats", "Return what the dashboard shows.", stats, figures),
        Endpoint("GET", "/ui", "The dashboard.", dashboard, media_type="text/html"),
    ]


def content_security_policy(page: str) -> str:
    """Return the policy under which `page` runs its own inline script and style, asks this node, and nothing else."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for tag, text in _inline.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[tag].append(f"'sha256-{digest}'")
    return (
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; style-src {' '.join(hashes['style'])}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
