"""What requests with the same fields, and responses with the same deciding fields, have in common.

Clients repeat themselves, and so do origins: what follows from their fields alone is worked out once, by the functions
that work it out for any message, and looked up from then on.  Only what cannot change the outcome is left out of what is
looked up by: the values of response fields that no rule reads, and those of dates and validators, of which the rules read
no more than whether they are there, except for responses that are not settled.
"""

from edge.caching.coding import form, form_of_passed, shown_fields
from edge.caching.freshness import Lifetime, age_value, initial_age, seconds_of
from edge.caching.reuse import Fwd
from edge.caching.status import CacheStatus
from edge.caching.storing import NotStored, Store
from edge.caching.vary import Nominated, nominate, nominated_names
from edge.exchange.asking import Asking
from edge.exchange.exchange import Exchange, with_own_fields
from edge.exchange.forward import Forwarded, forwarded_fields
from edge.semantics.fields import FieldSection, Line
from edge.semantics.messages import Request, Response

#: Sources of a lifetime that no date has a say in, provided that the fields have the same names.
DATELESS = frozenset({Lifetime.S_MAXAGE, Lifetime.MAX_AGE, Lifetime.DEFAULT})
# So many shapes are remembered of requests, and of responses; each of so many lines and octets at most.
_SHAPES, _LINES, _OCTETS = 2048, 64, 4096


class RequestShape:
    """GET requests for one authority with the same fields, from one client.

    Attributes:
        site: the site that answers.
        fields: what goes to the origin.
        own_fields: the same, with what this client takes in place of what is asked for all.
    """

    __slots__ = ("_nominated", "_selecting", "fields", "own_fields", "site")

    def __init__(self, ex: Exchange) -> None:
        self._selecting = ex.selecting.fields
        self._nominated: tuple[tuple[bytes, ...], Nominated] = (), ()
        self.site = ex.site
        self.fields = forwarded_fields(ex)
        self.own_fields = forwarded_fields(ex, is_own=True)

    def nominated(self, names: tuple[bytes, ...]) -> Nominated:
        """Return the values of the fields called `names`."""
        if self._nominated[0] != names:
            self._nominated = names, nominate(names, self._selecting)
        return self._nominated[1]


class ResponseShape:
    """Responses to requests of one shape that are treated alike.

    Attributes:
        is_settled: whether that is so: what is done with them does not depend on dates.
        as_is_below: contents of at least so many octets may go out in another form; None when all go out as they are.
        refusal: why they are not stored, None when they are.
        detail: its token.
        lifetime: how long they are fresh when they are, in seconds.
        names: their nominated fields.
        nominated: these, with the values that the requests have for them.
    """

    __slots__ = (
        "_date_at", "_is_aged", "_kept", "_node", "_own", "_said", "_shown", "_status", "as_is_below", "detail",
        "is_settled", "lifetime", "names", "nominated", "refusal",
    )  # fmt: skip

    def __init__(self, ex: Exchange, forwarded: Forwarded) -> None:
        received, head = forwarded.upstream.head.fields, forwarded.head
        decision = Asking.decision(ex, ex.request, forwarded, head)
        shown = with_own_fields(head.fields, ex.site, ex.request.target.scheme, ex.node, b"", ex.outcome)
        self._shown = places(shown, received)
        self._own = shown.lines[len(self._shown) :]
        self._node, self._status = ex.node, head.status
        self._said: tuple[int | None, bytes, tuple[Line, ...]] | None = None
        is_dated = decision is NotStored.NO_LIFETIME
        if isinstance(decision, Store):
            self.refusal, self.lifetime = None, decision.freshness.lifetime
            self._kept = places(decision.fields, received)
            self.names = nominated_names(head.fields) or ()
            self.nominated = nominate(self.names, ex.selecting.fields)
            is_lost = decision.freshness.source is Lifetime.NONE and not ex.site.freshness.heuristic
            is_dated = decision.freshness.source not in DATELESS and not is_lost
        else:
            self.refusal, self.lifetime = decision, 0
            self._kept, self.names, self.nominated = (), (), ()
        self.as_is_below = _as_is_below(ex, head, is_stored=self.refusal is None)
        dates = [place for place in places(head.fields, received) if received.lines[place][0] == b"date"]
        self._date_at = dates[0] if dates else -1
        self._is_aged = b"age" in head.fields
        self.detail = "" if self.refusal is None else self.refusal.value
        # A Date that we have to make, and a part, are for the full path.
        self.is_settled = not is_dated and self._date_at >= 0 and head.status not in {206, 304}

    def shown(self, response: Response, ttl: int | None) -> Response:
        """Return the response as a client gets it, with `ttl` seconds of freshness left, None when it is not stored."""
        lines = response.fields.lines
        shown = FieldSection([*[lines[place] for place in self._shown], *self._saying(ttl)[2]])
        return Response(response.status, shown, response.reason)

    def kept(self, response: Response) -> FieldSection:
        """Return the fields that are stored."""
        lines = response.fields.lines
        return FieldSection([lines[place] for place in self._kept])

    def ttl(self, response: Response, request_time: float, response_time: float) -> int:
        """Return how many seconds of freshness such a response has left that was just received."""
        date = seconds_of(response.fields.lines[self._date_at][1], response_time)
        age = age_value(response.fields) if self._is_aged else 0
        return int(self.lifetime - initial_age(date, age, request_time, response_time))

    def cache_status(self, ttl: int | None) -> bytes:
        """Return the Cache-Status member of such an answer."""
        return self._saying(ttl)[1]

    def _saying(self, ttl: int | None) -> tuple[int | None, bytes, tuple[Line, ...]]:
        if self._said is None or self._said[0] != ttl:
            status = CacheStatus(
                Fwd.URI_MISS,
                fwd_status=self._status,
                ttl=ttl,
                stored=self.refusal is None,
                detail=self.detail,
            ).encoded(self._node)
            own = tuple((name, status if name == b"cache-status" else value) for name, value in self._own)
            self._said = ttl, status, own
        return self._said


