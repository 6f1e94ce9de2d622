"""All numbers of one process at one moment, which can be sent to another process and added up there."""

from collections import Counter
from dataclasses import asdict, dataclass, field, fields, replace

from edge.telemetry.counters import Histogram, Labels
from edge.telemetry.gauges import NO_STORE, Gauges, OriginStats, StoreStats
from edge.telemetry.recorder import Recorder
from edge.telemetry.windows import WINDOWS, Sums, summary

# Of a store, what is counted since the start.
_TOTALS = ("refusals", "evictions", "damaged", "scrubbed_bytes", "write_errors")


@dataclass(slots=True)
class Snapshot:
    """What telemetry knows; without arguments, of a process in which nothing has happened.

    Attributes:
        uptime: seconds since the start.
        windows: the sums of each of `WINDOWS`.
        series: requests and octets by (site, method, code, outcome).
        durations: by (site, outcome).
        codings: contents made, octets they were made of and octets they have, by coding.
        is_configured: whether the configuration in force is the one that was asked for last; the node's own.
        configured_at: when it came into force; the node's own.
        in_flight, connections, store, origins, certificates: gauges; all others are totals since the start.
    """

    uptime: float = 0.0
    windows: dict[str, Sums] = field(default_factory=lambda: {name: Sums() for name in WINDOWS})
    series: dict[Labels, tuple[int, int]] = field(default_factory=dict)
    durations: dict[Labels, Histogram] = field(default_factory=dict)
    first_byte: Histogram = field(default_factory=Histogram)
    origin_duration: Histogram = field(default_factory=Histogram)
    loop_lag: Histogram = field(default_factory=Histogram)
    origin_codes: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    codings: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    incomplete: int = 0
    log_dropped: int = 0
    in_flight: int = 0
    connections: int = 0
    store: StoreStats = NO_STORE
    origins: list[OriginStats] = field(default_factory=list)
    certificates: dict[str, float] = field(default_factory=dict)
    is_configured: bool = True
    configured_at: float = 0.0

    def add(self, other: "Snapshot") -> None:
        """Add what another process counted; the uptime is that of the older one."""
        self.uptime = max(self.uptime, other.uptime)
        for name, sums in other.windows.items():
            self.windows[name].add(sums)
        for labels, (requests, octets) in other.series.items():
            known = self.series.get(labels, (0, 0))
            self.series[labels] = (known[0] + requests, known[1] + octets)
        for coding, (contents, taken, made) in other.codings.items():
            mine = self.codings.get(coding, (0, 0, 0))
            self.codings[coding] = (mine[0] + contents, mine[1] + taken, mine[2] + made)
        for labels, duration in other.durations.items():
            self.durations.setdefault(labels, Histogram()).add(duration)
        self.first_byte.add(other.first_byte)
        self.origin_duration.add(other.origin_duration)
        self.loop_lag.add(other.loop_lag)
        for name in ("origin_codes", "reasons", "events"):
            setattr(self, name, dict(Counter(getattr(self, name)) + Counter(getattr(other, name))))
        for name in ("incomplete", "log_dropped", "in_flight", "connections"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.store = _sum(self.store, other.store)
        for name, not_after in other.certificates.items():
            self.certificates[name] = max(not_after, self.certificates.get(name, not_after))
        for origin in other.origins:
            self._add_origin(origin)

    def totals_only(self) -> "Snapshot":
        """Return what is left of a process that has ended: its totals."""
        store = replace(NO_STORE, **{name: getattr(self.store, name) for name in _TOTALS})
        return replace(self, uptime=0.0, in_flight=0, connections=0, store=store, origins=[])

    def stats(self) -> dict[str, object]:
        """Return what the dashboard shows, as JSON can take it."""
        return {
            "uptime_seconds": int(self.uptime),
            "windows": {name: summary(self.windows[name], span, self.uptime) for name, span in WINDOWS.items()},
            "totals": self._totals(),
            "requests_in_flight": self.in_flight,
            "connections": self.connections,
            "store": asdict(self.store),
            "origins": [asdict(origin) for origin in self.origins],
        }

    def _totals(self) -> dict[str, object]:
        outcomes: Counter[str] = Counter()
        for (*_, outcome), (requests, _octets) in self.series.items():
            outcomes[outcome] += requests
        return {
            "requests": outcomes.total(),
            "bytes": sum(octets for _requests, octets in self.series.values()),
            "outcomes": dict(outcomes),
            "reasons": self.reasons,
            "events": self.events,
            "codings": self.codings,
            "origin_requests": sum(self.origin_codes.values()),
            "incomplete_responses": self.incomplete,
            "log_dropped": self.log_dropped,
        }

    def _add_origin(self, origin: OriginStats) -> None:
        for at, mine in enumerate(self.origins):
            if mine.name == origin.name:
                self.origins[at] = OriginStats(
                    mine.name, mine.active + origin.active, mine.idle + origin.idle, mine.waiting + origin.waiting
                )
                return
        self.origins.append(origin)


def take(recorder: Recorder, gauges: Gauges) -> Snapshot:
    """Return the numbers of this process."""
    recorder.settle()
    counters, windows = recorder.counters, recorder.windows
    return Snapshot(
        uptime=windows.uptime(),
        windows={name: windows.sums(span) for name, span in WINDOWS.items()},
        series={labels: (series.requests, series.bytes) for labels, series in counters.series.items()},
        durations=counters.durations,
        first_byte=counters.first_byte,
        origin_duration=counters.origin_duration,
        loop_lag=recorder.loop_lag,
        origin_codes=counters.origin_codes,
        reasons=counters.reasons,
        events=counters.events,
        codings=counters.codings,
        incomplete=counters.incomplete,
        log_dropped=recorder.log_dropped,
        in_flight=gauges.in_flight(),
        connections=gauges.connections(),
        store=gauges.store(),
        origins=list(gauges.origins()),
        certificates=dict(gauges.certificates()),
    )


def _sum(one: StoreStats, other: StoreStats) -> StoreStats:
    sums = StoreStats(*(getattr(one, each.name) + getattr(other, each.name) for each in fields(StoreStats)))
    return replace(sums, is_storing=one.is_storing and other.is_storing)
