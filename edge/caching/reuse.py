"""Whether a stored response may answer a request now (RFC 9111 §4, RFC 5861)."""

from dataclasses import dataclass
from enum import StrEnum
from math import floor

from edge.caching.directives import Directives, request_directives
from edge.caching.freshness import Freshness, FreshnessRules, current_age, freshness
from edge.caching.stored import StoredResponse
from edge.semantics.messages import Request


class Fwd(StrEnum):
    """Why a request went forward (RFC 9211 §2.2)."""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    MISS = "miss"
    REQUEST = "request"
    STALE = "stale"
    PARTIAL = "partial"


class Detail(StrEnum):
    """What beside the RFC 9211 token explains a decision to reuse or to go forward."""

    PUBLISHED = "published"
    FRESH = "fresh"
    STALE_WHILE_REVALIDATE = "stale-while-revalidate"
    STALE_IF_ERROR = "stale-if-error"
    STALE_DISCONNECTED = "stale-disconnected"
    MAX_STALE = "max-stale"
    RESPONSE_NO_CACHE = "response-no-cache"
    REQUEST_NO_CACHE = "request-no-cache"
    REQUEST_MAX_AGE = "request-max-age"
    REQUEST_MIN_FRESH = "request-min-fresh"
    ONLY_IF_CACHED = "only-if-cached"
    LIFETIME_OVER = "lifetime-over"
    SOFT_PURGED = "soft-purged"


@dataclass(frozen=True, slots=True)
class ReuseRules:
    """What the operator's profile adds; see `policy.profile`."""

    freshness: FreshnessRules
    honour_reload: bool = False
    stale_when_disconnected: bool = False
    s_maxage_forbids_stale: bool = False


@dataclass(frozen=True, slots=True)
class Reuse:
    """Answer with the stored response; `ttl` is the freshness left in seconds, negative when it is stale."""

    ttl: int
    detail: Detail = Detail.FRESH
    validate_in_background: bool = False


@dataclass(frozen=True, slots=True)
class Validate:
    """Ask the origin whether the stored response still holds."""

    fwd: Fwd
    detail: Detail
    ttl: int


Decision = Reuse | Validate


def decide(request: Request, stored: StoredResponse, *, now: float, rules: ReuseRules) -> Decision:
    """Decide whether `stored`, already selected for `request`, may answer it (RFC 9111 §4)."""
    facts = freshness(stored.status, stored.fields, stored.response_time, rules.freshness)
    age = current_age(stored, now)
    lifetime = _lifetime(stored, facts, now)
    ttl = floor(lifetime - age)
    is_fresh = lifetime > age
    if facts.directives.unqualified(b"no-cache"):
        return Validate(Fwd.STALE, Detail.RESPONSE_NO_CACHE, ttl)
    asked = request_directives(request.fields)
    if rules.honour_reload and (detail := _refused_by_request(asked, facts, lifetime, age)) is not None:
        # RFC 9211 §2.2: "request" is about a fresh response only.
        return Validate(Fwd.REQUEST if is_fresh else Fwd.STALE, detail, ttl)
    if is_fresh:
        return Reuse(ttl)
    # RFC 9111 §5.2.1.1: who asks for a max-age wants nothing stale, unless max-stale stands beside it.
    wants_fresh = rules.honour_reload and b"max-age" in asked and b"max-stale" not in asked
    if not wants_fresh and age < lifetime + _window(b"stale-while-revalidate", facts, rules):
        return Reuse(ttl, Detail.STALE_WHILE_REVALIDATE, validate_in_background=True)
    if rules.honour_reload and _is_within_max_stale(asked, lifetime, age) and not _forbids_stale(facts):
        return Reuse(ttl, Detail.MAX_STALE)
    return Validate(Fwd.STALE, Detail.LIFETIME_OVER if stored.purged_at is None else Detail.SOFT_PURGED, ttl)


def stale_on_error(stored: StoredResponse, *, now: float, rules: ReuseRules, disconnected: bool) -> Reuse | None:
    """Return the reuse of a stored response after the origin failed, None when it may not be reused.

    RFC 5861 §4 and RFC 9111 §4.2.4.  `disconnected` tells an origin that gave no response from one that gave a 5xx.
    """
    facts = freshness(stored.status, stored.fields, stored.response_time, rules.freshness)
    if facts.directives.unqualified(b"no-cache"):
        return None
    age = current_age(stored, now)
    lifetime = _lifetime(stored, facts, now)
    ttl = floor(lifetime - age)
    if lifetime > age:
        # Only the request sent it forward; what the response forbids, it forbids once it is stale.
        return Reuse(ttl)
    windows = (_window(name, facts, rules) for name in (b"stale-if-error", b"stale-while-revalidate"))
    if age < lifetime + max(windows):
        return Reuse(ttl, Detail.STALE_IF_ERROR)
    if disconnected and rules.stale_when_disconnected and not _forbids_stale(facts):
        return Reuse(ttl, Detail.STALE_DISCONNECTED)
    return None


def is_only_if_cached(request: Request) -> bool:
    """Return whether the request may not go forward (RFC 9111 §5.2.1.7)."""
    return b"only-if-cached" in request_directives(request.fields)


def _lifetime(stored: StoredResponse, facts: Freshness, now: float) -> float:
    """Return the freshness lifetime in seconds, which a soft purge ends."""
    if stored.purged_at is None:
        return facts.lifetime
    # By a clock that was put back, the purge is still to come; what was purged is stale all the same.
    return min(facts.lifetime, current_age(stored, min(stored.purged_at, now)))


def _refused_by_request(asked: Directives, facts: Freshness, lifetime: float, age: float) -> Detail | None:
    if b"no-cache" in asked:
        return Detail.REQUEST_NO_CACHE
    limit = asked.delta(b"max-age")
    # RFC 8246 §2.1: while it is fresh, only no-cache is signal enough that an immutable response needs validation.
    is_settled = b"immutable" in facts.directives and lifetime > age
    if limit is not None and age > limit and not is_settled:
        return Detail.REQUEST_MAX_AGE
    ahead = asked.delta(b"min-fresh")
    if ahead is not None and lifetime - age < ahead:
        return Detail.REQUEST_MIN_FRESH
    return None


def _is_within_max_stale(asked: Directives, lifetime: float, age: float) -> bool:
    limit = asked.delta(b"max-stale")
    # RFC 9111 §5.2.1.2: without an argument any staleness will do.
    return limit is not None and (asked.arguments[b"max-stale"] is None or age <= lifetime + limit)


def _forbids_stale(facts: Freshness) -> bool:
    """Return whether a response must not be reused stale without validation (RFC 9111 §4.2.4)."""
    return any(name in facts.directives for name in (b"must-revalidate", b"proxy-revalidate", b"s-maxage"))


def _window(name: bytes, facts: Freshness, rules: ReuseRules) -> int:
    """Return for how many seconds a stale response may be reused because of directive `name` (RFC 5861)."""
    seconds = facts.stale_while_revalidate if name == b"stale-while-revalidate" else facts.stale_if_error
    if not _forbids_stale(facts):
        return seconds
    # RFC 9111 §5.2.2.10 has s-maxage forbid it; who sends it beside the directive itself does not mean that.
    if b"must-revalidate" in facts.directives or b"proxy-revalidate" in facts.directives:
        return 0
    return seconds if name in facts.directives and not rules.s_maxage_forbids_stale else 0
