"""The Prometheus and OpenMetrics text of all metrics, rendered when it is asked for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import assert_never, final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from edge.telemetry.counters import Histogram, Labels
from edge.telemetry.gauges import Gauges
from edge.telemetry.recorder import Recorder
from edge.telemetry.schema import METRICS, SECONDS
from edge.telemetry.schema import Metric as Entry

Samples = Iterable[tuple[Labels, float | Histogram]]


@final
class Exposition(Collector):
    """What `/metrics` answers: the edge's metrics and those of its process."""

    def __init__(self, recorder: Recorder, gauges: Gauges, *, version: str, node: str) -> None:
        self._recorder = recorder
        self._gauges = gauges
        self._build: Labels = (version, node)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text in the form that the Accept field `accept` prefers, and its media type."""
        self._recorder.settle()
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

    def _samples(self) -> dict[str, Samples]:
        return self._exchange_samples() | self._origin_samples() | self._node_samples()

    def _exchange_samples(self) -> dict[str, Samples]:
        counters = self._recorder.counters
        octets: defaultdict[Labels, float] = defaultdict(float)
        lookups: defaultdict[Labels, float] = defaultdict(float)
        for (site, _method, _code, outcome), series in counters.series.items():
            octets[site,] += series.bytes
            if outcome != "-":
                lookups[site, outcome] += series.requests
        return {
            "edge_http_requests_total": [(labels, series.requests) for labels, series in counters.series.items()],
            "edge_http_request_duration_seconds": counters.durations.items(),
            "edge_http_ttfb_seconds": [((), counters.first_byte)],
            "edge_http_response_bytes_total": octets.items(),
            "edge_http_incomplete_responses_total": [((), counters.incomplete)],
            "edge_cache_lookups_total": lookups.items(),
            "edge_reasons_total": _labelled(counters.reasons),
            "edge_events_total": _labelled(counters.events),
        }

    def _origin_samples(self) -> dict[str, Samples]:
        counters = self._recorder.counters
        origins = self._gauges.origins()
        active = [((origin.name, "active"), origin.active) for origin in origins]
        idle = [((origin.name, "idle"), origin.idle) for origin in origins]
        return {
            "edge_origin_requests_total": _labelled(counters.origin_codes),
            "edge_origin_request_duration_seconds": [((), counters.origin_duration)],
            "edge_origin_connections": active + idle,
            "edge_origin_queue": [((origin.name,), origin.waiting) for origin in origins],
        }

    def _node_samples(self) -> dict[str, Samples]:
        store = self._gauges.store()
        return {
            "edge_http_requests_in_flight": [((), self._gauges.in_flight())],
            "edge_connections": [((), self._gauges.connections())],
            "edge_tls_cert_not_after_timestamp_seconds": [
                ((name,), not_after) for name, not_after in self._gauges.certificates()
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
            "edge_log_dropped_total": [((), self._recorder.log_dropped)],
            "edge_build_info": [(self._build, 1)],
        }


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
