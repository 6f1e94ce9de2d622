"""The reference page of all endpoints, made from their records: `python -m edge.control.reference` writes it."""

import sys
from collections.abc import Iterator
from typing import Any

from edge.control import (
    compatible,
    event_endpoints,
    inquiry_endpoints,
    preload_endpoints,
    publish_endpoints,
    purge_endpoints,
    push_endpoints,
    routes,
)
from edge.control.endpoint import Endpoint, statuses
from edge.control.openapi import PARAMETER

_INTRODUCTION = """\
# Endpoints of the admin plane

<!-- Made by `python -m edge.control.reference`; do not edit. -->

Requests and answers are JSON; their types are in `/openapi.json` (OpenAPI 3.1), which the node serves. What is not an
answer is a problem (RFC 9457, `application/problem+json`). A scope means that the request needs a token that has it, in
`Authorization: Bearer`, or in `Fastly-Key` where the endpoint is Fastly's. Host has to be `localhost`, an address
or a name in the certificate. The statuses are those of problems; 200 is every other answer. Those of Fastly and Cloudflare
are off unless `admin.compatible` names them. On an address that other machines can reach, `/metrics` and `/v1/stats` need
the scope `read` as well.

| request | scope | what it does | problems |
|---|---|---|---|
"""


def markdown() -> str:
    """Return the whole page."""
    return _INTRODUCTION + "\n".join(_row(endpoint) for endpoint in every_endpoint()) + "\n"


def every_endpoint() -> Iterator[Endpoint]:
    """Yield every endpoint that there can be, to be read and not to be called."""
    # None of their handlers is called.
    nobody: Any = None
    yield from routes.endpoints(nobody)
    yield from purge_endpoints.endpoints(nobody, nobody)
    yield from publish_endpoints.endpoints(nobody)
    yield from preload_endpoints.endpoints(nobody, nobody)
    yield from inquiry_endpoints.endpoints(nobody)
    yield from event_endpoints.endpoints(nobody)
    yield from push_endpoints.endpoints(nobody)
    yield from compatible.endpoints(nobody, (compatible.FASTLY, compatible.CLOUDFLARE))


def _row(endpoint: Endpoint) -> str:
    told = ", ".join(str(status) for status in statuses(endpoint))
    scope = f"`{endpoint.scope}`" if endpoint.scope is not None else ""
    path = PARAMETER.sub(r"{\1}", endpoint.path)
    return f"| `{endpoint.method} {path}` | {scope} | {endpoint.sentence} | {told} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
