"""Errors of the admin plane as RFC 9457 problem details, which tell nothing of the inside."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

from aiohttp import web

MEDIA_TYPE = "application/problem+json"


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
