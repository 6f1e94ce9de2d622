"""Whether a stored response may answer a request now (RFC 9111 §4, RFC 5861)."""

from dataclasses import dataclass
from enum import StrEnum

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
    RANGE_NOT_HELD = "range-not-held"


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
    ttl = int(facts.lifetime - age)
    if facts.directives.unqualified(b"no-cache"):
        return Validate(Fwd.STALE, Detail.RESPONSE_NO_CACHE, ttl)
    asked = request_directives(request.fields)
    if rules.honour_reload and (detail := _refused_by_request(asked, facts, age)) is not None:
        return Validate(Fwd.REQUEST, detail, ttl)
    if facts.lifetime > age:
        return Reuse(ttl)
    if not _forbids_stale(facts, rules):
        if age < facts.lifetime + facts.stale_while_revalidate:
            return Reuse(ttl, Detail.STALE_WHILE_REVALIDATE, validate_in_background=True)
        if rules.honour_reload and b"max-stale" in asked:
            # RFC 9111 §5.2.1.2: without an argument any staleness will do.
            limit = asked.delta(b"max-stale")
            if asked.arguments[b"max-stale"] is None or age <= facts.lifetime + (limit or 0):
                return Reuse(ttl, Detail.MAX_STALE)
    return Validate(Fwd.STALE, Detail.LIFETIME_OVER, ttl)


def stale_on_error(stored: StoredResponse, *, now: float, rules: ReuseRules, disconnected: bool) -> Reuse | None:
    """Return the reuse of a stale response after the origin failed, None when it may not be reused.

    RFC 5861 §4 and RFC 9111 §4.2.4.  `disconnected` tells an origin that gave no response from one that gave a 5xx.
    """
    facts = freshness(stored.status, stored.fields, stored.response_time, rules.freshness)
    if _forbids_stale(facts, rules) or facts.directives.unqualified(b"no-cache"):
        return None
    age = current_age(stored, now)
    ttl = int(facts.lifetime - age)
    if age < facts.lifetime + max(facts.stale_if_error, facts.stale_while_revalidate):
        return Reuse(ttl, Detail.STALE_IF_ERROR)
    if disconnected and rules.stale_when_disconnected:
        return Reuse(ttl, Detail.STALE_DISCONNECTED)
    return None


def is_only_if_cached(request: Request) -> bool:
    """Return whether the request may not go forward (RFC 9111 §5.2.1.7)."""
    return b"only-if-cached" in request_directives(request.fields)


def _refused_by_request(asked: Directives, facts: Freshness, age: float) -> Detail | None:
    if b"no-cache" in asked:
        return Detail.REQUEST_NO_CACHE
    limit = asked.delta(b"max-age")
    if limit is not None and age > limit and b"max-stale" not in asked:
        return Detail.REQUEST_MAX_AGE
    ahead = asked.delta(b"min-fresh")
    if ahead is not None and facts.lifetime - age < ahead:
        return Detail.REQUEST_MIN_FRESH
    return None


def _forbids_stale(facts: Freshness, rules: ReuseRules) -> bool:
    directives = facts.directives
    if b"must-revalidate" in directives or b"proxy-revalidate" in directives:
        return True
    if b"s-maxage" not in directives:
        return False
    permits = b"stale-while-revalidate" in directives or b"stale-if-error" in directives
    return rules.s_maxage_forbids_stale or not permits
