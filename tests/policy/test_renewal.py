"""When a certificate is renewed, and how often it is tried."""

import pytest

from edge.policy.renewal import LONGEST_RETRY, renewal_time, retry_delay


@pytest.mark.parametrize(
    ("jitter", "expected"),
    [
        pytest.param(0.0, 1600.0, id="with a third of the lifetime left"),
        pytest.param(0.5, 1555.0, id="or a little sooner, which differs between nodes"),
    ],
)
def test_a_certificate_is_renewed(jitter, expected):
    assert renewal_time(1000.0, 1900.0, jitter) == expected


@pytest.mark.parametrize(
    ("failures", "jitter", "expected"),
    [
        pytest.param(1, 0.0, 60.0, id="the first retry comes soon"),
        pytest.param(2, 0.0, 240.0, id="each further one four times as late"),
        pytest.param(3, 0.5, 1008.0, id="never quite at the same moment"),
        pytest.param(5, 0.0, 15_360.0, id="hours later in the end"),
        pytest.param(9, 0.0, LONGEST_RETRY, id="but no later than six hours"),
        pytest.param(100_000, 0.0, LONGEST_RETRY, id="however often it has failed"),
    ],
)
def test_a_failure_is_followed_by_a_longer_and_longer_wait(failures, jitter, expected):
    assert retry_delay(failures, jitter) == pytest.approx(expected)
