"""How old a stored response is and how long it stays fresh (RFC 9111 §4.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.caching.directives import Directives, parse_delta, response_directives
from edge.caching.stored import StoredResponse
from edge.errors import ParseError
from edge.semantics.dates import parse_date
from edge.semantics.fields import FieldSection

#: RFC 9110 §15.1: statuses whose responses may be given a heuristic lifetime.
HEURISTICALLY_CACHEABLE = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})


class Lifetime(StrEnum):
    """Where a freshness lifetime comes from, in order of precedence (RFC 9111 §4.2.1)."""

    S_MAXAGE = "s-maxage"
    MAX_AGE = "max-age"
    EXPIRES = "expires"
    DEFAULT = "default"
    HEURISTIC = "heuristic"
    NONE = "none"


#: The lifetimes that the origin states.
EXPLICIT = frozenset({Lifetime.S_MAXAGE, Lifetime.MAX_AGE, Lifetime.EXPIRES})


@dataclass(frozen=True, slots=True)
class FreshnessRules:
    """What the operator adds to the law.

    Attributes:
        targets: lower-case names of targeted fields, the first valid one counts (RFC 9213).
        default: lifetime of 200, 301 and 404 responses that state none, seconds; None for none.
        heuristic: whether Last-Modified gives a lifetime (RFC 9111 §4.2.2).
        heuristic_fraction: that part of the time since Last-Modified.
        heuristic_limit: at most this long, seconds.
        stale_while_revalidate: for responses that do not state one, seconds.
        stale_if_error: for responses that do not state one, seconds.
    """

    targets: Sequence[bytes] = (b"foreland-cache-control", b"cdn-cache-control")
    default: int | None = None
    heuristic: bool = False
    heuristic_fraction: float = 0.1
    heuristic_limit: int = 86_400
    stale_while_revalidate: int = 0
    stale_if_error: int = 0


@dataclass(frozen=True, slots=True)
class Freshness:
    """The freshness facts of a response: lifetime in seconds, its source, and the directives behind them."""

    lifetime: int
    source: Lifetime
    directives: Directives
    stale_while_revalidate: int
    stale_if_error: int

    @property
    def is_explicit(self) -> bool:
        """Whether the origin states the lifetime."""
        return self.source in EXPLICIT


def date_value(fields: FieldSection, response_time: float) -> int:
    """Return the Date of a response in seconds, or when it was received if Date is missing or invalid."""
    return seconds_of(fields.get(b"date") or b"", response_time)


def seconds_of(date: bytes, response_time: float) -> int:
    """Return the `date` of a response in seconds, or when it was received if that is none."""
    try:
        return parse_date(date, response_time)
    except ParseError:
        return int(response_time)


def age_value(fields: FieldSection) -> int:
    """Return the Age of a response; the first member counts, an invalid one is ignored (RFC 9111 §5.1)."""
    members = fields.members(b"age")
    return (parse_delta(members[0]) or 0) if members else 0


def current_age(stored: StoredResponse, now: float) -> float:
    """Return the age of a stored response in seconds (RFC 9111 §4.2.3)."""
    date, age = date_value(stored.fields, stored.response_time), age_value(stored.fields)
    resident_time = max(0.0, now - stored.response_time)
    return initial_age(date, age, stored.request_time, stored.response_time) + resident_time


def initial_age(date: int, age: int, request_time: float, response_time: float) -> float:
    """Return the age that a response had when it was received, by its Date and Age (RFC 9111 §4.2.3)."""
    # Date has a resolution of one second, so the whole second of response_time is compared with it.
    apparent_age = int(response_time) - date
    corrected_age_value = age + (response_time - request_time if response_time > request_time else 0.0)
    # Comparisons: `max` is a call, and this is worked out for every miss.
    return corrected_age_value if corrected_age_value > apparent_age else float(apparent_age)


def freshness(status: int, fields: FieldSection, response_time: float, rules: FreshnessRules) -> Freshness:
    """Return the freshness facts of a response for a shared cache (RFC 9111 §4.2.1, §4.2.2)."""
    directives, targeted = response_directives(fields, rules.targets)
    lifetime, source = _lifetime(status, fields, directives, response_time, rules, targeted=targeted)
    while_revalidate = directives.delta(b"stale-while-revalidate")
    if_error = directives.delta(b"stale-if-error")
    return Freshness(
        lifetime,
        source,
        directives,
        rules.stale_while_revalidate if while_revalidate is None else while_revalidate,
        rules.stale_if_error if if_error is None else if_error,
    )


def _lifetime(
    status: int,
    fields: FieldSection,
    directives: Directives,
    response_time: float,
    rules: FreshnessRules,
    *,
    targeted: bool,
) -> tuple[int, Lifetime]:
    if (seconds := directives.delta(b"s-maxage")) is not None:
        return seconds, Lifetime.S_MAXAGE
    if (seconds := directives.delta(b"max-age")) is not None:
        return seconds, Lifetime.MAX_AGE
    date = date_value(fields, response_time)
    if not targeted and (expires := fields.get(b"expires")) is not None:
        # RFC 9111 §5.3: an invalid date, "0" above all, means already expired.
        try:
            return max(0, parse_date(expires, response_time) - date), Lifetime.EXPIRES
        except ParseError:
            return 0, Lifetime.EXPIRES
    if rules.default is not None and status in {200, 301, 404} and not directives.unqualified(b"no-cache"):
        return rules.default, Lifetime.DEFAULT
    if rules.heuristic and (status in HEURISTICALLY_CACHEABLE or b"public" in directives):
        try:
            since = date - parse_date(fields.get(b"last-modified") or b"", response_time)
        except ParseError:
            return 0, Lifetime.NONE
        return max(0, min(int(since * rules.heuristic_fraction), rules.heuristic_limit)), Lifetime.HEURISTIC
    return 0, Lifetime.NONE
