"""Which stored responses are meant, and the facts they are chosen by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.caching.freshness import FreshnessRules, Lifetime, current_age, freshness
from edge.caching.stored import StoredResponse
from edge.errors import ParseError
from edge.inspection import shown
from edge.policy.key import parse_key
from edge.semantics.target import Target
from edge.store.inspect import Inspection, Located

#: The freshness rules of the site that answers for a host without port.
Rules = Callable[[bytes], FreshnessRules]


@dataclass(frozen=True, slots=True)
class Facts:
    """A stored response as it is now.

    Attributes:
        located: the stored response and where its head lies.
        target: what its key says; None for a key that was not made of a target.
        size: octets held of its content.
        age: current_age in seconds (RFC 9111 §4.2.3).
        lifetime: freshness lifetime in seconds.
        source: where the lifetime comes from.
    """

    located: Located
    target: Target | None
    size: int
    age: float
    lifetime: int
    source: Lifetime

    @property
    def stored(self) -> StoredResponse:
        """The stored response."""
        return self.located.stored

    @property
    def is_fresh(self) -> bool:
        """Whether it is fresh (RFC 9111 §4.2)."""
        return self.lifetime > self.age

    @property
    def url(self) -> str:
        """Its URL as text."""
        return shown.url(self.stored.key)

    @property
    def type(self) -> str:
        """Its media type without parameters, or "-"."""
        given = self.stored.fields.get(b"content-type") or b"-"
        return shown.text(given.partition(b";")[0].strip().lower())

    def record(self) -> dict[str, object]:
        """Return what a line of JSON says of it."""
        stored, place = self.stored, self.located.place
        return {
            "url": self.url,
            "generation": stored.generation.hex(),
            "nominated": shown.nominated(stored.nominated),
            "status": stored.status,
            "type": self.type,
            "size": self.size,
            "complete_length": stored.complete_length,
            "is_complete": stored.is_complete,
            "age": round(self.age, 3),
            "lifetime": self.lifetime,
            "lifetime_source": self.source.value,
            "is_fresh": self.is_fresh,
            "is_pinned": stored.pinned,
            "segment": place.segment,
            "offset": place.offset,
        }


def facts_of(located: Located, rules: Rules, now: float) -> Facts:
    """Return the facts of a stored response at `now`."""
    stored = located.stored
    try:
        target = parse_key(stored.key)
        rules_of_site = rules(target.host)
    # The authority in a key that is damaged, or not ours, has any form.
    except (ParseError, ValueError):
        target, rules_of_site = None, rules(b"")
    facts = freshness(stored.status, stored.fields, stored.response_time, rules_of_site)
    held = sum(last - first for first, last in stored.ranges)
    return Facts(located, target, held, current_age(stored, now), facts.lifetime, facts.source)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a stored response must be to be meant; None for anything.

    Attributes:
        prefix: how its URL, or the path and query of it, begins.
        host: its authority, or the host in it.
        statuses: status codes such as "404", or their classes such as "4xx".
        min_size, max_size: bounds of what is held, octets, both included.
        older, younger: bounds of its age, seconds, both included.
        fresh: whether it is fresh.
        pinned: whether it is pinned.
    """

    prefix: bytes | None = None
    host: bytes | None = None
    statuses: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    older: float | None = None
    younger: float | None = None
    fresh: bool | None = None
    pinned: bool | None = None

    def takes(self, facts: Facts) -> bool:
        """Return whether the stored response with these facts is meant."""
        status = str(facts.stored.status)
        return (
            self._takes_url(facts.target)
            and (not self.statuses or status in self.statuses or f"{status[0]}xx" in self.statuses)
            and (self.min_size is None or facts.size >= self.min_size)
            and (self.max_size is None or facts.size <= self.max_size)
            and (self.older is None or facts.age >= self.older)
            and (self.younger is None or facts.age <= self.younger)
            and (self.fresh is None or facts.is_fresh is self.fresh)
            and (self.pinned is None or facts.stored.pinned is self.pinned)
        )

    def _takes_url(self, target: Target | None) -> bool:
        if self.prefix is None and self.host is None:
            return True
        if target is None:
            return False
        if self.host is not None and self.host not in {target.authority, target.host}:
            return False
        if self.prefix is None:
            return True
        return (target.path_and_query if self.prefix.startswith(b"/") else target.uri).startswith(self.prefix)


def selected(inspection: Inspection, selection: Selection, rules: Rules, now: float) -> Iterator[Facts]:
    """Yield the facts of every stored response that is meant; StoreDamaged if the index cannot be read."""
    for located in inspection.responses():
        facts = facts_of(located, rules, now)
        if selection.takes(facts):
            yield facts
