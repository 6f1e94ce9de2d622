import json

import msgspec
import pytest

from edge.telemetry.gauges import Gauges, OriginStats, StoreStats
from edge.telemetry.recorder import Recorder
from edge.telemetry.snapshot import Snapshot, take
from edge.testing.clock import ManualClock
from tests.telemetry.test_recorder import miss, record

GAUGES = Gauges(
    lambda: 3, lambda: 7, lambda: StoreStats(5, 100, 1000, 10, 20, 2), lambda: [OriginStats("app", 1, 4, 0)]
)


@pytest.fixture
def snapshot() -> Snapshot:
    recorder = Recorder(ManualClock(), ["a.example"])
    recorder.exchange_ended(record())
    recorder.exchange_ended(miss(complete=False))
    recorder.count("collapsed", 4)
    return take(recorder, GAUGES)


def test_a_snapshot_can_be_sent(snapshot):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot


def test_two_processes_add_up(snapshot):
    total = Snapshot()
    for _ in range(2):
        total.add(msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot))
    stats = json.loads(json.dumps(total.stats()))
    assert stats["totals"]["outcomes"] == {"HIT": 2, "MISS": 2}
    assert stats["totals"]["events"] == {"collapsed": 8}
    assert stats["windows"]["10s"]["requests"] == 4
    assert stats["store"]["objects"] == 10
    assert stats["origins"] == [{"name": "app", "active": 2, "idle": 8, "waiting": 0}]
    assert (stats["connections"], stats["requests_in_flight"]) == (14, 6)
    assert total.durations["a.example", "HIT"].cumulative()[-1] == 2


def test_of_a_process_that_has_ended_only_the_totals_are_left(snapshot):
    left = snapshot.totals_only()
    assert left.series == snapshot.series
    assert (left.connections, left.in_flight, left.store.objects, left.store.evictions) == (0, 0, 0, 2)
