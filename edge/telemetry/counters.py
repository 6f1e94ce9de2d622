"""Plain integers and fixed buckets: what one exchange costs to count is a dictionary look-up and some additions."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from operator import add
from typing import final

from edge.ports import Record
from edge.telemetry.schema import METHODS, OTHER, OUTCOMES, SECONDS

#: More reason or event names than this is a bug; the rest is folded into OTHER.
MAX_NAMES = 256

Labels = tuple[str, ...]


@final
@dataclass(slots=True)
class Histogram:
    """Counts of values in seconds by bucket, and their sum."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    sum: float = 0.0

    def observe(self, values: Sequence[float], times: int = 1) -> None:
        """Count values, each so many `times`."""
        self.observe_all(Counter(map(bisect_left, repeat(SECONDS), values)), sum(values), times)

    def observe_all(self, buckets: Mapping[int, int], total: float, times: int) -> None:
        """Count values of which there are so many in each of the `buckets`, `total` seconds together, each so many `times`."""
        for at, count in buckets.items():
            self.buckets[at] += count * times
        self.sum += total * times

    def add(self, other: "Histogram") -> None:
        """Add the counts of another."""
        self.buckets = list(map(add, self.buckets, other.buckets))
        self.sum += other.sum

    def cumulative(self) -> list[int]:
        """Return for each upper bound, infinity last, how many values are at or below it."""
        return list(accumulate(self.buckets))


@final
class Series:
    """The exchanges that agree in site, method, status and outcome."""

    __slots__ = ("bytes", "duration", "requests")

    def __init__(self, duration: Histogram) -> None:
        self.requests = 0
        self.bytes = 0
        self.duration = duration


@final
class Counters:
    """Totals since the start.

    Attributes:
        series: by (site, method, code, outcome).
        durations: by (site, outcome), shared by the series.
        codings: contents made, octets they were made of and octets they have, by coding.
    """

    def __init__(self, sites: Iterable[str]) -> None:
        self.series: dict[Labels, Series] = {}
        self.durations: dict[Labels, Histogram] = {}
        self.first_byte = Histogram()
        self.origin_duration = Histogram()
        self.origin_codes: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.events: dict[str, int] = {}
        self.codings: dict[str, tuple[int, int, int]] = {}
        self.incomplete = 0
        self._sites = frozenset(sites) | {""}
        self._known: dict[tuple[str, bytes, int, str], Series] = {}

    def add(self, records: Sequence[Record], times: int = 1) -> None:
        """Count exchanges that were `alike`, each so many `times`."""
        record, count = records[0], len(records) * times
        method = record.request.method if record.request is not None else b""
        # The dictionary must not grow with what a client invents: an unknown method is folded before it is a key.
        key = (record.site, method if method in METHODS else b"", record.status, record.outcome)
        series = self._known.get(key) or self._new_series(key)
        series.requests += count
        series.bytes += sum([each.bytes_out for each in records]) * times
        durations = [each.seconds for each in records]
        firsts = [each.first_byte_seconds for each in records]
        buckets, total = Counter(map(bisect_left, repeat(SECONDS), durations)), sum(durations)
        series.duration.observe_all(buckets, total, times)
        if firsts == durations:
            # As it is where an answer was written at once.
            self.first_byte.observe_all(buckets, total, times)
        else:
            self.first_byte.observe(firsts, times)
        if record.detail:
            self._add_named(self.reasons, record.detail, count)
        self.add_origin(records, times)
        if not record.complete:
            self.incomplete += count

    def add_origin(self, records: Sequence[Record], times: int = 1) -> None:
        """Count what exchanges that were `alike` asked of the origin, each so many `times`."""
        if records[0].origin_status is not None:
            code = _code(records[0].origin_status)
            self.origin_codes[code] = self.origin_codes.get(code, 0) + len(records) * times
        self.origin_duration.observe(
            [each.origin_seconds for each in records if each.origin_seconds is not None], times
        )

    def add_event(self, name: str, amount: int) -> None:
        """Count a named event."""
        self._add_named(self.events, name, amount)

    def add_coded(self, coding: str, octets_in: int, octets_out: int) -> None:
        """Count a content that was made."""
        contents, taken, made = self.codings.get(coding, (0, 0, 0))
        self.codings[coding] = (contents + 1, taken + octets_in, made + octets_out)

    def _new_series(self, key: tuple[str, bytes, int, str]) -> Series:
        site, method, status, outcome = key
        site = site or "-" if site in self._sites else OTHER
        outcome = outcome if outcome in OUTCOMES else OTHER
        labels = (site, method.decode() or OTHER, _code(status), outcome)
        duration = self.durations.setdefault((site, outcome), Histogram())
        series = self.series.setdefault(labels, Series(duration))
        # A site or an outcome that nobody configured is counted, but not remembered.
        if OTHER not in {site, outcome}:
            self._known[key] = series
        return series

    @staticmethod
    def _add_named(counts: dict[str, int], name: str, amount: int) -> None:
        if name not in counts and len(counts) >= MAX_NAMES:
            name = OTHER
        counts[name] = counts.get(name, 0) + amount


def alike(records: Iterable[Record]) -> Collection[Sequence[Record]]:
    """Return the records in groups that agree in all that is counted and not measured."""
    groups: defaultdict[tuple[object, ...], list[Record]] = defaultdict(list)
    for each in records:
        method = None if each.request is None else each.request.method
        groups[
            each.site, method, each.status, each.outcome, each.detail, each.origin_status, each.complete
        ].append(each)  # fmt: skip
    return groups.values()


def _code(status: int) -> str:
    return _CODES.get(status, OTHER)


_CODES = {status: str(status) for status in range(100, 600)}
