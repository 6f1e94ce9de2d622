from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ParseError
from edge.semantics.dates import format_date, parse_date

NOW = datetime(2026, 6, 15, 12, 30, 30, tzinfo=UTC).timestamp()
EXAMPLE = 784111777  # RFC 9110 §5.6.7: 1994-11-06T08:49:37Z


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE, id="IMF-fixdate"),
        pytest.param(b"Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE, id="RFC 850"),
        pytest.param(b"Sun Nov  6 08:49:37 1994", EXAMPLE, id="asctime"),
        pytest.param(b"Sun Nov 06 08:49:37 1994", EXAMPLE, id="asctime with two digits"),
        pytest.param(b"SUN, 06 Nov 1994 08:49:37 GMT", EXAMPLE, id="a day in upper case"),
        pytest.param(b"Sun, 06 nOV 1994 08:49:37 GMT", EXAMPLE, id="a month in mixed case"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 gmt", EXAMPLE, id="the zone in lower case"),
        pytest.param(b"SUNDAY, 06-NOV-94 08:49:37 GMT", EXAMPLE, id="RFC 850 in upper case"),
        pytest.param(b"sun nov  6 08:49:37 1994", EXAMPLE, id="asctime in lower case"),
        pytest.param(b"Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE, id="another day's name is tolerated"),
        pytest.param(b"Thu, 01 Jan 1970 00:00:00 GMT", 0, id="the epoch"),
        pytest.param(b"Mon, 01 Jan 0001 00:00:00 GMT", at(1, 1, 1), id="the first year"),
        pytest.param(b"Fri, 31 Dec 9999 23:59:59 GMT", at(9999, 12, 31, 23, 59, 59), id="the last year"),
        pytest.param(b"Thu, 29 Feb 2024 00:00:00 GMT", at(2024, 2, 29), id="a leap day"),
        pytest.param(b"Sat, 31 Dec 2016 23:59:60 GMT", at(2016, 12, 31, 23, 59, 59), id="a leap second"),
        pytest.param(b"Sunday, 15-Jun-76 12:30:30 GMT", at(2076, 6, 15, 12, 30, 30), id="50 years ahead"),
        pytest.param(b"Sunday, 15-Jun-76 12:30:31 GMT", at(1976, 6, 15, 12, 30, 31), id="a second over 50 years"),
        pytest.param(b"Sunday, 16-Jun-76 00:00:00 GMT", at(1976, 6, 16), id="a day over 50 years"),
        pytest.param(b"Sunday, 01-Jan-77 00:00:00 GMT", at(1977, 1, 1), id="a year over 50 years"),
        pytest.param(b"Sunday, 01-Jan-00 00:00:00 GMT", at(2000, 1, 1), id="two zeros"),
    ],
)
def test_dates(value, expected):
    assert parse_date(value, NOW) == expected


def test_a_two_digit_year_may_lie_in_the_next_century():
    assert parse_date(b"Sunday, 01-Jan-05 00:00:00 GMT", at(2099, 1, 1)) == at(2105, 1, 1)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"0", id="a number"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 UTC", id="another zone"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 +0000", id="an offset"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37", id="no zone"),
        pytest.param(b"Sun, 6 Nov 1994 08:49:37 GMT", id="one digit for a day"),
        pytest.param(b"Sun, 06 Nov 94 08:49:37 GMT", id="two digits for a year"),
        pytest.param(b"Sun, 06 Nov 1994  08:49:37 GMT", id="two spaces"),
        pytest.param(b"Sun,06 Nov 1994 08:49:37 GMT", id="no space"),
        pytest.param(b"Sun, 06 Nov 1994 8:49:37 GMT", id="one digit for an hour"),
        pytest.param(b"Sun, 06 Nov 1994 24:00:00 GMT", id="hour 24"),
        pytest.param(b"Sun, 06 Nov 1994 08:60:37 GMT", id="minute 60"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:61 GMT", id="second 61"),
        pytest.param(b"Sun, 00 Nov 1994 08:49:37 GMT", id="day 0"),
        pytest.param(b"Sun, 31 Nov 1994 08:49:37 GMT", id="a day the month does not have"),
        pytest.param(b"Sun, 29 Feb 2023 08:49:37 GMT", id="a leap day in a common year"),
        pytest.param(b"Sun, 06 Nov 0000 08:49:37 GMT", id="year 0"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT\n", id="a line feed at the end"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", id="a list of dates"),
        pytest.param(b"Sun, 0_6 Nov 1994 08:49:37 GMT", id="an underscore"),
        pytest.param("Sun, ٠٦ Nov 1994 08:49:37 GMT".encode(), id="digits beyond ASCII"),
        pytest.param(b"Sun, 06-Nov-94 08:49:37 GMT", id="RFC 850 with a short day name"),
        pytest.param(b"Sunday, 06-Nov-1994 08:49:37 GMT", id="RFC 850 with four digits for a year"),
        pytest.param(b"Sunday, 30-Feb-94 08:49:37 GMT", id="RFC 850 with a day no calendar has"),
        pytest.param(b"Sun Nov 6 08:49:37 1994", id="asctime without its second space"),
        pytest.param(b"Sun Nov  6 08:49:37 1994 GMT", id="asctime with a zone"),
        pytest.param(b"Sun Nov  0 08:49:37 1994", id="asctime with day 0"),
    ],
)
def test_refused(value):
    with pytest.raises(ParseError):
        parse_date(value, NOW)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(EXAMPLE, b"Sun, 06 Nov 1994 08:49:37 GMT", id="an integer"),
        pytest.param(EXAMPLE + 0.999, b"Sun, 06 Nov 1994 08:49:37 GMT", id="a fraction is cut off"),
        pytest.param(-0.5, b"Wed, 31 Dec 1969 23:59:59 GMT", id="before the epoch it is cut off downwards"),
        pytest.param(1e18, b"Fri, 31 Dec 9999 23:59:59 GMT", id="the end of the calendar"),
        pytest.param(-1e18, b"Mon, 01 Jan 0001 00:00:00 GMT", id="the beginning of the calendar"),
    ],
)
def test_format_date(seconds, expected):
    assert format_date(seconds) == expected


@given(st.integers(at(1, 1, 1), at(9999, 12, 31, 23, 59, 59)))
def test_a_date_survives_the_round_trip(seconds):
    assert parse_date(format_date(seconds), NOW) == seconds
    moment = datetime.fromtimestamp(seconds, UTC)
    assert format_date(seconds) == moment.strftime(f"%a, %d %b {moment.year:04} %H:%M:%S GMT").encode()
    assert parse_date(moment.strftime(f"%a %b {moment.day:2} %H:%M:%S {moment.year:04}").encode(), NOW) == seconds


@given(st.integers(int(NOW) - 49 * 365 * 86400, int(NOW) + 49 * 365 * 86400))
def test_a_two_digit_year_survives_the_round_trip_for_49_years(seconds):
    moment = datetime.fromtimestamp(seconds, UTC)
    assert parse_date(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT").encode(), NOW) == seconds


@given(
    st.binary() | st.from_regex(rb"[MTWFS][a-z]{2,8},? [0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9:]{8} GMT"),
    st.floats(0, 4e9),
)
def test_anything_else_is_refused(value, now):
    try:
        seconds = parse_date(value, now)
    except ParseError:
        return
    assert at(1, 1, 1) <= seconds <= at(9999, 12, 31, 23, 59, 59)
