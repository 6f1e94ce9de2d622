"""Age and freshness lifetime."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caching.freshness import (
    HEURISTICALLY_CACHEABLE,
    FreshnessRules,
    Lifetime,
    age_value,
    current_age,
    date_value,
    freshness,
)
from edge.caching.stored import StoredResponse
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection

T = 1_700_000_000
HEURISTIC = FreshnessRules(heuristic=True)


def stored(*lines, request_time=T, response_time=T):
    return StoredResponse(b"k", b"g", b"GET", (), 200, b"OK", FieldSection(lines), request_time, response_time, 0)


def dated(offset):
    return (b"date", format_date(T + offset))


@pytest.mark.parametrize(
    ("response", "now", "expected"),
    [
        pytest.param(stored(dated(0)), T + 10, 10, id="resident time alone"),
        pytest.param(stored(dated(-7)), T, 7, id="an old Date is the apparent age"),
        pytest.param(stored(dated(30)), T + 10, 10, id="a Date in the future makes nothing younger"),
        pytest.param(stored(dated(0), (b"age", b"5")), T, 5, id="Age alone"),
        pytest.param(stored(dated(-7), (b"age", b"5")), T, 7, id="apparent age above Age"),
        pytest.param(stored(dated(-7), (b"age", b"9")), T, 9, id="Age above apparent age"),
        pytest.param(
            stored(dated(0), (b"age", b"5"), request_time=T - 3), T, 8, id="the response delay is added to Age"
        ),
        pytest.param(stored(dated(-10), (b"age", b"5"), request_time=T - 3), T, 10, id="but not to the apparent age"),
        pytest.param(stored(), T + 2, 2, id="without Date the time of receipt stands in"),
        pytest.param(stored((b"date", b"yesterday")), T + 2, 2, id="as for a malformed Date"),
        pytest.param(stored(dated(0)), T - 100, 0, id="a clock that went back makes no age negative"),
        pytest.param(stored(dated(0), request_time=T + 50), T, 0, id="nor a delay"),
        pytest.param(
            stored(dated(0), request_time=T + 0.9, response_time=T + 0.9), T + 0.9, 0, id="Date counts whole seconds"
        ),
        pytest.param(stored(dated(0), (b"age", b"9" * 30)), T + 1, 2**31 + 1, id="an Age too large is taken for 2^31"),
        pytest.param(stored((b"date", format_date(-(10**12)))), T, T + 62_135_596_800, id="a Date of the year 1"),
    ],
)
def test_current_age(response, now, expected):
    assert current_age(response, now) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], 0, id="absent"),
        pytest.param([b"7"], 7, id="a number"),
        pytest.param([b"7, 9"], 7, id="the first member counts"),
        pytest.param([b"7", b"9"], 7, id="the first line counts"),
        pytest.param([b"2147483647"], 2**31 - 1, id="the largest number of 31 bits"),
        pytest.param([b"2147483648"], 2**31, id="one more"),
        pytest.param([b"2147483649"], 2**31, id="what is larger still is taken for that"),
        pytest.param([b"-7"], 0, id="an invalid one is ignored"),
        pytest.param([b"7.0"], 0, id="so is a fraction"),
        pytest.param([b"7;a=1"], 0, id="and a parameter"),
        pytest.param([b"x, 9"], 0, id="an invalid first member is not made up for"),
        pytest.param([b""], 0, id="empty"),
    ],
)
def test_age_value(values, expected):
    assert age_value(FieldSection((b"age", value) for value in values)) == expected


def test_date_value_is_that_of_the_first_line():
    assert date_value(FieldSection([dated(3), dated(5)]), T) == T + 3
    assert date_value(FieldSection(), T + 0.9) == T


@pytest.mark.parametrize(
    ("lines", "lifetime", "source"),
    [
        pytest.param(
            [(b"cache-control", b"max-age=5, s-maxage=9")], 9, Lifetime.S_MAXAGE, id="s-maxage before max-age"
        ),
        pytest.param([(b"cache-control", b"s-maxage=0, max-age=5")], 0, Lifetime.S_MAXAGE, id="s-maxage may be 0"),
        pytest.param([(b"cache-control", b"max-age=5")], 5, Lifetime.MAX_AGE, id="max-age"),
        pytest.param(
            [(b"cache-control", b"max-age=5"), dated(0), (b"expires", format_date(T + 9))],
            5,
            Lifetime.MAX_AGE,
            id="max-age before Expires",
        ),
        pytest.param([(b"cache-control", b"max-age=x")], 0, Lifetime.MAX_AGE, id="an invalid max-age is 0"),
        pytest.param(
            [(b"cache-control", b"max-age=9999999999")], 2**31, Lifetime.MAX_AGE, id="a max-age too large is 2^31"
        ),
        pytest.param([dated(-5), (b"expires", format_date(T + 5))], 10, Lifetime.EXPIRES, id="Expires less Date"),
        pytest.param([(b"expires", format_date(T + 5))], 5, Lifetime.EXPIRES, id="Expires less the time of receipt"),
        pytest.param([dated(9), (b"expires", format_date(T + 5))], 0, Lifetime.EXPIRES, id="an Expires before Date"),
        pytest.param(
            [(b"expires", format_date(T + 5).lower())], 5, Lifetime.EXPIRES, id="an Expires that a shift key missed"
        ),
        pytest.param([(b"expires", b"0")], 0, Lifetime.EXPIRES, id="an invalid Expires is in the past"),
        pytest.param(
            [dated(0), (b"expires", b"0"), (b"expires", format_date(T + 5))],
            0,
            Lifetime.EXPIRES,
            id="the first Expires counts",
        ),
        pytest.param(
            [(b"cdn-cache-control", b"max-age=3"), (b"cache-control", b"s-maxage=9")],
            3,
            Lifetime.MAX_AGE,
            id="a targeted max-age before s-maxage of Cache-Control",
        ),
        pytest.param(
            [(b"cdn-cache-control", b"must-revalidate"), dated(0), (b"expires", format_date(T + 9))],
            0,
            Lifetime.NONE,
            id="beside a targeted field Expires says nothing",
        ),
        pytest.param([(b"last-modified", format_date(T - 100))], 0, Lifetime.NONE, id="nothing is made up unasked"),
    ],
)
def test_stated_lifetime(lines, lifetime, source):
    facts = freshness(200, FieldSection(lines), T, FreshnessRules())
    assert (facts.lifetime, facts.source) == (lifetime, source)
    assert facts.is_explicit is (source is not Lifetime.NONE)


@pytest.mark.parametrize(
    ("status", "lines", "lifetime", "source"),
    [
        pytest.param(200, [], 60, Lifetime.DEFAULT, id="a 200 that states none"),
        pytest.param(404, [], 60, Lifetime.DEFAULT, id="a 404 that states none"),
        pytest.param(302, [], 0, Lifetime.NONE, id="a 302 needs a stated one"),
        pytest.param(200, [(b"cache-control", b"max-age=5")], 5, Lifetime.MAX_AGE, id="a stated one is never replaced"),
        pytest.param(200, [(b"cache-control", b"no-cache")], 0, Lifetime.NONE, id="nothing for no-cache"),
        pytest.param(
            200,
            [(b"cache-control", b'no-cache="x"')],
            60,
            Lifetime.DEFAULT,
            id="no-cache for one field changes nothing",
        ),
    ],
)
def test_default_lifetime(status, lines, lifetime, source):
    facts = freshness(status, FieldSection(lines), T, FreshnessRules(default=60))
    assert (facts.lifetime, facts.source, facts.is_explicit) == (lifetime, source, source is Lifetime.MAX_AGE)


@pytest.mark.parametrize(
    ("status", "lines", "lifetime", "source"),
    [
        pytest.param(
            200, [dated(0), (b"last-modified", format_date(T - 100))], 10, Lifetime.HEURISTIC, id="a tenth of the time"
        ),
        pytest.param(
            200, [(b"last-modified", format_date(0))], 86_400, Lifetime.HEURISTIC, id="no longer than the limit"
        ),
        pytest.param(
            200, [dated(0), (b"last-modified", format_date(T + 99))], 0, Lifetime.HEURISTIC, id="modified after Date"
        ),
        pytest.param(200, [(b"last-modified", b"once")], 0, Lifetime.NONE, id="a malformed Last-Modified"),
        pytest.param(200, [], 0, Lifetime.NONE, id="no Last-Modified"),
        pytest.param(302, [(b"last-modified", format_date(T - 100))], 0, Lifetime.NONE, id="another status"),
        pytest.param(
            302,
            [(b"last-modified", format_date(T - 100)), (b"cache-control", b"public")],
            10,
            Lifetime.HEURISTIC,
            id="another status that is public",
        ),
        pytest.param(
            200,
            [(b"last-modified", format_date(T - 100)), (b"cache-control", b"max-age=0")],
            0,
            Lifetime.MAX_AGE,
            id="never against a stated lifetime",
        ),
    ],
)
def test_heuristic_lifetime(status, lines, lifetime, source):
    facts = freshness(status, FieldSection(lines), T, HEURISTIC)
    assert (facts.lifetime, facts.source) == (lifetime, source)


def test_a_default_comes_before_the_heuristic():
    rules = FreshnessRules(default=60, heuristic=True)
    assert freshness(200, FieldSection([(b"last-modified", format_date(0))]), T, rules).source is Lifetime.DEFAULT


@pytest.mark.parametrize(
    ("control", "while_revalidate", "if_error"),
    [
        pytest.param(b"max-age=1", 30, 40, id="the operator's where the origin states none"),
        pytest.param(b"stale-while-revalidate=5", 5, 40, id="the origin's own for validation"),
        pytest.param(b"stale-if-error=0", 30, 0, id="the origin's own for errors, even 0"),
        pytest.param(b"stale-if-error=x", 30, 0, id="an invalid one is 0"),
    ],
)
def test_stale_windows(control, while_revalidate, if_error):
    rules = FreshnessRules(stale_while_revalidate=30, stale_if_error=40)
    facts = freshness(200, FieldSection([(b"cache-control", control)]), T, rules)
    assert (facts.stale_while_revalidate, facts.stale_if_error) == (while_revalidate, if_error)


def test_the_statuses_that_may_be_given_a_lifetime():
    assert {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501} == HEURISTICALLY_CACHEABLE


_times = st.floats(0, 4e9)
_lines = st.lists(
    st.sampled_from([b"date", b"age", b"expires", b"last-modified", b"cache-control"]).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.binary(max_size=12)
            | st.integers(-(10**6), 10**12).map(lambda number: b"%d" % number)
            | st.floats(-1e11, 1e12).map(format_date)
            | st.integers(0, 10**11).map(lambda number: b"max-age=%d" % number),
        )
    )
)


@given(_lines, _times, _times, _times, _times)
def test_age_never_falls_while_the_clock_goes_on(lines, request_time, response_time, one, other):
    response = stored(*lines, request_time=request_time, response_time=response_time)
    earlier, later = sorted((one, other))
    assert 0 <= current_age(response, earlier) <= current_age(response, later)


@given(_lines, st.sampled_from([200, 302, 404, 503]), _times, _times, _times)
def test_what_is_stale_stays_stale(lines, status, response_time, one, other):
    facts = freshness(status, FieldSection(lines), response_time, HEURISTIC)
    response = stored(*lines, request_time=response_time, response_time=response_time)
    earlier, later = sorted((one, other))
    assert facts.lifetime >= 0
    if facts.lifetime <= current_age(response, earlier):
        assert facts.lifetime <= current_age(response, later)
