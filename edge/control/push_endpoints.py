"""What the admin plane answers about pushed content."""

from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from edge.control.endpoint import BY, Endpoint, answer, audit, read_json
from edge.control.problems import problem
from edge.control.pushing import Lacking, LackingRequest, Object, Pushing, PushRefused
from edge.control.tokens import Scope

_URL = (("url", "The absolute URL of the object, as clients ask for it."),)


def endpoints(pushing: Pushing) -> Iterator[Endpoint]:
    """Yield the endpoints."""
    yield _push(pushing)
    yield _remove(pushing)
    yield _lacking(pushing)


def _push(pushing: Pushing) -> Endpoint:
    async def push(request: web.Request) -> web.Response:
        url = request.query.get("url", "")

        async def act() -> web.Response:
            pushed = await pushing.push(url, request)
            audit.info("%s pushed %s, %d octets", request[BY].name, _printable(url), pushed.length)
            return answer(pushed)

        return await _answered(act)

    return Endpoint(
        "PUT", "/v1/objects",
        "Store the content as that of a URL, pinned: it is served without the origin, and never reclaimed. Content-Type and "
        "each field Object-NAME are fields of it; Content-Digest is verified, Content-Encoding is of the transfer alone.",
        push, Scope.PUSH, gives=(Object,), statuses=(400, 408, 413, 422, 503, 507), query=_URL,
    )  # fmt: skip


def _remove(pushing: Pushing) -> Endpoint:
    async def remove(request: web.Request) -> web.Response:
        url = request.query.get("url", "")

        async def act() -> web.Response:
            await pushing.remove(url)
            audit.info("%s removed %s", request[BY].name, _printable(url))
            return answer(Lacking([url]))

        return await _answered(act)

    return Endpoint(
        "DELETE", "/v1/objects", "Forget what is stored of a URL, pushed or not: the origin is asked again.", remove,
        Scope.PUSH, gives=(Lacking,), statuses=(422, 503), query=_URL,
    )  # fmt: skip


def _lacking(pushing: Pushing) -> Endpoint:
    async def lacking(request: web.Request) -> web.Response:
        asked = await read_json(request, LackingRequest)
        if isinstance(asked, web.Response):
            return asked

        async def act() -> web.Response:
            return answer(await pushing.lacking(asked.objects))

        return await _answered(act)

    return Endpoint(
        "POST", "/v1/objects/lacking", "Say which objects the node does not have, or has with another content.", lacking,
        Scope.PUSH, LackingRequest, (Lacking,), statuses=(503,),
    )  # fmt: skip


async def _answered(act: Callable[[], Awaitable[web.Response]]) -> web.Response:
    try:
        return await act()
    except PushRefused as error:
        return problem(error.code, str(error))


def _printable(url: str) -> str:
    return url if url.isascii() and url.isprintable() else repr(url)
