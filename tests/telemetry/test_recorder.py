import asyncio
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from edge.ports import Record, Telemetry
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.telemetry.access_log import AccessLog
from edge.telemetry.gauges import Gauges, OriginStats, StoreStats
from edge.telemetry.metrics import Exposition
from edge.telemetry.recorder import Recorder
from edge.telemetry.reference import markdown
from edge.telemetry.ring import Ring
from edge.telemetry.schema import METRICS, SECONDS
from edge.telemetry.snapshot import take
from edge.telemetry.windows import summary

ROOT = Path(__file__).parents[2]
GAUGES = Gauges(
    in_flight=lambda: 3, connections=lambda: 7,
    store=lambda: StoreStats(
        objects=5, disk_bytes=100, disk_capacity=1000, index_bytes=40, memory_bytes=10, memory_capacity=20,
        waiting_bytes=6, pinned_bytes=3, pinned_capacity=4, refusals=8, evictions=2, damaged=1, scrubbed_bytes=7, write_errors=9, is_storing=True,
    ),
    origins=lambda: [OriginStats("app", active=1, idle=4, waiting=0)],
)  # fmt: skip


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def record(outcome: str = "HIT", *, method: bytes = b"GET", **changes) -> Record:
    request = Request(method, Target(b"http", b"a.example", b"/p", b"q=1"), FieldSection())
    whole = Record(
        request=request, status=200, trace=("lookup", "deliver"), cache_status=b"e; hit", outcome=outcome, detail="",
        client="192.0.2.1", site="a.example", bytes_out=100, began=1.5e9, seconds=0.002, first_byte_seconds=0.001,
        origin_seconds=None, origin_status=None, complete=True,
    )  # fmt: skip
    return replace(whole, **changes)


def miss(**changes) -> Record:
    return record("MISS", origin_seconds=0.03, origin_status=200, detail="no-store", **changes)


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def recorder(clock):
    return Recorder(clock, ["a.example"])


def rendered(recorder: Recorder, accept: str = "") -> tuple[bytes, str]:
    exposition = Exposition(version="1.2", node="n", processes=lambda: [os.getpid()])
    return exposition.render(take(recorder, GAUGES), accept)


def window(recorder: Recorder, span: int) -> dict[str, object]:
    return summary(recorder.windows.sums(span), span, recorder.windows.uptime())


def exposed(recorder: Recorder) -> dict[str, float]:
    text, media_type = rendered(recorder)
    assert media_type.startswith("text/plain")
    samples = [line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in samples}


def test_the_recorder_is_the_port(recorder):
    port: Telemetry = recorder
    port.exchange_ended(record())
    port.count("collapsed", 2)
    assert exposed(recorder)['edge_events_total{event="collapsed"}'] == 2


def test_what_happened_can_be_scraped(recorder):
    for each in (record(), record(), miss(bytes_out=50), record("-", status=400, request=None, site="")):
        recorder.exchange_ended(each)
    samples = exposed(recorder)
    expected = {
        'edge_http_requests_total{cache="HIT",code="200",method="GET",site="a.example"}': 2,
        'edge_http_requests_total{cache="MISS",code="200",method="GET",site="a.example"}': 1,
        'edge_http_requests_total{cache="-",code="400",method="OTHER",site="-"}': 1,
        'edge_http_response_bytes_total{cache="HIT",site="a.example"}': 200,
        'edge_http_response_bytes_total{cache="MISS",site="a.example"}': 50,
        'edge_cache_lookups_total{result="HIT",site="a.example"}': 2,
        'edge_reasons_total{reason="no-store"}': 1,
        'edge_origin_requests_total{code="200"}': 1,
        "edge_origin_request_duration_seconds_sum": 0.03,
        'edge_http_request_duration_seconds_bucket{cache="HIT",le="0.001",site="a.example"}': 0,
        'edge_http_request_duration_seconds_bucket{cache="HIT",le="0.0025",site="a.example"}': 2,
        'edge_http_request_duration_seconds_count{cache="HIT",site="a.example"}': 2,
        'edge_http_ttfb_seconds_bucket{le="0.001"}': 4,
        "edge_http_requests_in_flight": 3,
        "edge_connections": 7,
        'edge_origin_connections{origin="app",state="idle"}': 4,
        'edge_cache_bytes{tier="disk"}': 100,
        "edge_cache_index_bytes": 40,
        "edge_cache_waiting_bytes": 6,
        "edge_cache_pinned_bytes": 3,
        "edge_cache_pinned_capacity_bytes": 4,
        "edge_cache_refusals_total": 8,
        "edge_cache_evictions_total": 2,
        "edge_cache_damaged_total": 1,
        "edge_cache_scrubbed_bytes_total": 7,
        "edge_cache_write_errors_total": 9,
        "edge_cache_storing": 1,
        'edge_build_info{node="n",version="1.2"}': 1,
    }
    assert {name: samples.get(name) for name in expected} == expected
    assert not any('result="-"' in name for name in samples)
    assert "process_resident_memory_bytes" in samples


