"""The Prometheus and OpenMetrics text of all metrics, rendered when it is asked for."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import assert_never, final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from edge.telemetry.counters import Histogram, Labels
from edge.telemetry.schema import METRICS, SECONDS
from edge.telemetry.schema import Metric as Entry
from edge.telemetry.snapshot import Snapshot

Samples = Iterable[tuple[Labels, float | Histogram]]


@final
class Exposition(Collector):
    """What `/metrics` answers: the edge's metrics, and those of its processes together."""

    def __init__(self, *, version: str, node: str, processes: Callable[[], Iterable[int]]) -> None:
        """Name the node; `processes` are the ids of those it consists of."""
        self._snapshot = Snapshot()
        self._build: Labels = (version, node)
        self._processes = processes
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self, snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
        """Return the text in the form that the Accept field `accept` prefers, and its media type."""
        self._snapshot = snapshot
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are known to be unique, so nothing need be collected to find out."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the schema with its samples."""
        samples = self._samples()
        for entry in METRICS:
            yield _family(entry, samples[entry.name])
        yield from _process_metrics(self._processes())

    def _samples(self) -> dict[str, Samples]:
        return self._exchange_samples() | self._origin_samples() | self._node_samples()

    def _exchange_samples(self) -> dict[str, Samples]:
        counted = self._snapshot
        octets: defaultdict[Labels, float] = defaultdict(float)
        lookups: defaultdict[Labels, float] = defaultdict(float)
        for (site, _method, _code, outcome), (requests, sent) in counted.series.items():
            octets[site, outcome] += sent
            if outcome != "-":
                lookups[site, outcome] += requests
        return {
            "edge_http_requests_total": [(labels, requests) for labels, (requests, _) in counted.series.items()],
            "edge_http_request_duration_seconds": counted.durations.items(),
            "edge_http_ttfb_seconds": [((), counted.first_byte)],
            "edge_http_response_bytes_total": octets.items(),
            "edge_http_incomplete_responses_total": [((), counted.incomplete)],
            "edge_cache_lookups_total": lookups.items(),
            "edge_reasons_total": _labelled(counted.reasons),
            "edge_events_total": _labelled(counted.events),
            "edge_codings_total": [((coding,), contents) for coding, (contents, *_) in counted.codings.items()],
            "edge_coding_bytes_total": [
                ((coding, side), octets)
                for coding, (_, taken, made) in counted.codings.items()
                for side, octets in (("in", taken), ("out", made))
            ],
        }

    def _origin_samples(self) -> dict[str, Samples]:
        counted = self._snapshot
        active = [((origin.name, "active"), origin.active) for origin in counted.origins]
        idle = [((origin.name, "idle"), origin.idle) for origin in counted.origins]
        return {
            "edge_origin_requests_total": _labelled(counted.origin_codes),
            "edge_origin_request_duration_seconds": [((), counted.origin_duration)],
            "edge_origin_connections": active + idle,
            "edge_origin_queue": [((origin.name,), origin.waiting) for origin in counted.origins],
        }

    def _node_samples(self) -> dict[str, Samples]:
        counted, store = self._snapshot, self._snapshot.store
        return {
            "edge_http_requests_in_flight": [((), counted.in_flight)],
            "edge_connections": [((), counted.connections)],
            "edge_tls_cert_not_after_timestamp_seconds": [
                ((name,), not_after) for name, not_after in counted.certificates.items()
            ],
            "edge_cache_objects": [((), store.objects)],
            "edge_cache_bytes": [(("disk",), store.disk_bytes), (("memory",), store.memory_bytes)],
            "edge_cache_capacity_bytes": [(("disk",), store.disk_capacity), (("memory",), store.memory_capacity)],
            "edge_cache_index_bytes": [((), store.index_bytes)],
            "edge_cache_waiting_bytes": [((), store.waiting_bytes)],
            "edge_cache_pinned_bytes": [((), store.pinned_bytes)],
            "edge_cache_pinned_capacity_bytes": [((), store.pinned_capacity)],
            "edge_cache_refusals_total": [((), store.refusals)],
            "edge_cache_evictions_total": [((), store.evictions)],
            "edge_cache_damaged_total": [((), store.damaged)],
            "edge_cache_scrubbed_bytes_total": [((), store.scrubbed_bytes)],
            "edge_cache_write_errors_total": [((), store.write_errors)],
            "edge_cache_storing": [((), store.is_storing)],
            "edge_log_dropped_total": [((), counted.log_dropped)],
            "edge_event_loop_lag_seconds": [((), counted.loop_lag)],
            "edge_config_last_reload_successful": [((), counted.is_configured)],
            "edge_config_last_reload_success_timestamp_seconds": [((), counted.configured_at)],
            "edge_build_info": [(self._build, 1)],
        }


def _process_metrics(processes: Iterable[int]) -> Iterator[Metric]:
    """Yield what the system knows of `processes`: sums, and the start of the first of them."""
    merged: dict[str, Metric] = {}
    for pid in processes:
        for family in ProcessCollector(pid=partial(int, pid), registry=None).collect():
            mine = merged.setdefault(family.name, family)
            if mine is not family:
                combine = min if "start_time" in family.name else sum
                pairs = zip(mine.samples, family.samples, strict=True)
                mine.samples = [one._replace(value=combine((one.value, other.value))) for one, other in pairs]
    yield from merged.values()


def _labelled(counts: Mapping[str, int]) -> Samples:
    return [((name,), count) for name, count in counts.items()]


def _family(entry: Entry, samples: Samples) -> Metric:
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    match entry.type:
        case "counter":
            family = CounterMetricFamily(entry.name, entry.sentence, labels=entry.labels)
        case "gauge":
            family = GaugeMetricFamily(entry.name, entry.sentence, labels=entry.labels)
        case "histogram":
            family = HistogramMetricFamily(entry.name, entry.sentence, labels=entry.labels)
        case _ as never:
            assert_never(never)
    for labels, value in samples:
        if isinstance(value, Histogram) and isinstance(family, HistogramMetricFamily):
            family.add_metric(labels, buckets=_buckets(value), sum_value=value.sum)
        elif not isinstance(value, Histogram) and not isinstance(family, HistogramMetricFamily):
            family.add_metric(labels, value)
    return family


def _buckets(histogram: Histogram) -> Sequence[tuple[str, float]]:
    bounds = [*(str(bound) for bound in SECONDS), "+Inf"]
    return list(zip(bounds, histogram.cumulative(), strict=True))
