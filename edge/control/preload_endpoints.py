"""What the admin plane answers about preloading."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from aiohttp import web

from edge.control.endpoint import BY, Endpoint, answer, audit, read_json
from edge.control.idempotency import Idempotency
from edge.control.problems import Fault, problem
from edge.control.tokens import Scope
from edge.errors import EdgeError, StoreError
from edge.preloading.job import CODINGS, LONGEST, MOST_AT_ONCE, Job, Limits
from edge.preloading.preloads import Preloads, TooManyJobs

_CONTENT = 16 << 20
_MOST_SITEMAPS = 100
_Url = Annotated[str, msgspec.Meta(max_length=LONGEST)]
_IDS = "the id of a job"


class PreloadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to preload: URLs, and those that sitemaps list, in the codings that `accept_encoding` asks for."""

    urls: Annotated[list[_Url], msgspec.Meta(max_length=MOST_AT_ONCE)] = []
    sitemaps: Annotated[list[_Url], msgspec.Meta(max_length=_MOST_SITEMAPS)] = []
    accept_encoding: Annotated[str, msgspec.Meta(max_length=200, pattern="^[ -~]*$")] = CODINGS
    limits: Limits = Limits()


class Preloading(msgspec.Struct, frozen=True):
    """The preload jobs, the newest first."""

    jobs: list[Job]


def endpoints(preloads: Preloads, idempotency: Idempotency) -> Iterator[Endpoint]:
    """Yield the endpoints."""
    yield _begin(preloads, idempotency)
    yield _all(preloads)
    yield _one(preloads)
    yield _cancel(preloads)


def _begin(preloads: Preloads, idempotency: Idempotency) -> Endpoint:
    async def begin(request: web.Request) -> web.Response:
        asked = await read_json(request, PreloadRequest, most=_CONTENT)
        if isinstance(asked, web.Response):
            return asked
        faults = list(_faults(preloads, asked))
        if faults:
            return problem(422, "Nothing is preloaded: not all that is named can be.", errors=faults[:100])

        async def act() -> web.Response:
            try:
                job = await preloads.add(
                    asked.urls, asked.sitemaps, asked.limits, asked.accept_encoding, request[BY].name
                )  # fmt: skip
            except TooManyJobs as error:
                return problem(503, f"{error}.")
            except StoreError:
                return problem(507, "The job could not be written to the disk: nothing is preloaded.")
            audit.info("preload job %s by %s from %s: %d URLs", job.id, request[BY].name, request.remote, job.total)
            return answer(job)

        return await idempotency.once(request, act)

    return Endpoint(
        "POST", "/v1/preloads", "Begin a job that asks for URLs, so that visitors find them stored.", begin, Scope.PUSH,
        PreloadRequest, (Job,), statuses=(409, 503, 507),
    )  # fmt: skip


def _faults(preloads: Preloads, asked: PreloadRequest) -> Iterator[Fault]:
    for member, urls in (("urls", asked.urls), ("sitemaps", asked.sitemaps)):
        for index, url in enumerate(urls):
            try:
                preloads.key(url)
            except EdgeError as error:
                yield Fault(f"/{member}/{index}", f"{error}.")
    if not asked.urls and not asked.sitemaps:
        yield Fault("", "Nothing is named that could be preloaded.")


def _all(preloads: Preloads) -> Endpoint:
    async def every(_request: web.Request) -> web.Response:
        return answer(Preloading(preloads.jobs()))

    return Endpoint(
        "GET", "/v1/preloads", "List the preload jobs, the newest first.", every, Scope.READ, gives=(Preloading,)
    )  # fmt: skip


def _one(preloads: Preloads) -> Endpoint:
    async def one(request: web.Request) -> web.Response:
        job = preloads.job(request.match_info["id"])
        return problem(404, f"That is not {_IDS}.") if job is None else answer(job)

    return Endpoint(
        "GET", "/v1/preloads/{id}", "Say how far a preload job has come.", one, Scope.READ, gives=(Job,), statuses=(404,)
    )  # fmt: skip


def _cancel(preloads: Preloads) -> Endpoint:
    async def cancel(request: web.Request) -> web.Response:
        job = preloads.job(request.match_info["id"])
        if job is None:
            return problem(404, f"That is not {_IDS}.")
        try:
            await preloads.cancel(job)
        except StoreError:
            return problem(
                507, "That it is cancelled could not be written to the disk: it may begin anew after a restart."
            )
        audit.info("%s cancelled preload job %s", request[BY].name, job.id)
        return answer(job)

    return Endpoint(
        "DELETE", "/v1/preloads/{id}", "End a preload job; what it has stored stays.", cancel, Scope.PUSH, gives=(Job,),
        statuses=(404, 507),
    )  # fmt: skip
