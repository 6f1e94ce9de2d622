"""The last ten minutes, second by second: what the dashboard calls now."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import final

from edge.clock import Clock
from edge.ports import Record
from edge.telemetry.schema import HITS

SPAN = 600
#: The windows that are shown, in seconds.
WINDOWS = {"10s": 10, "1m": 60, "10m": 600}


@dataclass(slots=True)
class Sums:
    """Exchanges of one second, or of a window.

    Attributes:
        requests: exchanges that ended.
        lookups: those that asked the cache.
        hits: those whose content came from the cache.
        forwards: those that an origin answered.
        bytes: octets of content sent.
        lookup_bytes: those of exchanges that asked the cache.
        hit_bytes: those that came from the cache.
        statuses: requests by the first digit of the status, index 0 for what is no status.
    """

    requests: int = 0
    lookups: int = 0
    hits: int = 0
    forwards: int = 0
    bytes: int = 0
    lookup_bytes: int = 0
    hit_bytes: int = 0
    statuses: list[int] = field(default_factory=lambda: [0] * 6)

    def add(self, other: "Sums") -> None:
        """Add every sum of `other`."""
        for each in fields(self):
            if each.name != "statuses":
                setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        self.statuses = [mine + theirs for mine, theirs in zip(self.statuses, other.statuses, strict=True)]

    def add_records(self, records: Sequence[Record], times: int) -> None:
        """Add exchanges that were alike, each so many `times`."""
        record, octets = records[0], sum([each.bytes_out for each in records]) * times
        times *= len(records)
        self.requests += times
        self.bytes += octets
        self.statuses[record.status // 100 if 100 <= record.status <= 599 else 0] += times
        if record.origin_status is not None:
            self.forwards += times
        if record.outcome != "-":
            self.lookups += times
            self.lookup_bytes += octets
            if record.outcome in HITS:
                self.hits += times
                self.hit_bytes += octets


@final
class Windows:
    """Sums of each of the last `SPAN` seconds, the current one included."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: list[tuple[int, Sums]] = [(-SPAN, Sums())] * SPAN
        self._began = clock.monotonic()

    def second(self) -> int:
        """Return the present second."""
        return int(self._clock.monotonic())

    def add(self, records: Sequence[Record], second: int, times: int = 1) -> None:
        """Count exchanges that ended in `second`, were `alike`, and each took place so many `times`."""
        at = second % SPAN
        if self._seconds[at][0] != second:
            self._seconds[at] = (second, Sums())
        self._seconds[at][1].add_records(records, times)

    def uptime(self) -> float:
        """Return the seconds since the start."""
        return self._clock.monotonic() - self._began

    def sums(self, span: int) -> Sums:
        """Return the sums of the last `span` seconds."""
        now = self.second()
        total = Sums()
        for second, sums in self._seconds:
            if now - span < second <= now:
                total.add(sums)
        return total


def summary(sums: Sums, span: int, uptime: float) -> dict[str, object]:
    """Return rates and ratios of the last `span` seconds; a ratio of nothing is None."""
    # A node younger than the window has not had the time to fill it.
    seconds = min(span, max(1.0, uptime))
    return {
        "requests": sums.requests,
        "requests_per_second": sums.requests / seconds,
        "bytes": sums.bytes,
        "bytes_per_second": sums.bytes / seconds,
        "hit_ratio": _ratio(sums.hits, sums.lookups),
        "byte_hit_ratio": _ratio(sums.hit_bytes, sums.lookup_bytes),
        "origin_requests": sums.forwards,
        "origin_offload": None if not sums.requests else 1 - sums.forwards / sums.requests,
        "statuses": {f"{digit}xx": sums.statuses[digit] for digit in range(1, 6)},
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
