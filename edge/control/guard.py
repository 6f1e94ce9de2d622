"""Which requests the admin plane answers: those that name it; and how it answers what goes wrong."""

import ipaddress
import logging
import re
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edge.control.problems import problem

log = logging.getLogger("edge.control")

#: On every answer: nothing is stored, sniffed or told to other sites, and no version of a library.
HEADERS = {
    "Server": "foreland",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_authority = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.\-_]+))(?::[0-9]{1,5})?").fullmatch


def guard(names: Iterable[str]) -> Middleware:
    """Return the middleware that refuses foreign hosts, and turns every failure into a problem."""
    own = frozenset({"localhost", *(name.lower() for name in names)})

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _answered(request, handler, own)
        response.headers.update(HEADERS)
        return response

    return middleware


def is_own_host(host: str, names: frozenset[str]) -> bool:
    """Return whether `host` is an IP literal or one of `names`, of which `*.a.example` stands for each name below.

    A page that rebinds its name to this address sends its own name (DNS rebinding); it cannot send a literal.
    """
    match = _authority(host)
    if match is None:
        return False
    try:
        ipaddress.ip_address(match["ipv6"] or match["name"])
    except ValueError:
        name = (match["name"] or "").lower()
        return name in names or f"*.{name.partition('.')[2]}" in names
    return True


async def _answered(request: web.Request, handler: Handler, own: frozenset[str]) -> web.StreamResponse:
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not is_own_host(hosts[0], own):
        return problem(421, "This name is not served here; use the address or localhost.")
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        return problem(405, headers={"Allow": ", ".join(sorted(error.allowed_methods))})
    except web.HTTPException as error:
        return problem(error.status)
    except Exception:
        # The top of a request: the log gets the traceback, the client a number.
        log.exception("admin request failed")
        return problem(500)
