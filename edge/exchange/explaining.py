"""What would happen to a request now, and why: each decision of the driver made again, with nothing done about it.

The decisions are those of the functions that the driver asks; a test lets both live through the same histories.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge import reasons
from edge.caching import groups, reuse, validation, vary
from edge.caching.coding import AsItIs, form, offering, without_dated_range
from edge.caching.derived import originals
from edge.caching.freshness import Lifetime, age_value, current_age, date_value, freshness
from edge.caching.reuse import Detail, Fwd, Reuse
from edge.caching.stored import StoredResponse
from edge.errors import CertificateWanted, LoopDetected
from edge.exchange.context import Context
from edge.exchange.plan import Failed, NotModified, is_held, plan
from edge.exchange.purged import judge
from edge.exchange.site import Site, Sites
from edge.exchange.tunnel import protocol_of
from edge.policy.key import apply_query, cache_key
from edge.policy.learned import Learned
from edge.semantics.dates import format_date
from edge.semantics.forwarding import loop_count
from edge.semantics.messages import Request

#: Methods that a stored response may answer.
FROM_CACHE = frozenset({b"GET", b"HEAD"})
#: Methods that no public listener serves: they echo, tunnel, or manage caches.
REFUSED_METHODS = frozenset({
    b"TRACE", b"TRACK", b"CONNECT", b"PURGE", b"BAN", b"INVALIDATE", b"LINK", b"UNLINK", b"PRI", b"SOURCE",
})  # fmt: skip
#: A request that comes by once more than so often is in a loop (RFC 8586).
MAX_LOOPS = 0

# Where a lifetime comes from that the origin does not state.
_LIFETIME_SETTINGS = {
    Lifetime.DEFAULT: "setting site[].ttl.default",
    Lifetime.HEURISTIC: "setting site[].ttl.heuristic",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One decision: what it is called, what was found, and the rule behind it."""

    name: str
    finding: str
    rule: str = ""


@dataclass(slots=True)
class Explanation:
    """What would happen to a request.

    Attributes:
        outcome: "hit", "stale-hit", "forward" or "refused".
        fwd: why it would go forward (RFC 9211 §2.2), empty when it would not.
        detail: the token behind that.
        sentence: the same in words.
        steps: the decisions in their order.
        remedies: what would have to change for a hit.
        is_owner: whether this worker is the one that fills and validates the key.
        key: the cache key, empty when no site answers.
        site: the name of the site that answers, empty without one.
    """

    outcome: str = "forward"
    fwd: str = ""
    detail: str = ""
    sentence: str = ""
    steps: list[Step] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    is_owner: bool = True
    key: bytes = b""
    site: str = ""

    def found(self, name: str, finding: str, rule: str = "") -> None:
        """Add a step."""
        self.steps.append(Step(name, finding, rule))

    def ends(self, outcome: str, *, fwd: str = "", detail: str = "") -> "Explanation":
        """Note the outcome, and what follows from its tokens."""
        self.outcome, self.fwd, self.detail = outcome, fwd, detail
        tokens = [token for token in (detail, fwd) if token]
        self.sentence = reasons.of(tokens[0]).sentence if tokens else ""
        self.remedies = list(dict.fromkeys(remedy for token in tokens if (remedy := reasons.of(token).remedy)))
        for token in tokens:
            self.found("outcome", f"{token}: {reasons.of(token).sentence}", reasons.of(token).rule)
        return self


