import json
from dataclasses import replace

import msgspec
import pytest

from edge.telemetry.recorder import Recorder
from edge.telemetry.snapshot import Snapshot, take
from edge.testing.clock import ManualClock
from tests.telemetry.test_recorder import GAUGES, miss, record


@pytest.fixture
def snapshot() -> Snapshot:
    recorder = Recorder(ManualClock(), ["a.example"])
    recorder.exchange_ended(record())
    recorder.exchange_ended(miss(complete=False))
    recorder.count("collapsed", 4)
    recorder.coded(b"br", 900, 100)
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
    assert stats["totals"]["codings"] == {"br": [2, 1800, 200]}
    assert stats["windows"]["10s"]["requests"] == 4
    assert (stats["store"]["objects"], stats["store"]["pinned_bytes"], stats["store"]["damaged"]) == (10, 6, 2)
    assert stats["store"]["is_storing"] is True
    assert stats["origins"] == [{"name": "app", "active": 2, "idle": 8, "waiting": 0}]
    assert (stats["connections"], stats["requests_in_flight"]) == (14, 6)
    assert total.durations["a.example", "HIT"].cumulative()[-1] == 2


def test_of_a_process_that_has_ended_only_the_totals_are_left(snapshot):
    left = snapshot.totals_only()
    assert left.series == snapshot.series
    assert (left.connections, left.in_flight, left.store.objects, left.store.evictions) == (0, 0, 0, 2)
    assert (left.store.refusals, left.store.scrubbed_bytes, left.store.waiting_bytes) == (8, 7, 0)


def test_a_node_stores_when_all_its_processes_do(snapshot):
    total = Snapshot()
    total.add(replace(snapshot, store=replace(snapshot.store, is_storing=False)))
    total.add(snapshot)
    assert total.store.is_storing is False


def test_the_certificate_that_counts_is_the_one_that_lasts(snapshot):
    total = Snapshot()
    for not_after in (2e9, 3e9, 1e9):
        total.add(replace(snapshot, certificates={"a.test": not_after}))
    assert total.certificates == {"a.test": 3e9}
