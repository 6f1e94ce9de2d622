"""Plain integers and fixed buckets: what one exchange costs to count is a dictionary look-up and some additions."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
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

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count one value, or the same one several times."""
        self.buckets[bisect_left(SECONDS, seconds)] += times
        self.sum += seconds * times

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
    """

    def __init__(self, sites: Iterable[str]) -> None:
        self.series: dict[Labels, Series] = {}
        self.durations: dict[Labels, Histogram] = {}
        self.first_byte = Histogram()
        self.origin_duration = Histogram()
        self.origin_codes: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.events: dict[str, int] = {}
        self.incomplete = 0
        self._sites = frozenset(sites) | {""}
        self._known: dict[tuple[str, bytes, int, str], Series] = {}

    def add(self, record: Record, times: int = 1) -> None:
        """Count one exchange, or several that were alike."""
        method = record.request.method if record.request is not None else b""
        # The dictionary must not grow with what a client invents: an unknown method is folded before it is a key.
        key = (record.site, method if method in METHODS else b"", record.status, record.outcome)
        series = self._known.get(key) or self._new_series(key)
        series.requests += times
        series.bytes += record.bytes_out * times
        series.duration.observe(record.seconds, times)
        self.first_byte.observe(record.first_byte_seconds, times)
        if record.detail:
            self._add_named(self.reasons, record.detail, times)
        self.add_origin(record, times)
        if not record.complete:
            self.incomplete += times

    def add_origin(self, record: Record, times: int = 1) -> None:
        """Count what one exchange asked of the origin."""
        if record.origin_status is not None:
            code = _code(record.origin_status)
            self.origin_codes[code] = self.origin_codes.get(code, 0) + times
        if record.origin_seconds is not None:
            self.origin_duration.observe(record.origin_seconds, times)

    def add_event(self, name: str, amount: int) -> None:
        """Count a named event."""
        self._add_named(self.events, name, amount)

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


def _code(status: int) -> str:
    return _CODES.get(status, OTHER)


_CODES = {status: str(status) for status in range(100, 600)}