class Explaining:
    """Explains requests."""

    def __init__(self, sites: Sites, context: Context, learned: Learned) -> None:
        self._sites, self._context, self._learned = sites, context, learned

    async def explain(self, request: Request) -> Explanation:
        """Return what would happen to `request` now."""
        told = Explanation()
        if request.method in REFUSED_METHODS:
            return told.ends("refused", detail="method-refused")
        site = self._sites.of(request.target)
        if site is None:
            told.found("site", f"no site has the host {_text(request.target.host)}", "setting site[].hosts")
            return told.ends("refused", detail="unknown-authority")
        told.site = site.name
        told.found("site", f"{site.name}, whose origin is {site.origin}", "setting site[].hosts")
        if _is_turned_away(told, request, site):
            return told
        if loop_count(request.fields, self._context.node) > MAX_LOOPS:
            return told.ends("refused", detail=LoopDetected.detail)
        if (protocol := protocol_of(request, site.upgrade)) is not None:
            told.found("upgrade", f"the connection is to become {_text(protocol)}", "setting site[].upgrade")
            return told.ends("forward", fwd=Fwd.BYPASS.value)
        if site.compression is not None:
            request = without_dated_range(request, site.compression)
        target = apply_query(request.target, site.key)
        if target.query != request.target.query:
            kept = "none" if target.query is None else _text(target.query)
            told.found("query", f"of the query, this counts and goes to the origin: {kept}", "setting site[].key")
        told.key = key = cache_key(target, site.key)
        told.found("key", _text(key), "setting site[].key")
        told.is_owner = self._context.ring is None or self._context.ring.owner(key) is None
        if request.method not in FROM_CACHE:
            return told.ends("forward", fwd=Fwd.METHOD.value)
        if self._context.published.covers(site.name, request.target.path):
            return told.ends("hit", detail=Detail.PUBLISHED.value)
        usable = self._usable(told, originals(await self._context.store.lookup(key)))
        rules = site.compression
        selecting = request if rules is None or not rules.origin else request.with_fields(offering(request.fields))
        stored = vary.select(selecting, usable)
        for each in usable:
            told.found("variant", _variant(selecting, each, is_selected=each is stored), "RFC 9111 §4.1")
        if stored is None:
            self._tell_learned(told, key)
            return self._forward(told, request, Fwd.VARY_MISS if usable else Fwd.URI_MISS)
        return self._selected(told, request, site, stored)

    def _usable(self, told: Explanation, found: Sequence[StoredResponse]) -> list[StoredResponse]:
        """Return what purges leave of what is stored."""
        told.found("lookup", f"{len(found)} stored for this key")
        # A purge that another process took is in force, whether or not a request has come here since.
        self._context.purges.current()
        usable = []
        for stored in found:
            judged = judge(self._context.purges, stored)
            if judged is None:
                told.found("purge", "one was purged since it was fetched", "POST /v1/purge")
            else:
                if judged.purged_at is not None:
                    when = _text(format_date(judged.purged_at))
                    told.found("purge", f"one was purged softly at {when}: it is stale since", "POST /v1/purge")
                usable.append(judged)
        return usable

    def _tell_learned(self, told: Explanation, key: bytes) -> None:
        if self._learned.is_uncacheable(key, self._context.clock.now()):
            told.found(
                "learned", "answers for this key were not storable of late, so that requests do not wait for others"
            )

    def _selected(self, told: Explanation, request: Request, site: Site, stored: StoredResponse) -> Explanation:
        now = self._context.clock.now()
        _tell_freshness(told, site, stored, now)
        told.found("tier", "disk" if self._context.store.at_hand(stored) is None else "memory", "setting cache.memory")
        tags = [_text(tag) for tag in groups.tags(stored.fields)]
        if tags:
            told.found("tags", ", ".join(tags))
        decision = reuse.decide(request, stored, now=now, rules=site.reuse_rules)
        what = plan(request, stored, stored.complete_length, now)
        if isinstance(what, Failed):
            return self._forward(told, request, Fwd.REQUEST)
        if not is_held(request, stored, what):
            return self._forward(told, request, Fwd.PARTIAL)
        if site.compression is not None:
            shown = form(request, stored.response, stored.complete_length, site.compression)
            said = (
                f"as it is: {shown.reason.value}"
                if isinstance(shown, AsItIs)
                else f"in {_text(shown.to)}, which is made here"
            )
            told.found("coding", said, "setting site[].compression")
        if isinstance(what, NotModified):
            told.found("preconditions", "the client has this content already: 304", "RFC 9110 §13.2.2")
        if isinstance(decision, Reuse):
            is_fresh = decision.detail is Detail.FRESH
            return told.ends("hit" if is_fresh else "stale-hit", detail=decision.detail.value)
        if request.method != b"HEAD" and validation.has_validator(stored):
            told.found("validate", "the origin is asked whether it still holds", "RFC 9111 §4.3")
        return self._forward(told, request, decision.fwd, decision.detail.value)

    @staticmethod
    def _forward(told: Explanation, request: Request, fwd: Fwd, detail: str = "") -> Explanation:
        if reuse.is_only_if_cached(request):
            return told.ends("refused", detail=Detail.ONLY_IF_CACHED.value)
        return told.ends("forward", fwd=fwd.value, detail=detail)


def _is_turned_away(told: Explanation, request: Request, site: Site) -> bool:
    """Say what a site wants of the connection; return whether one that is not secure ends the matter."""
    is_plain = request.target.scheme == b"http"
    if site.https_port is not None and is_plain:
        told.found("redirect", f"plain HTTP is sent to https at port {site.https_port}", "setting site[].https")
        told.ends("refused")
        return True
    if site.client_ca:
        finding = f"the client has to show one that an authority in {site.client_ca} has signed"
        told.found("certificate", finding, "setting site[].client_ca")
        if is_plain:
            told.ends("refused", detail=CertificateWanted.detail)
    return is_plain and bool(site.client_ca)


def _tell_freshness(told: Explanation, site: Site, stored: StoredResponse, now: float) -> None:
    """Say how old a stored response is, how long it is fresh, and how that was counted (RFC 9111 §4.2)."""
    facts = freshness(stored.status, stored.fields, stored.response_time, site.freshness)
    said = [
        f"{_text(name)}: {_text(value)}"
        for name in (b"cache-control", *site.freshness.targets, b"expires", b"last-modified")
        for value in stored.fields.values(name)
    ]
    rule = _LIFETIME_SETTINGS.get(facts.source, "RFC 9111 §4.2.1")
    told.found(
        "lifetime", f"{facts.lifetime} s, by {facts.source.value} ({'; '.join(said) or 'no field states one'})", rule
    )  # fmt: skip
    arrived = stored.response_time
    apparent = max(0, int(arrived) - date_value(stored.fields, arrived))
    told.found(
        "age",
        f"{current_age(stored, now):.0f} s = the greater of {apparent} s (from Date to arrival) and "
        f"{age_value(stored.fields) + max(0.0, arrived - stored.request_time):.1f} s (Age and the time it took), "
        f"and {max(0.0, now - arrived):.0f} s in the store",
        "RFC 9111 §4.2.3",
    )


def _variant(request: Request, stored: StoredResponse, *, is_selected: bool) -> str:
    compared = [
        f"{_text(name)} was {_shown(value)}, is {_shown(vary.normalised(name, request.fields))}"
        for name, value in stored.nominated
    ]
    word = "selected" if is_selected else "not selected"
    return f"{stored.status}, {word}" + (f": {'; '.join(compared)}" if compared else "")


def _shown(value: bytes | None) -> str:
    return "absent" if value is None else f'"{_text(value)}"'


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
