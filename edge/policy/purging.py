"""What was purged, and whether that is so of a response: rules with increasing ids instead of scans.

Every stored response carries the id of the newest purge there was when its fetch began, its epoch.  A purge hits what
it names and what is older than it, so a look at the newest purge of each name that a response has answers for it.  The
names of a response are few: its key, its host, its path cut at each "/", its tags.  What is stored is never walked
through, and neither are the rules.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from edge.errors import ParseError
from edge.policy.key import parse_key


class Mode(StrEnum):
    """What becomes of what is purged: as if it were not there, or stale."""

    HARD = "hard"
    SOFT = "soft"


class Kind(StrEnum):
    """What a name is the name of."""

    URL = "url"
    PREFIX = "prefix"
    HOST = "host"
    TAG = "tag"
    GROUP = "group"
    EVERYTHING = "everything"


class Selector(NamedTuple):
    """What is purged, in the form that responses are compared with; see `purging_targets`."""

    kind: Kind
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class Purge:
    """One purge: its id, greater than every one before; when it was asked for, seconds; what it is about, and how."""

    id: int
    time: float
    mode: Mode
    selectors: tuple[Selector, ...]


class Verdict(NamedTuple):
    """A response was purged so, at that time in seconds."""

    mode: Mode
    time: float


class _Moment(NamedTuple):
    id: int
    time: float


#: Returns the tags and groups of a response; only called where there are purges of such.
Labels = Callable[[], Iterable[Selector]]

EVERYTHING = Selector(Kind.EVERYTHING)
_LABELS = (Kind.TAG, Kind.GROUP)


class PurgeTable:
    """The purges in force.

    It never forgets one, but may widen the oldest: what only they would have told apart is then purged with the rest.

    Attributes:
        epoch: the id of the newest purge.
    """

    __slots__ = ("_deepest", "_latest", "_limit", "_rules", "epoch")

    def __init__(self, *, epoch: int = 0, limit: int = 100_000) -> None:
        """Begin after `epoch` without rules; beyond `limit` of them, the older half is widened."""
        self._limit = limit
        self._rules: dict[Mode, dict[Selector, _Moment]] = {mode: {} for mode in Mode}
        self._latest = dict.fromkeys(Kind, 0)
        self._deepest = 0
        self.epoch = epoch

    def __len__(self) -> int:
        """Return how many rules there are."""
        return sum(map(len, self._rules.values()))

    def apply(self, purge: Purge) -> None:
        """Put `purge` in force; does nothing when it already was."""
        if purge.id <= self.epoch:
            return
        self.epoch = purge.id
        for selector in purge.selectors:
            self._add(selector, purge.mode, _Moment(purge.id, purge.time))
        if len(self) > self._limit:
            ids = sorted(moment.id for rules in self._rules.values() for moment in rules.values())
            self.widen(ids[len(ids) // 2])

    def widen(self, upto: int) -> None:
        """Let the rules with ids up to `upto` hit everything older than they are.

        No stored response is lost by that if all of them are of this epoch or a later one.
        """
        for mode in Mode:
            old = [moment for moment in self._rules[mode].values() if moment.id <= upto]
            if old:
                self._add(EVERYTHING, mode, max(old))

    def verdict(self, key: bytes, epoch: int, labels: Labels) -> Verdict | None:
        """Return whether a response for `key`, whose fetch began at `epoch`, was purged since; hard beats soft."""
        if epoch == self.epoch:
            return None
        if epoch > self.epoch:
            # From a time after which something of the log got lost.
            return Verdict(Mode.HARD, 0.0)
        hard, soft = self._rules[Mode.HARD], self._rules[Mode.SOFT]
        stale_since = []
        for selector in self._names(key, epoch, labels):
            if (hit := hard.get(selector)) is not None and hit.id > epoch:
                return Verdict(Mode.HARD, hit.time)
            if (hit := soft.get(selector)) is not None and hit.id > epoch:
                stale_since.append(hit.time)
        return Verdict(Mode.SOFT, min(stale_since)) if stale_since else None

    def may_hit(self, key: bytes, epoch: int) -> bool:
        """Return whether a response for `key` whose tags are not known yet may have been purged since `epoch`."""
        return any(self._latest[kind] > epoch for kind in _LABELS) or self.verdict(key, epoch, tuple) is not None

    def purges(self) -> list[Purge]:
        """Return purges that put the same rules in force, by id."""
        found: dict[tuple[_Moment, Mode], list[Selector]] = {}
        for mode, rules in self._rules.items():
            for selector, moment in rules.items():
                found.setdefault((moment, mode), []).append(selector)
        return [Purge(*moment, mode, tuple(selectors)) for (moment, mode), selectors in sorted(found.items())]

    def _add(self, selector: Selector, mode: Mode, moment: _Moment) -> None:
        kind, value = selector
        if kind is Kind.EVERYTHING:
            self._cover(mode, moment.id)
        elif kind is Kind.PREFIX:
            self._deepest = max(self._deepest, value.count(b"/"))
        if mode is Mode.HARD:
            self._rules[Mode.SOFT].pop(selector, None)
        self._rules[mode][selector] = moment
        self._latest[kind] = max(self._latest[kind], moment.id)

    def _cover(self, mode: Mode, upto: int) -> None:
        """Drop the rules that a purge of everything says as well."""
        for covered in (Mode.HARD, Mode.SOFT) if mode is Mode.HARD else (Mode.SOFT,):
            rules = self._rules[covered]
            self._rules[covered] = {selector: moment for selector, moment in rules.items() if moment.id > upto}

    def _names(self, key: bytes, epoch: int, labels: Labels) -> Iterator[Selector]:
        """Yield the names of a response, of the kinds by which anything was purged since `epoch`."""
        latest = self._latest
        yield EVERYTHING
        if latest[Kind.URL] > epoch:
            yield Selector(Kind.URL, key)
        if latest[Kind.HOST] > epoch or latest[Kind.PREFIX] > epoch:
            yield from self._names_of_key(key)
        if any(latest[kind] > epoch for kind in _LABELS):
            yield from labels()

    def _names_of_key(self, key: bytes) -> Iterator[Selector]:
        try:
            target = parse_key(key)
        except ParseError:
            return
        yield Selector(Kind.HOST, target.authority)
        yield Selector(Kind.HOST, target.host)
        whole, at = b"//" + target.authority + target.path, 1
        # Its two slashes in front count as well.
        for _ in range(self._deepest - 1):
            at = whole.find(b"/", at + 1)
            cut = whole if at < 0 else whole[:at]
            yield Selector(Kind.PREFIX, cut)
            yield Selector(Kind.PREFIX, target.scheme + b":" + cut)
            if at < 0:
                return
