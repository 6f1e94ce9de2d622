"""Errors of the admin plane as RFC 9457 problem details, which tell a status and nothing of the inside."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the answer for `status`; `detail` is a sentence of ours, never text from a request or an exception."""
    members: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail:
        members["detail"] = detail
    return web.Response(
        status=status, body=json.dumps(members).encode(), content_type=MEDIA_TYPE, headers=dict(headers or {})
    )
