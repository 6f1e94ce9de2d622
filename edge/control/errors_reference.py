"""The reference page of all errors, made from their classes and records: `python -m edge.control.errors_reference` writes it."""

import sys
from collections import defaultdict
from collections.abc import Iterator

from edge import errors, reasons
from edge.control.endpoint import statuses
from edge.control.problems import MEANINGS
from edge.control.reference import every_endpoint
from edge.errors import DownstreamError, EdgeError, InternalError, ParseError, StoreError, UpstreamError

_INTRODUCTION = """\
# Errors

<!-- Made by `python -m edge.control.errors_reference`; do not edit. -->

## In front of the sites

What goes wrong with a request has a status, which the client is answered with, and a token, which stands in `Cache-Status`
(`detail`), in the access log (`reason`), in the metrics and in explanations; each links to what can be done about it. Where
something stale may stand in for an origin that fails, the client is answered with that instead. *Again* means that the edge
itself may send the same request to the origin once more.
"""

# What is never raised itself.
_NOBODYS = {EdgeError, ParseError, DownstreamError}
_BRANCHES: tuple[tuple[str, str, type[EdgeError]], ...] = (
    ("The client", "The request is at fault.", DownstreamError),
    ("The origin", "What the origin did, or did not do, is at fault.", UpstreamError),
    ("The store", "Never answered to a client of a site: the request goes forward, and it is counted.", StoreError),
    ("The edge", "Something here is at fault: please report it.", InternalError),
)

_ADMIN = """
## On the admin plane

Whatever is not an answer is a problem (RFC 9457) of the media type `application/problem+json`. Its `type` is `about:blank`:
the status says what kind of problem it is, `detail` is a sentence about this one, and no text of it is meant for programs.

```json
{"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
 "detail": "Nothing was purged: not all that is named is understood.",
 "errors": [{"pointer": "/urls/0", "detail": "the URL has to begin with http:// or https://."}]}
```

[Endpoints](endpoints.md) has the statuses of each endpoint. Besides, any path may be answered with 404, 405 and 500.

| status | what it means | endpoints |
|---|---|---|
"""


def markdown() -> str:
    """Return the whole page."""
    return _INTRODUCTION + "".join(map(_branch, _BRANCHES)) + _ADMIN + "".join(f"{row}\n" for row in _problems())


def raised() -> Iterator[type[EdgeError]]:
    """Yield every error, in the order in which they are defined."""
    for each in vars(errors).values():
        # What is parsed is somebody's, whose error is raised instead.
        if isinstance(each, type) and issubclass(each, EdgeError) and each not in _NOBODYS:
            yield each


def _branch(branch: tuple[str, str, type[EdgeError]]) -> str:
    heading, sentence, root = branch
    rows = "".join(f"{_row(error)}\n" for error in raised() if issubclass(error, root))
    return f"\n### {heading}\n\n{sentence}\n\n| status | token | again | what happened |\n|---|---|---|---|\n{rows}"


def _row(error: type[EdgeError]) -> str:
    sentence = " ".join((error.__doc__ or "").split())
    linked = error.detail in reasons.DETAILS
    token = f"[`{error.detail}`](reasons.md#{error.detail})" if linked else f"`{error.detail}`"
    status = "" if issubclass(error, StoreError) else str(error.status)
    return f"| {status} | {token} | {'yes' if error.retryable else ''} | {sentence} |"


def _problems() -> Iterator[str]:
    answering: defaultdict[int, int] = defaultdict(int)
    total = 0
    for endpoint in every_endpoint():
        total += 1
        for status in statuses(endpoint):
            answering[status] += 1
    for status, meaning in MEANINGS.items():
        who = "any" if status in {404, 405, 500} or answering[status] == total else str(answering[status])
        yield f"| {status} | {meaning} | {who} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
