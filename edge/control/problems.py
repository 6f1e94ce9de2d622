"""Errors of the admin plane as RFC 9457 problem details, which tell nothing of the inside."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

from aiohttp import web

MEDIA_TYPE = "application/problem+json"

#: What a problem with a status means; its `detail`, and `errors`, say which of that it is.
MEANINGS = {
    400: "The content is not JSON, or a parameter or field of the request is not what it should be.",
    401: "There is no token, more than one, or one that the node does not know.",
    403: "The token lacks the scope that is needed, or the node has no token file.",
    404: "There is no such path, or nothing that has this name.",
    405: "The path takes other methods, which Allow names.",
    408: "The content did not come in time; it can be sent again.",
    409: "What is there is not what the request believes; or a request with the same Idempotency-Key is in progress.",
    413: "The content is longer than is taken here.",
    415: "The content is of another type, or in another coding, than is taken here; Accept names the type.",
    421: "The name in Host is not served here: ask for localhost or the address.",
    422: "The content is understood, but cannot be what is meant; `errors` has a place (RFC 6901) and a sentence for each fault.",
    500: "A bug; the log has the traceback, the answer nothing of it.",
    503: "It cannot be done at present: what is needed is not set, not ready, busy, or cannot be read.",
    507: "The disk, or the quota, does not take it: nothing has changed, unless `detail` says otherwise.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value of a request: where it is (RFC 6901), and a sentence."""

    pointer: str
    detail: str


def problem(
    status: int, detail: str = "", headers: Mapping[str, str] | None = None, *, errors: Sequence[Fault] = ()
) -> web.Response:
    """Return the answer for `status`; `detail` is a sentence about the request, never text of an exception inside."""
    members: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail:
        members["detail"] = detail
    if errors:
        members["errors"] = [asdict(fault) for fault in errors]
    return web.Response(
        status=status, body=json.dumps(members).encode(), content_type=MEDIA_TYPE, headers=dict(headers or {})
    )
