"""Answering with what is stored: fresh, freshened, or stale where that is allowed (RFC 9111 §4)."""

from edge.caching import reuse, vary
from edge.caching.freshness import current_age
from edge.caching.reuse import Detail, Reuse
from edge.caching.stored import StoredResponse
from edge.errors import StoreError, UpstreamError
from edge.exchange.context import Context
from edge.exchange.deliver import deliver
from edge.exchange.exchange import Exchange
from edge.exchange.plan import is_held, plan
from edge.exchange.purged import is_settled
from edge.exchange.variants import Shown


async def reuse_stored(context: Context, ex: Exchange, stored: StoredResponse, decision: Reuse) -> Shown:
    """Answer with `stored` as decided.  StoreError, with nothing sent yet, when it turns out to be damaged."""
    is_fresh = decision.detail is Detail.FRESH
    # RFC 9211 §2.1: no hit when the origin was asked first.
    ex.detail, ex.ttl = "" if is_fresh else decision.detail.value, decision.ttl
    ex.outcome = "HIT" if is_fresh else "STALE"
    ex.did("reuse" if is_fresh else decision.detail.value)
    return await deliver_stored(context, ex, stored)


def may_answer(context: Context, ex: Exchange, stored: StoredResponse) -> bool:
    """Return whether `stored`, which another request brings in, may answer this one too."""
    if vary.select(ex.selecting, [stored]) is None or not is_settled(context.purges, ex, stored):
        return False
    now = context.clock.now()
    return isinstance(reuse.decide(ex.request, stored, now=now, rules=ex.site.reuse_rules), Reuse)


async def deliver_stored(context: Context, ex: Exchange, stored: StoredResponse) -> Shown:
    """Send what of `stored` the request gets, in the form it gets it in, and return that."""
    now = context.clock.now()
    shown = await context.variants.of_stored(ex, stored, now)
    what = plan(shown.request, shown.stored, shown.body.length, now)
    await deliver(ex, shown.stored, what, shown.body, age=current_age(stored, now), now=now)
    return shown


async def stale_or_raise(context: Context, ex: Exchange, stored: StoredResponse | None, error: UpstreamError) -> None:
    """Answer with a stale response because the origin could not be reached; raise `error` when that is not allowed."""
    decision = None if stored is None else may_serve_stale(context, ex, stored, disconnected=True)
    if stored is None or decision is None or ex.status:
        raise error
    ex.did(error.detail)
    try:
        await reuse_stored(context, ex, stored, decision)
    except StoreError:
        if ex.status:
            raise
        raise error from None


def may_serve_stale(context: Context, ex: Exchange, stored: StoredResponse, *, disconnected: bool) -> Reuse | None:
    """Return how `stored` may stand in for an origin that failed, None when it may not or does not hold enough."""
    now = context.clock.now()
    decision = reuse.stale_on_error(stored, now=now, rules=ex.site.reuse_rules, disconnected=disconnected)
    return decision if is_held(ex.request, stored, plan(ex.request, stored, stored.complete_length, now)) else None
