"""When the next URL may be asked for."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.preloading.pace import Pace, before_retry, until_open


def test_no_rate_waits_for_nothing():
    assert Pace(None).wait(1 << 40, 5.0) == 0


def test_a_rate_holds_on_average_and_saves_nothing_up():
    pace = Pace(100)
    assert pace.wait(50, 10.0) == pytest.approx(0.5)
    # Two at a time take turns.
    assert pace.wait(100, 10.0) == pytest.approx(1.5)
    assert pace.wait(100, 11.5) == pytest.approx(1.0)
    assert pace.wait(100, 100.0) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 5)), min_size=1), st.integers(1, 1000))
def test_no_more_comes_than_the_rate_allows(pieces, rate):
    pace, now, total = Pace(rate), 0.0, 0
    for octets, pause in pieces:
        now += pause
        total += octets
        now += pace.wait(octets, now)
        assert total / rate <= now + 1e-6


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-11-28T{text}+00:00").timestamp()


@pytest.mark.parametrize(
    ("window", "now", "wait"),
    [
        (None, "12:00:00", 0),
        ("10:00-12:00", "10:00:00", 0),
        ("10:00-12:00", "11:59:59", 0),
        ("10:00-12:00", "12:00:00", 22 * 3600),
        ("10:00-12:00", "09:59:30", 30),
        ("22:00-06:00", "23:00:00", 0),
        ("22:00-06:00", "05:59:59", 0),
        ("22:00-06:00", "06:00:00", 16 * 3600),
        ("06:00-06:00", "05:00:00", 0),
    ],
)
def test_a_window_is_open_between_its_times_every_day(window, now, wait):
    assert until_open(window, at(now)) == wait


@given(st.integers(978_307_200, 4_102_444_800), st.times(), st.times())
def test_a_window_is_open_when_it_was_waited_for(moment, opens, closes):
    window = f"{opens:%H:%M}-{closes:%H:%M}"
    wait = until_open(window, moment)
    assert 0 <= wait < 86_401
    assert until_open(window, moment + wait) == 0


def test_waits_between_tries_grow_to_a_minute_and_heed_what_was_asked():
    assert [before_retry(tried, 0) for tried in (1, 2, 3, 7, 10)] == [1, 2, 4, 60, 60]
    assert before_retry(1, 5) == 5
    assert before_retry(1, 3600) == 60
