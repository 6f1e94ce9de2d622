"""Which URLs lead, ready answers among them, whatever a client asks for."""

from dataclasses import replace

import pytest

from edge.policy.sketch import Weighed
from edge.semantics.target import Target
from edge.telemetry.recorder import Recorder
from edge.testing.clock import ManualClock
from tests.telemetry.test_recorder import miss, record

HIT = (b"a.example", b"/p")


class Ready:
    """A ready answer."""

    def record(self, *_):
        return record()


def asked(path: bytes, **changes):
    one = miss(**changes)
    return replace(one, request=replace(one.request, target=Target(b"http", b"a.example", path)))


@pytest.fixture
def recorder() -> Recorder:
    recorder = Recorder(ManualClock(), ["a.example"])
    ready = Ready()
    for _ in range(3):
        recorder.answered(ready, record().request, "192.0.2.1", 0.0)
    recorder.exchange_ended(record())
    for each in (asked(b"/m"), asked(b"/m"), asked(b"/e", status=502), record("-", request=None, status=400)):
        recorder.exchange_ended(each)
    recorder.exchange_ended(record("-", status=500))
    recorder.settle()
    return recorder


@pytest.mark.parametrize(
    ("by", "leaders"),
    [
        pytest.param("hits", [(HIT, 4)], id="hits, those of ready answers among them"),
        pytest.param("misses", [((b"a.example", b"/m"), 2), ((b"a.example", b"/e"), 1)], id="misses"),
        pytest.param("bytes", [(HIT, 500), ((b"a.example", b"/m"), 200), ((b"a.example", b"/e"), 100)], id="octets"),
        pytest.param("errors", [((b"a.example", b"/e"), 1), (HIT, 1)], id="errors"),
    ],
)
def test_what_leads(recorder: Recorder, by, leaders) -> None:
    found = recorder.top.heaviest(by, 9)
    assert sorted(found) == sorted(Weighed(url, weight, 0) for url, weight in leaders)
    assert found[0].name == leaders[0][0] or by == "errors"


def test_what_clients_invent_takes_bounded_memory() -> None:
    recorder = Recorder(ManualClock(), ["a.example"])
    for number in range(5000):
        recorder.exchange_ended(asked(b"/%d" % number + b"x" * 5000))
    found = recorder.top.heaviest("misses", 10_000)
    assert len(found) <= 1000 + 1000
    assert max(len(each.name[1]) for each in found) == 256
