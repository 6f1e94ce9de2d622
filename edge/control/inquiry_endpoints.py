"""What the admin plane answers about requests: those that were, and one that may come."""

from collections.abc import Awaitable, Iterator
from typing import get_args

import msgspec
from aiohttp import web

from edge.control.endpoint import Endpoint, answer
from edge.control.inquiries import MOST_LEADERS, AboutLog, AboutRequest, AboutTop, Inquiries, Leaders, Lines, Told
from edge.control.problems import problem
from edge.control.tokens import Scope
from edge.supervisor.faults import Unanswered
from edge.telemetry.top import By

#: So many exchanges are told at most, and by default.
MOST, USUAL = 1000, 50


def endpoints(inquiries: Inquiries) -> Iterator[Endpoint]:
    """Yield the endpoints."""
    yield _explain(inquiries)
    yield _log(inquiries)
    yield _top(inquiries)


def _explain(inquiries: Inquiries) -> Endpoint:
    async def explain(request: web.Request) -> web.Response:
        fields = [header.partition(":") for header in request.query.getall("header", [])]
        if any(not colon for _, colon, _ in fields):
            return problem(400, "header is a request field such as Accept-Encoding: br.")
        question = AboutRequest(
            request.query.get("url", ""),
            request.query.get("method", "GET"),
            [(name.strip(), value.strip()) for name, _, value in fields],
        )
        return await _answered(inquiries.explain(question))

    return Endpoint(
        "GET", "/v1/explain", "Say what would happen to a request now, and why, decision by decision.", explain,
        Scope.READ, gives=(Told,), statuses=(400,),
        query=(
            ("url", "The absolute URL."),
            ("method", "The method, GET by default."),
            ("header", "A request field, such as Accept-Encoding: br; more than one may be given."),
        ),
    )  # fmt: skip


def _log(inquiries: Inquiries) -> Endpoint:
    async def log(request: web.Request) -> web.Response:
        count = _count(request, MOST)
        if count is None:
            return problem(400, f"n is a number from 1 to {MOST}.")
        return await _answered(inquiries.log(AboutLog(request.query.get("q", ""), count)))

    return Endpoint(
        "GET", "/v1/log", "Return the last exchanges that a query accepts, the newest first.", log,
        Scope.READ, gives=(Lines,), statuses=(400,),
        query=(
            ("q", 'A query such as status >= 500 and cache == "MISS"; see docs/observing.md.'),
            ("n", f"How many at most: {USUAL} by default, {MOST} at most."),
        ),
    )  # fmt: skip


def _top(inquiries: Inquiries) -> Endpoint:
    async def top(request: web.Request) -> web.Response:
        count = _count(request, MOST_LEADERS)
        if count is None:
            return problem(400, f"n is a number from 1 to {MOST_LEADERS}.")
        try:
            by = msgspec.convert(request.query.get("by", "hits"), By)
        except msgspec.ValidationError:
            return problem(400, f"by is one of {', '.join(get_args(By))}.")
        return await _answered(inquiries.top(AboutTop(by, count)))

    return Endpoint(
        "GET", "/v1/top", "Return the URLs, without their queries, that lead since the workers began.", top,
        Scope.READ, gives=(Leaders,), statuses=(400,),
        query=(
            ("by", f"By what: {', '.join(get_args(By))}; hits by default."),
            ("n", f"How many at most: {USUAL} by default, {MOST_LEADERS} at most."),
        ),
    )  # fmt: skip


async def _answered(asked: Awaitable[object]) -> web.Response:
    try:
        return answer(await asked)
    except Unanswered as error:
        return problem(400, f"{error}.")


def _count(request: web.Request, most: int) -> int | None:
    """Return how many are asked for, None when that is no number or too many."""
    count = request.query.get("n", str(USUAL))
    return int(count) if count.isascii() and count.isdigit() and 0 < int(count[:6]) <= most else None
