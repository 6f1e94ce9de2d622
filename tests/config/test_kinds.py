import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import kinds
from edge.config.kinds import (
    ADDRESS,
    ADDRESS_OR_OFF,
    BOOLEAN,
    DURATION,
    INTEGER,
    MEDIA_TYPES,
    PATH,
    SIZE,
    STRINGS,
    TOKEN,
    URLS,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        pytest.param(DURATION, "300ms", 0.3, id="milliseconds"),
        pytest.param(DURATION, "1.5h", 5400.0, id="a fraction of an hour"),
        pytest.param(DURATION, "1d", 86400.0, id="a day"),
        pytest.param(SIZE, "20GiB", 20 * 2**30, id="powers of two"),
        pytest.param(SIZE, "1MB", 10**6, id="powers of ten"),
        pytest.param(SIZE, "1.5 KiB", 1536, id="a space before the unit"),
        pytest.param(STRINGS, "a, b,", ("a", "b"), id="a list in text"),
        pytest.param(MEDIA_TYPES, "Text/*, *+xml", ("text/*", "*+xml"), id="media types"),
        pytest.param(BOOLEAN, "TRUE", True, id="a boolean in text"),
        pytest.param(INTEGER, "-5", -5, id="a negative integer in text"),
        pytest.param(ADDRESS_OR_OFF, "off", None, id="no address"),
    ],
)
def test_text_has_a_value(kind, text, value):
    assert kind.read_text(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param(DURATION, "5", id="a duration without a unit"),
        pytest.param(DURATION, "5 minutes", id="a unit in words"),
        pytest.param(DURATION, "inf s", id="an infinite duration"),
        pytest.param(DURATION, "\u0665s", id="digits that are not ASCII"),
        pytest.param(MEDIA_TYPES, "html", id="half of a media type"),
        pytest.param(MEDIA_TYPES, "*/*", id="all media types"),
        pytest.param(SIZE, "10gigs", id="an unknown unit"),
        pytest.param(SIZE, "1e9B", id="an exponent"),
        pytest.param(SIZE, "9" * 5000 + "B", id="a number without end"),
        pytest.param(ADDRESS, "127.1:80", id="a short IPv4 address"),
        pytest.param(ADDRESS, "::1:80", id="IPv6 without brackets"),
        pytest.param(ADDRESS, "[::g]:80", id="IPv6 that is none"),
        pytest.param(ADDRESS, "a:80\n", id="a line end after the port"),
        pytest.param(URLS, "http://ann@a", id="a user"),
        pytest.param(URLS, "http://a?b", id="a query"),
        pytest.param(URLS, "http://", id="no host"),
        pytest.param(TOKEN, "a b", id="a token with a space"),
        pytest.param(TOKEN, "a\n", id="a token with a line end"),
        pytest.param(PATH, "a\0b", id="a path with NUL"),
        pytest.param(PATH, "", id="an empty path"),
        pytest.param(INTEGER, "1_000", id="an underscore in a number"),
        pytest.param(BOOLEAN, "yes", id="yes is not a boolean"),
    ],
)
def test_text_without_a_value_is_refused(kind, text):
    with pytest.raises(ValueError):
        kind.read_text(text)


@given(st.integers(0, 10**12))
def test_a_duration_is_written_so_that_it_reads_the_same(milliseconds):
    seconds = milliseconds / 1000
    assert DURATION.read_text(DURATION.write(seconds)) == seconds


@given(st.integers(0, 10**15 - 1))
def test_a_size_is_written_so_that_it_reads_the_same(octets):
    assert SIZE.read_text(SIZE.write(octets)) == octets


@pytest.mark.parametrize(
    ("value", "text"), [(0.3, "300ms"), (90.0, "90s"), (60.0, "1m"), (0.0, "0s"), (1e6, "1000000s")]
)
def test_a_duration_is_written_in_its_largest_unit(value, text):
    assert DURATION.write(value) == text


def test_a_misspelt_word_is_recognised():
    with pytest.raises(kinds.Unlike) as caught:
        kinds.one_of("redact", "keep").read_text("redcat")
    assert caught.value.suggestion == '"redact"'