class Shapes:
    """The shapes seen of late."""

    def __init__(self) -> None:
        self._requests: dict[tuple[FieldSection, bytes, bytes, str], RequestShape] = {}
        self._responses: dict[tuple[object, ...], ResponseShape] = {}

    def of_request(self, request: Request, client: str) -> RequestShape | None:
        """Return the shape of a GET request, None when it was not learnt."""
        return self._requests.get((request.fields, request.target.authority, request.target.scheme, client))

    def learn_request(self, ex: Exchange) -> RequestShape:
        """Return the shape of the exchange's request, and remember it if it is not too large."""
        shape, target = RequestShape(ex), ex.request.target
        if is_small(ex.request.fields):
            if len(self._requests) >= _SHAPES:
                # Begun anew rather than kept in order: what is frequent is back at once.
                self._requests.clear()
            self._requests[ex.request.fields, target.authority, target.scheme, ex.client] = shape
        return shape

    def of_response(self, shape: RequestShape, response: Response) -> ResponseShape | None:
        """Return the shape of a response to a request of `shape`, None when it was not learnt."""
        return self._responses.get(_deciding(shape, response))

    def learn_response(self, shape: RequestShape, ex: Exchange, forwarded: Forwarded) -> ResponseShape:
        """Return the shape of the origin's response, and remember it if it is not too large."""
        learnt, received = ResponseShape(ex, forwarded), forwarded.upstream.head
        if is_small(received.fields):
            if len(self._responses) >= _SHAPES:
                self._responses.clear()
            self._responses[_deciding(shape, received)] = learnt
        return learnt


def _deciding(shape: RequestShape, response: Response) -> tuple[object, ...]:
    return shape, response.status, reduced(response.fields, shape.site.deciding)


def reduced(fields: FieldSection, deciding: frozenset[bytes]) -> tuple[object, ...]:
    """Return the lines that decide, and only the names of the others."""
    return tuple([line if line[0] in deciding else line[0] for line in fields.lines])


def _as_is_below(ex: Exchange, head: Response, *, is_stored: bool) -> int | None:
    rules = ex.site.compression
    if rules is None:
        return None
    if is_stored:
        shown = form(ex.request, head, None, rules, is_first_hand=True)
        is_as_it_is = shown_fields(head.fields, shown) is head.fields
    else:
        is_as_it_is = form_of_passed(ex.request, head, rules) is None
    if is_as_it_is:
        return None
    return 0 if b"content-encoding" in head.fields else rules.min_size


def places(kept: FieldSection, received: FieldSection) -> tuple[int, ...]:
    """Return which of the lines `received` are among those `kept`, themselves and not only by name."""
    same = set(map(id, kept))
    return tuple(place for place, line in enumerate(received) if id(line) in same)


def is_small(fields: FieldSection) -> bool:
    """Return whether what such fields lead to may be remembered."""
    return len(fields) <= _LINES and sum(len(name) + len(value) for name, value in fields) <= _OCTETS