def test_a_client_cannot_make_series(recorder):
    for number in range(1000):
        method = b"M%d" % number
        recorder.exchange_ended(
            record(f"O{number}", method=method, status=number + 600, site=f"s{number}", detail=f"d{number}")
        )
        recorder.count(f"e{number}")
    counters = recorder.counters
    assert list(counters.series) == [("OTHER", "OTHER", "OTHER", "OTHER")]
    assert len(counters.reasons) == len(counters.events) == 257
    assert sum(counters.reasons.values()) == 1000
    assert len(counters._known) == 0


@pytest.mark.parametrize("bound", SECONDS)
def test_a_value_on_a_bound_is_below_it(recorder, bound):
    recorder.exchange_ended(record(first_byte_seconds=bound))
    assert exposed(recorder)[f'edge_http_ttfb_seconds_bucket{{le="{bound}"}}'] == 1


def test_a_value_past_the_last_bound_is_counted(recorder):
    recorder.exchange_ended(record(first_byte_seconds=1e9))
    samples = exposed(recorder)
    assert samples['edge_http_ttfb_seconds_bucket{le="30.0"}'] == 0
    assert samples['edge_http_ttfb_seconds_bucket{le="+Inf"}'] == samples["edge_http_ttfb_seconds_count"] == 1


def test_open_metrics_is_given_to_who_prefers_it(recorder):
    text, media_type = rendered(recorder, "application/openmetrics-text")
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_every_metric_is_exposed_with_its_type_and_sentence(recorder):
    text = rendered(recorder)[0].decode()
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.type}\n" in text
        assert f"# HELP {metric.name} {metric.sentence}\n" in text


def test_the_reference_is_up_to_date():
    page = (ROOT / "docs/reference/metrics.md").read_text()
    assert page == markdown(), "run: python -m edge.telemetry.reference > docs/reference/metrics.md"


def test_windows_forget_what_is_older_than_they_are(recorder, clock):
    recorder.exchange_ended(record())
    clock.time += 9
    recorder.exchange_ended(miss(bytes_out=300))
    assert window(recorder, 10)["hit_ratio"] == 0.5
    assert window(recorder, 10)["byte_hit_ratio"] == 0.25
    assert window(recorder, 10)["origin_offload"] == 0.5
    clock.time += 1
    assert window(recorder, 10)["requests"] == 1
    assert window(recorder, 60)["requests"] == 2
    clock.time += 600
    assert window(recorder, 600)["hit_ratio"] is None
    recorder.exchange_ended(record(status=304))
    assert window(recorder, 600)["statuses"] == {"1xx": 0, "2xx": 0, "3xx": 1, "4xx": 0, "5xx": 0}


def test_rates_are_those_of_the_time_there_was(recorder, clock):
    for _ in range(4):
        recorder.exchange_ended(record())
    clock.time += 2
    assert window(recorder, 10)["requests_per_second"] == 2
    assert window(recorder, 10)["bytes_per_second"] == 200


def test_stats_are_json(recorder, clock):
    recorder.exchange_ended(miss(complete=False))
    recorder.count("collapsed")
    recorder.coded(b"br", 900, 100)
    clock.time += 61.5
    stats = json.loads(json.dumps(take(recorder, GAUGES).stats()))
    assert stats["uptime_seconds"] == 61
    assert stats["totals"] == {
        "requests": 1, "bytes": 100, "outcomes": {"MISS": 1}, "reasons": {"no-store": 1}, "events": {"collapsed": 1}, "codings": {"br": [1, 900, 100]},
        "origin_requests": 1, "incomplete_responses": 1, "log_dropped": 0,
    }  # fmt: skip
    assert stats["store"]["objects"] == 5
    assert stats["origins"] == [{"name": "app", "active": 1, "idle": 4, "waiting": 0}]
    assert stats["windows"].keys() == {"10s", "1m", "10m"}


def test_the_ring_keeps_the_newest():
    ring = Ring(3)
    for status in (200, 404, 201, 500):
        ring.add(record(status=status))
    assert [each.status for each in ring] == [500, 201, 404]
    assert [each.status for each in ring.select(1, lambda each: each.status < 500)] == [201]
    assert len(ring.select(99)) == len(ring) == 3


async def test_a_stuck_log_does_not_hold_the_loop(recorder, tmp_path):
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    recorder.access_log = AccessLog(tmp_path / "log", lambda _record: b"x" * 65536 + b"\n", capacity=10)
    while recorder.log_dropped == 0:
        recorder.exchange_ended(record())
        await asyncio.sleep(0)
    assert exposed(recorder)["edge_log_dropped_total"] == recorder.log_dropped
    assert recorder.access_log.close(timeout=0) is False
    os.close(reader)
    assert recorder.access_log.close() is True


def test_the_schema_names_what_prometheus_accepts():
    assert all(re.fullmatch(r"edge_[a-z_]+", metric.name) for metric in METRICS)
    assert all((metric.type == "counter") == metric.name.endswith("_total") for metric in METRICS)
