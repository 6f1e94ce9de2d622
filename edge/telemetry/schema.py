"""Every metric there is: one record each, from which the rendering and the reference come."""

from dataclasses import dataclass
from typing import Literal

Type = Literal["counter", "gauge", "histogram"]

#: Methods with a label of their own; any other is OTHER, so that no client can make series.
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
#: nginx's words, and "-" when the cache was not asked.
OUTCOMES = ("HIT", "MISS", "BYPASS", "EXPIRED", "STALE", "REVALIDATED", "-")
#: Outcomes whose content came from the cache.
HITS = frozenset({"HIT", "STALE", "REVALIDATED"})
#: What a label says when the value is not in its closed set.
OTHER = "OTHER"
#: Upper bounds of the latency buckets, in seconds.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its full name, type, labels and what it tells."""

    name: str
    type: Type
    labels: tuple[str, ...]
    sentence: str


METRICS: tuple[Metric, ...] = (
    Metric("edge_http_requests_total", "counter", ("site", "method", "code", "cache"), "Exchanges that ended."),
    Metric(
        "edge_http_request_duration_seconds", "histogram", ("site", "cache"),
        "Time from the whole request head to the end of the response.",
    ),
    Metric("edge_http_ttfb_seconds", "histogram", (), "Time from the whole request head to the response head."),
    Metric("edge_http_response_bytes_total", "counter", ("site", "cache"), "Octets of content sent to clients."),
    Metric("edge_http_incomplete_responses_total", "counter", (), "Responses that were not sent whole."),
    Metric("edge_http_requests_in_flight", "gauge", (), "Exchanges that have begun and not ended."),
    Metric("edge_connections", "gauge", (), "Open client connections."),
    Metric("edge_cache_lookups_total", "counter", ("site", "result"), "Exchanges that asked the cache, by its answer."),
    Metric("edge_reasons_total", "counter", ("reason",), "Exchanges by the reason token behind their outcome."),
    Metric("edge_events_total", "counter", ("event",), "Named events inside the edge."),
    Metric("edge_codings_total", "counter", ("coding",), "Contents coded here to be stored; identity for decoded ones."),
    Metric(
        "edge_coding_bytes_total", "counter", ("coding", "side"),
        "Octets of these contents before (in) and after (out).",
    ),
    Metric("edge_origin_requests_total", "counter", ("code",), "Responses from origins."),
    Metric("edge_origin_request_duration_seconds", "histogram", (), "Time from forwarding to the origin's head."),
    Metric("edge_origin_connections", "gauge", ("origin", "state"), "Connections to an origin: active or idle."),
    Metric("edge_origin_queue", "gauge", ("origin",), "Requests waiting for a connection to an origin."),
    Metric(
        "edge_tls_cert_not_after_timestamp_seconds", "gauge", ("name",),
        "When a certificate that clients are shown expires.",
    ),
    Metric("edge_cache_objects", "gauge", (), "Stored responses."),
    Metric("edge_cache_bytes", "gauge", ("tier",), "Octets held by a tier."),
    Metric("edge_cache_capacity_bytes", "gauge", ("tier",), "Quota of a tier in octets."),
    Metric("edge_cache_index_bytes", "gauge", (), "Octets of the index in use; its share of the disk is reserved whole."),
    Metric("edge_cache_waiting_bytes", "gauge", (), "Octets that are not written to the disk yet."),
    Metric("edge_cache_pinned_bytes", "gauge", (), "Octets that pinned responses are charged."),
    Metric("edge_cache_pinned_capacity_bytes", "gauge", (), "Quota for pinned responses in octets."),
    Metric("edge_cache_refusals_total", "counter", (), "Contents not stored as the disk is written over too fast."),
    Metric("edge_cache_evictions_total", "counter", (), "Stored responses evicted to make room."),
    Metric("edge_cache_damaged_total", "counter", (), "Stored records or files found damaged or gone."),
    Metric("edge_cache_scrubbed_bytes_total", "counter", (), "Octets that the scrubber has read."),
    Metric("edge_cache_write_errors_total", "counter", (), "Groups of records that the disk did not take."),
    Metric("edge_cache_storing", "gauge", (), "1 while new content is stored, 0 while the disk takes none."),
    Metric("edge_log_dropped_total", "counter", (), "Access log lines lost because the log could not take them."),
    Metric(
        "edge_event_loop_lag_seconds", "histogram", (),
        "By how much the event loops were late, looked at four times a second in each.",
    ),
    Metric(
        "edge_config_last_reload_successful", "gauge", (),
        "1 while the configuration in force is the one that was asked for last, 0 after a reload that failed.",
    ),
    Metric(
        "edge_config_last_reload_success_timestamp_seconds", "gauge", (), "When the configuration in force was loaded.",
    ),
    Metric("edge_build_info", "gauge", ("version", "node"), "Always 1."),
)  # fmt: skip

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
