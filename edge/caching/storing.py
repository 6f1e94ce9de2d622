"""Whether a response may be stored (RFC 9111 §3), and with which fields (§3.1)."""

from dataclasses import dataclass
from enum import StrEnum

from edge.caching import groups
from edge.caching.directives import Directives, request_directives
from edge.caching.freshness import HEURISTICALLY_CACHEABLE, Freshness, FreshnessRules, freshness
from edge.caching.vary import MAX_NOMINATED, nominated_names
from edge.semantics.fields import FieldSection
from edge.semantics.messages import REASONS, Request, Response
from edge.semantics.references import resolve


class NotStored(StrEnum):
    """Why a response was not stored."""

    METHOD = "method"
    STATUS = "status"
    NO_STORE = "no-store"
    REQUEST_NO_STORE = "request-no-store"
    PRIVATE = "private"
    AUTHORIZATION = "authorization"
    SET_COOKIE = "set-cookie"
    COOKIE = "cookie"
    SERVER_ERROR = "server-error"
    VARY_STAR = "vary-star"
    VARY_TOO_LONG = "vary-too-long"
    NO_LIFETIME = "no-lifetime"
    PARTIAL_UNCLEAR = "partial-unclear"
    STORE_UNAVAILABLE = "store-unavailable"
    NOT_ADMITTED = "not-admitted"
    USABLE_STORED = "usable-stored"
    CONNECTION_OPTION = "connection-option"
    TAGS_TOO_LONG = "tags-too-long"


@dataclass(frozen=True, slots=True)
class StoringRules:
    """Which of the things RFC 9111 allows are done; see `policy.profile`.

    With `strip_cookies` the origin sees no Cookie and no client a Set-Cookie, so neither is a reason not to store.
    """

    freshness: FreshnessRules
    strip_cookies: bool = False
    store_set_cookie: bool = False
    cookie_needs_explicit: bool = True
    store_server_errors: bool = False
    store_post: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """The response may be stored with `fields`."""

    fields: FieldSection
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class DoNotStore:
    """The response must not, or had better not, be stored."""

    reason: NotStored


def decide(request: Request, response: Response, response_time: float, rules: StoringRules) -> Store | DoNotStore:
    """Decide whether `response` (end-to-end fields only) to `request` may be stored (RFC 9111 §3)."""
    facts = freshness(response.status, response.fields, response_time, rules.freshness)
    kept = storable_fields(response.fields, facts.directives, is_partial=response.status == 206)
    if rules.strip_cookies:
        kept = kept.without(b"set-cookie")
    reason = _forbidden(request, response, facts) or _declined(request, response.with_fields(kept), facts, rules)
    return Store(kept, facts) if reason is None else DoNotStore(reason)


def storable_fields(fields: FieldSection, directives: Directives, *, is_partial: bool) -> FieldSection:
    """Return the fields to keep (RFC 9111 §3.1): without framing and without fields a shared cache must not reuse."""
    dropped = directives.field_names(b"private") | directives.field_names(b"no-cache")
    dropped |= {b"content-length", b"transfer-encoding"}
    if is_partial:
        dropped |= {b"content-range"}
    return fields.filtered(lambda name: name not in dropped)


def _forbidden(request: Request, response: Response, facts: Freshness) -> NotStored | None:
    """Return the rule of RFC 9111 §3 that forbids storing, if one does."""
    directives = facts.directives
    if response.status < 200 or response.status == 304:
        return NotStored.STATUS
    if b"must-understand" in directives:
        # RFC 9111 §5.2.2.3: only a status whose rules are known; no-store beside it is then ignored.
        if response.status not in REASONS:
            return NotStored.STATUS
    elif b"no-store" in directives:
        return NotStored.NO_STORE
    if b"no-store" in request_directives(request.fields):
        return NotStored.REQUEST_NO_STORE
    if directives.unqualified(b"private"):
        return NotStored.PRIVATE
    # RFC 9111 §3.5.
    if b"authorization" in request.fields and not any(
        name in directives for name in (b"public", b"must-revalidate", b"s-maxage")
    ):
        return NotStored.AUTHORIZATION
    if not facts.is_explicit and b"public" not in directives and response.status not in HEURISTICALLY_CACHEABLE:
        return NotStored.STATUS
    return None


def _declined(request: Request, response: Response, facts: Freshness, rules: StoringRules) -> NotStored | None:
    """Return why a response that may be stored is not, with its storable fields: no use, or the profile declines."""
    fields = response.fields
    if request.method != b"GET" and not (rules.store_post and _answers_a_later_get(request, fields, facts)):
        return NotStored.METHOD
    names = nominated_names(fields)
    if names is None:
        return NotStored.VARY_STAR
    if len(names) > MAX_NOMINATED:
        return NotStored.VARY_TOO_LONG
    if groups.has_too_many(fields):
        # Who counts on a tag to purge it would not find it under that tag.
        return NotStored.TAGS_TOO_LONG
    if b"set-cookie" in fields and not rules.store_set_cookie:
        return NotStored.SET_COOKIE
    has_cookie = b"cookie" in request.fields and not rules.strip_cookies
    if has_cookie and rules.cookie_needs_explicit and not facts.is_explicit:
        return NotStored.COOKIE
    if response.status >= 500 and response.status != 501 and not rules.store_server_errors:
        return NotStored.SERVER_ERROR
    can_validate = b"etag" in fields or b"last-modified" in fields
    return None if can_validate or _may_be_used_unvalidated(facts) else NotStored.NO_LIFETIME


def _may_be_used_unvalidated(facts: Freshness) -> bool:
    if facts.directives.unqualified(b"no-cache"):
        return False
    return bool(facts.lifetime or facts.stale_while_revalidate or facts.stale_if_error)


def _answers_a_later_get(request: Request, fields: FieldSection, facts: Freshness) -> bool:
    """Return whether a POST response may answer a GET: explicit freshness and its own URI (RFC 9110 §9.3.3)."""
    location = fields.get(b"content-location")
    return (
        request.method == b"POST"
        and facts.is_explicit
        and location is not None
        and resolve(request.target, location) == request.target
    )
