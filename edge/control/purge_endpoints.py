"""What the admin plane answers about purges."""

from collections.abc import Iterator

import msgspec
from aiohttp import web

from edge.control.endpoint import BY, Endpoint, answer, read_json
from edge.control.idempotency import Idempotency
from edge.control.problems import problem
from edge.control.purging import DryRun, PurgeRequest, Purging, Receipt
from edge.control.rewarming import Rewarming
from edge.control.tokens import Scope
from edge.errors import PurgeNotWritten, StoreError

#: How many purges one page lists.
PAGE = 100


class Listing(msgspec.Struct, frozen=True):
    """Purges, the newest first; `before` asks for those that follow, and is null at the end."""

    purges: list[Receipt]
    before: int | None = None


def endpoints(purging: Purging, idempotency: Idempotency, rewarming: Rewarming | None = None) -> Iterator[Endpoint]:
    """Yield the endpoints."""
    yield _purge(purging, idempotency, rewarming)
    yield _listing(purging)
    yield _one(purging)


def not_written() -> web.Response:
    """Return the answer when a purge could not be made durable."""
    return problem(507, "The purge could not be written to the disk: it did not happen.")


def _purge(purging: Purging, idempotency: Idempotency, rewarming: Rewarming | None) -> Endpoint:
    async def purge(request: web.Request) -> web.Response:
        asked = await read_json(request, PurgeRequest)
        if isinstance(asked, web.Response):
            return asked
        selectors, faults = purging.selectors(asked)
        if faults:
            return problem(422, "Nothing was purged: not all that is named is understood.", errors=faults)
        if asked.dry_run:
            try:
                return answer(await purging.dry_run(selectors))
            except StoreError:
                return problem(503, "The store cannot be looked into at present.")

        async def act() -> web.Response:
            try:
                receipt = await purging.purge(asked.mode, selectors, by=request[BY].name, at=request.remote)
            except PurgeNotWritten:
                return not_written()
            if asked.rewarm and rewarming is not None:
                job = await rewarming.begin(asked.rewarm, selectors, request[BY].name)
                receipt = msgspec.structs.replace(receipt, preload=job)
            return answer(receipt)

        return await idempotency.once(request, act)

    return Endpoint(
        "POST", "/v1/purge", "Purge, and return once no later request is answered by what was purged.", purge,
        Scope.PURGE, PurgeRequest, (Receipt, DryRun), statuses=(409, 503, 507),
    )  # fmt: skip


def _listing(purging: Purging) -> Endpoint:
    async def listing(request: web.Request) -> web.Response:
        before = request.query.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 20):
            return problem(400, "before is the id of a purge.")
        try:
            receipts = await purging.purges()
        except StoreError:
            return problem(503, "The purge log cannot be read at present.")
        older = [receipt for receipt in reversed(receipts) if not before or receipt.id < int(before)]
        page = older[:PAGE]
        return answer(Listing(page, page[-1].id if len(older) > PAGE else None))

    return Endpoint(
        "GET", "/v1/purges", "List the purges that are in force, the newest first.", listing, Scope.READ,
        gives=(Listing,), query=(("before", "Only those with a lower id."),), statuses=(400, 503),
    )  # fmt: skip


def _one(purging: Purging) -> Endpoint:
    async def one(request: web.Request) -> web.Response:
        try:
            receipts = await purging.purges()
        except StoreError:
            return problem(503, "The purge log cannot be read at present.")
        found = [receipt for receipt in receipts if str(receipt.id) == request.match_info["id"]]
        return answer(found[0]) if found else problem(404, "No purge in force has this id.")

    return Endpoint(
        "GET", "/v1/purges/{id}", "Return one purge that is in force.", one, Scope.READ, gives=(Receipt,),
        statuses=(404, 503),
    )  # fmt: skip
