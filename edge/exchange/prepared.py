"""Ready answers: what the full path would send for a fresh hit, kept so that nothing is decided again.

A ready answer is made when a plain request was answered with a fresh stored response.  It holds as long as the store
knows that key by the same token and the lifetime lasts; what it sends is made by the same functions as the full
path's, once for each second of age, but for a content that is not in memory: that is read each time.  With it comes
the 304 for clients that have the content already.
"""

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy

from edge.caching.coding import Form, form, offering
from edge.caching.freshness import current_age, freshness
from edge.caching.status import hit_status
from edge.caching.stored import StoredResponse
from edge.caching.vary import normalised
from edge.exchange.challenge import may_be_challenge
from edge.exchange.deliver import not_modified
from edge.exchange.exchange import Exchange, with_own_fields
from edge.exchange.plan import NotModified, condition
from edge.exchange.published import NothingPublished, PublishedAnswers, ReadyPublished
from edge.exchange.purged import is_unpurged
from edge.exchange.site import Sites
from edge.exchange.variants import Shown
from edge.ports import Again, Piece, Published, Purges, Record, Second, Store, Token
from edge.rounds import Rounds
from edge.semantics.fields import FieldSection, Line
from edge.semantics.messages import Request, Response

#: Request fields that give more than the key and the nominated fields a say in the answer.
NOT_PLAIN = frozenset({
    b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range",
    b"cache-control", b"pragma", b"authorization", b"expect", b"upgrade", b"cdn-loop", b"via", b"max-forwards",
    b"content-length", b"transfer-encoding", b"edge-debug",
})  # fmt: skip
# Of these, the ones that only choose between an answer and its 304.
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
_DECIDING = NOT_PLAIN - _CONDITIONS
# So many keys have ready answers at a time, and each so many variants.
_KEYS, _VARIANTS = 8192, 16
#: What is done for one of them, in order.
TRACE = ("lookup", "reuse", "deliver")


class Prepared:
    """One ready answer.

    Attributes:
        stored: the stored response.
        body: what is sent of its content, nothing with a 304; None when that is not in memory.
        length: octets of what is sent.
    """

    __slots__ = (
        "_again", "_age_at", "_base_age", "_epoch", "_form", "_is_304", "_is_offering", "_lifetime", "_lines", "_node",
        "_path", "_published", "_purges", "_scheme", "_shared", "_since", "_site", "_source", "_status_at", "_store",
        "_token", "_ttl", "_unmodified", "_used", "body", "length", "stored",
    )  # fmt: skip

    def __init__(
        self,
        store: Store,
        purges: Purges,
        node: bytes,
        ex: Exchange,
        source: StoredResponse,
        shown: Shown,
        token: Token,
        *,
        published: Published,
    ) -> None:
        """Keep what was `shown` of the stored response `source`, which is all there."""
        self._store, self._purges, self._node, self._site, self._token = store, purges, node, ex.site, token
        self._source, self._used, stored = source, shown.used, shown.stored
        self._form = self._form_for(ex.request)
        self._is_offering = ex.selecting is not ex.request
        self._shared, self._epoch = purges.shared, ex.epoch
        self._scheme, self._path, self._published = ex.target.scheme, ex.target.path, published
        self.stored = stored
        self.body, self.length = store.at_hand(stored), stored.complete_length or 0
        self._again: Again | None = None
        self._is_304, self._unmodified = False, self
        # The head's, once it was made, with the places of what changes from second to second.
        self._lines: list[Line] = []
        self._age_at = self._status_at = self._ttl = 0
        self._lifetime = freshness(stored.status, stored.fields, stored.response_time, ex.site.freshness).lifetime
        self._since = stored.response_time
        self._base_age = current_age(stored, stored.response_time)

    def unmodified(self) -> "Prepared":
        """Return the 304 in its place."""
        if self._unmodified is self:
            self._unmodified = answer = copy(self)
            answer._is_304, answer.body, answer.length = True, b"", 0
            answer._lines = []
        return self._unmodified

    def keeps(self) -> bool:
        """Let go of a content that is not in memory any more; return whether this is what a lookup finds."""
        if self.body and self._store.at_hand(self.stored) is not self.body:
            self.body = None
        return self._token.is_current

    def read(self) -> Piece | None:
        """Return a content that is not at hand; None when it would have to be waited for, is damaged, or gone."""
        if self._again is None:
            self._again = self._store.again(self.stored)
        return None if self._again is None else self._again.read()

    def matches(self, request: Request) -> bool:
        """Return whether the request selects this response (RFC 9111 §4.1)."""
        fields = offering(request.fields) if self._is_offering else request.fields
        is_selected = all(normalised(name, fields) == value for name, value in self.stored.nominated)
        return is_selected and self._form_for(request) == self._form

    def _form_for(self, request: Request) -> Form | None:
        rules, source = self._site.compression, self._source
        return None if rules is None else form(request, source.response, source.complete_length, rules)

    def second(self, now: float) -> Second | None:
        """Return age and lifetime left at `now`; None when it is stale or no longer what a lookup would find."""
        age = self._base_age + now - self._since if now > self._since else self._base_age
        if age >= self._lifetime or not self._token.is_current:
            return None
        if self._shared.epoch != self._epoch and self._is_purged():
            return None
        return int(age), int(self._lifetime - age)

    def _is_purged(self) -> bool:
        epoch = self._purges.current()
        if not is_unpurged(self._purges, self.stored) or self._published.covers(self._site.name, self._path):
            return True
        self._epoch = epoch
        return False

    def head(self, second: Second) -> Response:
        """Return the head as the full path makes it."""
        age, ttl = second
        stored, self._ttl = self.stored, ttl
        self._used()
        if not self._is_304:
            self.body = self._store.at_hand(stored)
        if self.body is not None:
            # Once for each second in which it is asked for, which is enough to be told from what is not.
            self._store.visit(stored)
        lines = self._lines or self._made_lines()
        lines[self._age_at] = b"age", b"%d" % age
        lines[self._status_at] = b"cache-status", hit_status(self._node, ttl)
        fields = FieldSection(lines)
        return Response(304, fields) if self._is_304 else Response(stored.status, fields, stored.reason)

    def _made_lines(self) -> list[Line]:
        fields = self.stored.fields.replacing(b"age", b"")
        shown = not_modified(fields).fields if self._is_304 else fields
        own = with_own_fields(shown, self._site, self._scheme, self._node, hit_status(self._node, ttl=0), "HIT")
        self._lines = lines = list(own)
        names = [name for name, _ in lines]
        self._age_at = names.index(b"age")
        # The last: those before it are of caches that the response has passed.
        self._status_at = len(names) - 1 - names[::-1].index(b"cache-status")
        return lines

    def record(self, request: Request, client: str, now: float) -> Record:
        """Return what telemetry is told of one exchange, for which the head was made."""
        return Record(
            request=request,
            status=304 if self._is_304 else self.stored.status,
            trace=TRACE,
            cache_status=hit_status(self._node, self._ttl),
            outcome="HIT",
            detail="",
            client=client,
            site=self._site.name,
            bytes_out=self.length,
            began=now,
            seconds=0.0,
            first_byte_seconds=0.0,
            origin_seconds=None,
            origin_status=None,
            complete=True,
        )


