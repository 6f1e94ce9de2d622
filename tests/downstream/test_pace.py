import pytest

from edge.downstream.pace import SendingPace
from edge.policy.limits import Limits

LIMITS = Limits(send_timeout=30.0, send_rate=1000)


@pytest.mark.parametrize(
    ("looks", "is_too_slow"),
    [
        pytest.param([(0, 0), (100, 0)], False, id="nothing is waiting"),
        pytest.param([(0, 100_000), (29, 100_000)], False, id="it has some time"),
        pytest.param([(0, 100_000), (30, 100_000)], True, id="it took nothing"),
        pytest.param([(0, 100_000), (30, 70_001)], True, id="it took too little"),
        pytest.param([(0, 100_000), (30, 70_000)], False, id="it took just enough"),
        pytest.param([(0, 100_000), (30, 70_000), (60, 69_000)], True, id="and then it did not"),
        pytest.param([(0, 100_000), (20, 0), (25, 100_000), (40, 100_000)], False, id="it took all in between"),
    ],
)
def test_a_client_must_take_so_much_in_so_long(looks, is_too_slow):
    pace = SendingPace(LIMITS)
    assert [pace.is_too_slow(unsent, float(now)) for now, unsent in looks][-1] is is_too_slow


def test_what_is_written_meanwhile_does_not_count_as_taken():
    pace = SendingPace(LIMITS)
    pace.written = 100_000
    assert not pace.is_too_slow(100_000, 0.0)
    pace.written += 100_000
    assert pace.is_too_slow(200_000, 30.0)
