"""Purges on the path of a request: what was purged is not found, or found stale; and requests that purge.

An exchange takes the epoch when it begins.  It is never answered by what was purged up to then: not by what is stored,
not by what is on its way here since before.  What was purged after that may still answer it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

from edge.caching import groups
from edge.caching.derived import is_derived, originals, orphans
from edge.caching.stored import StoredResponse
from edge.errors import EdgeError, ParseError
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange
from edge.exchange.flight import Flight
from edge.policy import purging_targets
from edge.policy.key import parse_key
from edge.policy.purging import Kind, Mode, Selector
from edge.ports import Purges
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response

_JSON = FieldSection([(b"content-type", b"application/json"), (b"cache-control", b"no-store")])


async def lookup(context: Context, key: bytes) -> Sequence[StoredResponse]:
    """Return the stored responses of `key` from the origin that purges leave usable, the newest response first."""
    everything = await context.store.lookup(key)
    found = everything
    if any(map(is_derived, everything)):
        found = originals(everything)
        for orphan in orphans(everything):
            await context.store.remove(key, orphan.generation)
    epoch = context.purges.current()
    if all(stored.epoch == epoch for stored in found):
        return found
    left = []
    for stored in found:
        judged = judge(context.purges, stored)
        if judged is not None:
            left.append(judged)
        else:
            # Nobody will find it again; what it takes is reclaimed.
            await context.store.remove(key, stored.generation)
    return left


def judge(purges: Purges, stored: StoredResponse) -> StoredResponse | None:
    """Return `stored` as it may be used after all purges so far: as it is, stale since one, or not at all."""
    verdict = purges.verdict(stored.key, stored.epoch, lambda: labels(stored))
    if verdict is None:
        return stored
    return replace(stored, purged_at=verdict.time) if verdict.mode is Mode.SOFT else None


def is_unpurged(purges: Purges, stored: StoredResponse) -> bool:
    """Return whether no purge so far hits `stored`."""
    return purges.verdict(stored.key, stored.epoch, lambda: labels(stored)) is None


def is_settled(purges: Purges, ex: Exchange, stored: StoredResponse) -> bool:
    """Return whether no purge before `ex` hits `stored`, a response on its way here that others asked for."""
    return stored.epoch >= ex.epoch or is_unpurged(purges, stored)


def is_flight_settled(purges: Purges, ex: Exchange, flight: Flight) -> bool:
    """Return whether no purge before `ex` may hit what is in flight, whatever that turns out to be."""
    if flight.fill is not None:
        return is_settled(purges, ex, flight.fill.stored)
    return flight.epoch >= ex.epoch or not purges.may_hit(ex.key, flight.epoch)


async def invalidate_groups(context: Context, ex: Exchange, response: Response) -> None:
    """Purge the cache groups that the response to an unsafe request names (RFC 9875 §3)."""
    named = groups.invalidated_groups(ex.request, response)
    if not named:
        return
    ex.did("invalidate-groups")
    target = parse_key(ex.key)
    selectors = tuple(purging_targets.group(target.scheme, target.authority, name) for name in dict.fromkeys(named))
    try:
        # RFC 9111 §4.4: what is invalid is not to be used without validation, whatever may be used stale.
        await context.purges.purge(Mode.HARD, selectors, context.clock.now())
    except EdgeError as error:
        context.telemetry.count(error.detail)


def may_purge(ex: Exchange) -> bool:
    """Return whether a PURGE request comes from where the site's operator allows it."""
    try:
        client = ip_address(ex.client)
    except ValueError:
        return False
    client = getattr(client, "ipv4_mapped", None) or client
    return any(client in network for network in ex.site.purge_from)


async def purge_target(context: Context, ex: Exchange) -> None:
    """Answer a PURGE request: its URL is purged, hard unless it carries `Fastly-Soft-Purge: 1`.

    Raises:
        PurgeNotWritten: it was not purged.
    """
    ex.did("purge")
    mode = Mode.SOFT if ex.request.fields.get(b"fastly-soft-purge") == b"1" else Mode.HARD
    now = context.clock.now()
    purge = await context.purges.purge(mode, (Selector(Kind.URL, ex.key),), now)
    content = b'{"status":"ok","id":"%d"}\n' % purge.id
    ex.start(Response(200, _JSON), len(content), now)
    await ex.send(content)
    ex.finish()


def labels(stored: StoredResponse) -> Iterator[Selector]:
    """Yield the tags and groups of a stored response."""
    yield from (Selector(Kind.TAG, tag) for tag in groups.tags(stored.fields))
    named = groups.groups(stored.fields, b"cache-groups")
    if named:
        try:
            target = parse_key(stored.key)
        except ParseError:
            return
        yield from (purging_targets.group(target.scheme, target.authority, name) for name in named)