class PreparedAnswers:
    """The ready answers of a node, by key."""

    def __init__(
        self, sites: Sites, store: Store, purges: Purges, node: bytes, published: Published | None = None
    ) -> None:
        self._sites = sites
        self._published = published or NothingPublished()
        self._answers = PublishedAnswers(self._published, purges, node)
        self._store = store
        self._purges = purges
        self._node = node
        self._by_key = OrderedDict[bytes, list[Prepared]]()
        self._rounds = Rounds[bytes]()

    def install(
        self,
        ex: Exchange,
        source: StoredResponse,
        shown: Shown,
        candidates: Sequence[StoredResponse],
        token: Token | None = None,
    ) -> None:
        """Keep the answer that a plain request was just given, if all of it is in memory or there is a `token` for it.

        Only where the nominated values tell the key's responses apart: then no more than one can match a request.
        """
        if ex.site.client_ca or not ex.is_complete or not is_plain(ex.request, _DECIDING) or not _are_apart(candidates):
            return
        stored = shown.stored
        if token is None:
            token, body = self._store.token(stored.key), self._store.at_hand(stored)
            if token is None or body is None or stored.complete_length != len(body):
                return
        others = [one for one in self._by_key.pop(ex.key, ()) if one.keeps() and not one.matches(ex.request)]
        made = Prepared(self._store, self._purges, self._node, ex, source, shown, token, published=self._published)
        self._by_key[ex.key] = [made, *others[: _VARIANTS - 1]]
        if len(self._by_key) > _KEYS:
            self._by_key.popitem(last=False)

    def find(self, request: Request) -> Prepared | ReadyPublished | None:
        """Return the ready answer to a request, None when the full path must make one."""
        if not (self._by_key or self._published.sites) or not is_plain(request, _DECIDING):
            return None
        if (placed := self._sites.place(request.target)) is None:
            return None
        site, _, key = placed
        if site.client_ca:
            # Which client has shown what, the full path knows.
            return None
        if site.name in self._published.sites and self._published.covers(site.name, request.target.path):
            # An open challenge comes before what is published in its place: the full path knows.
            return self._answers.find(request, site) if is_plain(request) and not may_be_challenge(request) else None
        for prepared in self._by_key.get(key, ()):
            if prepared.matches(request):
                return self._as_conditional(request, prepared)
        return None

    @staticmethod
    def _as_conditional(request: Request, prepared: Prepared) -> Prepared | None:
        """Return what of a ready answer the preconditions ask for; None where the time of asking has a say in that."""
        fields, stored = request.fields, prepared.stored
        if is_plain(request):
            return prepared
        if b"if-none-match" not in fields and fields.combined(b"if-modified-since") != stored.fields.get(
            b"last-modified"
        ):
            # RFC 9110 §13.1.3: whether another date counts depends on the clock.
            return None
        met = condition(request, stored.response, stored.response_time, stored.response_time)
        return prepared.unmodified() if isinstance(met, NotModified) else prepared

    def sweep(self) -> None:
        """Let go of answers that the store has let go of, some at a time."""
        for key in self._rounds.next(self._by_key):
            answers = self._by_key.get(key, [])
            held = [one for one in answers if one.keeps()]
            if held:
                self._by_key[key] = held
            elif answers:
                del self._by_key[key]


def is_plain(request: Request, deciding: frozenset[bytes] = NOT_PLAIN) -> bool:
    """Return whether only the key and the nominated fields of a request have a say in its answer.

    `deciding` are the fields that would have one, too.
    """
    return (
        request.method == b"GET"
        and request.version >= (1, 1)
        and not request.has_content
        and not request.fields.has_any(deciding)
    )


def _are_apart(candidates: Sequence[StoredResponse]) -> bool:
    names = {tuple(name for name, _ in stored.nominated) for stored in candidates}
    # A preferred language can match beside an equal value; see `caching.vary`.
    return len(names) == 1 and b"accept-language" not in next(iter(names))
