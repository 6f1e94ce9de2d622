"""What of a stored response a request gets: preconditions first, then ranges (RFC 9110 §13.2.2, §14.2)."""

from dataclasses import dataclass
from typing import assert_never

from edge.caching.freshness import date_value
from edge.caching.stored import Range, StoredResponse
from edge.caching.validation import entity_tag
from edge.errors import ParseError
from edge.semantics.dates import parse_date
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.preconditions import Outcome, evaluate, range_applies
from edge.semantics.ranges import coalesced, parse_range, resolve

#: More ranges than this, once merged, are answered with the whole (RFC 9110 §17.15).
MAX_RANGES = 16
#: Preconditions that are about the whole representation.
CONDITIONAL = (b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since")


@dataclass(frozen=True, slots=True)
class Whole:
    """200, or whatever was stored: all of the content."""


@dataclass(frozen=True, slots=True)
class Parts:
    """206: these ranges of the content, one as it is, several as multipart."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class NotModified:
    """304."""


@dataclass(frozen=True, slots=True)
class Failed:
    """412."""


@dataclass(frozen=True, slots=True)
class Unsatisfied:
    """416."""


Plan = Whole | Parts | NotModified | Failed | Unsatisfied


def plan(request: Request, stored: StoredResponse, length: int | None, now: float) -> Plan:
    """Return how `stored`, whose representation has `length` octets if that is known, answers `request`."""
    met = condition(request, stored.response, stored.response_time, now)
    if met is not None:
        return met
    if b"range" not in request.fields or request.method != b"GET" or stored.status != 200 or length is None:
        return Whole()
    return _ranges(request, stored, length, now)


def condition(request: Request, response: Response, response_time: float, now: float) -> NotModified | Failed | None:
    """Return what the request's preconditions make of a response, None when it stands (RFC 9110 §13.2.2)."""
    # RFC 9110 §13.2.1: preconditions do not apply when the answer without them would not be 2xx.
    if not 200 <= response.status < 300 or not any(name in request.fields for name in CONDITIONAL):
        return None
    modified = _modified(response.fields, now)
    outcome = evaluate(
        request.method,
        request.fields,
        entity_tag=entity_tag(response.fields),
        # RFC 9111 §4.3.2: without Last-Modified, Date stands in for it.
        modified=date_value(response.fields, response_time) if modified is None else modified,
        exists=True,
        now=now,
    )
    match outcome:
        case Outcome.FAILED:
            return Failed()
        case Outcome.NOT_MODIFIED:
            return NotModified()
        case Outcome.PROCEED:
            return None
        case _ as never:
            assert_never(never)


def is_held(request: Request, stored: StoredResponse, what: Plan) -> bool:
    """Return whether a plan can be carried out with what is in the store."""
    if isinstance(what, Failed):
        # RFC 9111 §4.3.2: If-Match and If-Unmodified-Since are about what the origin has now.
        return False
    if request.method == b"HEAD":
        return stored.complete_length is not None
    match what:
        case Parts(ranges):
            return all(stored.holds(start, end) for start, end in ranges)
        case Whole():
            return stored.is_complete
        case _:
            return True


def wanted_ranges(what: Plan, length: int) -> tuple[Range, ...]:
    """Return what of a content of `length` octets a plan sends."""
    match what:
        case Parts(ranges):
            return ranges
        case Whole():
            return ((0, length),)
        case _:
            return ()


def _ranges(request: Request, stored: StoredResponse, length: int, now: float) -> Plan:
    fields = request.fields
    date = date_value(stored.fields, stored.response_time)
    if not range_applies(
        fields, entity_tag=entity_tag(stored.fields), modified=_modified(stored.fields, now), date=date, now=now
    ):
        return Whole()
    try:
        ranges = resolve(parse_range(fields.combined(b"range") or b""), length)
    except ParseError:
        return Whole()
    if not ranges:
        return Unsatisfied()
    ranges = coalesced(ranges)
    return Parts(ranges) if len(ranges) <= MAX_RANGES else Whole()


def _modified(fields: FieldSection, now: float) -> int | None:
    try:
        return parse_date(fields.get(b"last-modified") or b"", now)
    except ParseError:
        return None
