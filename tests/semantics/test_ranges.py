import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ParseError
from edge.semantics.ranges import (
    MAX_POSITION,
    ContentRange,
    RangeSpec,
    coalesced,
    format_content_range,
    format_unsatisfied,
    parse_content_range,
    parse_range,
    resolve,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"bytes=0-4", [(0, 4)], id="first and last"),
        pytest.param(b"bytes=5-", [(5, None)], id="to the end"),
        pytest.param(b"bytes=-3", [(None, 3)], id="a suffix"),
        pytest.param(b"BYTES=0-0", [(0, 0)], id="the unit in any case"),
        pytest.param(b"bytes=0-0,2-2\t, -1", [(0, 0), (2, 2), (None, 1)], id="a list"),
        pytest.param(b"bytes=, ,0-0, ,", [(0, 0)], id="empty members"),
        pytest.param(b"bytes=-0", [(None, 0)], id="an empty suffix is grammatical"),
        pytest.param(b"bytes=007-08", [(7, 8)], id="leading zeros"),
        pytest.param(b"bytes=0-999999999999999999", [(0, 999999999999999999)], id="18 digits"),
        pytest.param(b"bytes=0-1000000000000000000", [(0, MAX_POSITION)], id="19 digits saturate"),
        pytest.param(b"bytes=-%s" % (b"9" * 5000), [(None, MAX_POSITION)], id="5000 digits saturate"),
        pytest.param(b"bytes=%s1-2" % (b"0" * 5000), [(1, 2)], id="5000 zeros do not"),
    ],
)
def test_ranges(value, expected):
    assert parse_range(value) == tuple(RangeSpec(first, last) for first, last in expected)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"bytes", b"bytes=", b"bytes=,", b"bytes=-", b"bytes=0-1,-", b"bytes=4-3", b"bytes=0-1,4-3", b"lines=0-1",
        b"bytes 0-1", b"bytes =0-1", b"bytes= 0-1", b"bytes=0-1 2-3", b"bytes=0--1", b"bytes=+0-1", b"bytes=0_0-1",
        b"bytes=0x0-1", b"bytes=0 -1", b"bytes=0-1\n", b"bytes=1", b"bytes=a-b", "bytes=๒-๓".encode(),
        b"bytes=9999999999999999999-1",
    ],
)  # fmt: skip
def test_refused_ranges(value):
    with pytest.raises(ParseError):
        parse_range(value)


@pytest.mark.parametrize(
    ("value", "length", "expected"),
    [
        pytest.param(b"bytes=0-4", 10, [(0, 5)], id="inside"),
        pytest.param(b"bytes=0-99", 10, [(0, 10)], id="last beyond the end is cut"),
        pytest.param(b"bytes=5-", 10, [(5, 10)], id="to the end"),
        pytest.param(b"bytes=10-", 10, [], id="first at the end is unsatisfiable"),
        pytest.param(b"bytes=-3", 10, [(7, 10)], id="a suffix"),
        pytest.param(b"bytes=-99", 10, [(0, 10)], id="a suffix longer than the whole is the whole"),
        pytest.param(b"bytes=-0", 10, [], id="an empty suffix is unsatisfiable"),
        pytest.param(b"bytes=0-", 0, [], id="nothing of nothing is satisfiable"),
        pytest.param(b"bytes=-1", 0, [], id="a suffix of nothing cannot be expressed"),
        pytest.param(b"bytes=8-9,20-,0-0,0-0", 10, [(8, 10), (0, 1), (0, 1)], id="in the order asked"),
        pytest.param(b"bytes=9223372036854775807-", 10, [], id="a huge first"),
        pytest.param(b"bytes=-18446744073709551616", 10, [(0, 10)], id="a huge suffix"),
        pytest.param(b"bytes=0-99999999999999999999", 10, [(0, 10)], id="a huge last"),
    ],
)
def test_resolve(value, length, expected):
    assert resolve(parse_range(value), length) == tuple(expected)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([(0, 5)], [(0, 5)], id="one"),
        pytest.param([(5, 9), (0, 3)], [(5, 9), (0, 3)], id="apart keep their order"),
        pytest.param([(0, 5), (3, 9)], [(0, 9)], id="overlapping"),
        pytest.param([(0, 5), (5, 9)], [(0, 9)], id="adjacent"),
        pytest.param([(0, 9), (3, 4)], [(0, 9)], id="one inside another"),
        pytest.param([(0, 1)] * 1000, [(0, 1)], id="a thousand times the same"),
        pytest.param([(8, 9), (4, 6), (20, 30), (5, 8)], [(4, 9), (20, 30)], id="merged at the place of the first"),
        pytest.param([(20, 30), (4, 6), (0, 1), (5, 8)], [(20, 30), (4, 8), (0, 1)], id="places of the others kept"),
    ],
)
def test_coalesced(ranges, expected):
    assert coalesced(ranges) == tuple(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"bytes 0-4/10", ContentRange(0, 4, 10), id="a part"),
        pytest.param(b"bytes 0-9/10", ContentRange(0, 9, 10), id="the whole"),
        pytest.param(b"bytes 0-4/*", ContentRange(0, 4, None), id="complete length unknown"),
        pytest.param(b"bytes */10", ContentRange(None, None, 10), id="unsatisfied"),
        pytest.param(b"Bytes 0-4/10", ContentRange(0, 4, 10), id="the unit in any case"),
    ],
)
def test_content_ranges(value, expected):
    assert parse_content_range(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"", b"bytes", b"bytes */*", b"bytes 4-3/10", b"bytes 0-10/10", b"bytes 0-4/4", b"bytes 0-/10", b"bytes -4/10",
        b"bytes 0-4", b"bytes=0-4/10", b"bytes  0-4/10", b"lines 0-4/10", b"bytes 0-4/10\n", b"bytes +0-4/10",
        b"bytes 0-4/1_0", b"bytes 0-4/1000000000000000000000", "bytes 0-٤/10".encode(),
    ],
)  # fmt: skip
def test_refused_content_ranges(value):
    with pytest.raises(ParseError):
        parse_content_range(value)


def test_formats():
    assert format_content_range(0, 5, 10) == b"bytes 0-4/10"
    assert format_content_range(0, 5, None) == b"bytes 0-4/*"
    assert format_unsatisfied(10) == b"bytes */10"


POSITIONS = st.integers(0, 40)
SPECS = st.lists(
    st.builds(lambda first, more: RangeSpec(first, first + more), POSITIONS, POSITIONS)
    | st.builds(RangeSpec, POSITIONS, st.none())
    | st.builds(RangeSpec, st.none(), POSITIONS),
    min_size=1,
)


def encoded(spec: RangeSpec) -> bytes:
    return b"-".join(b"" if position is None else b"%d" % position for position in (spec.first, spec.last))


@given(SPECS)
def test_ranges_survive_the_round_trip(specs):
    assert parse_range(b"bytes=" + b", ".join(map(encoded, specs))) == tuple(specs)


@given(SPECS, st.integers(0, 50))
def test_coalesced_ranges_are_the_same_octets_once(specs, length):
    ranges = resolve(specs, length)
    assert all(0 <= start < end <= length for start, end in ranges)
    merged = coalesced(ranges)
    octets = [octet for start, end in merged for octet in range(start, end)]
    assert sorted(octets) == sorted({octet for start, end in ranges for octet in range(start, end)})
    assert coalesced(merged) == merged


@given(st.integers(0, 99), st.integers(1, 99), st.none() | st.integers(0, 99))
def test_content_ranges_survive_the_round_trip(start, size, rest):
    complete = None if rest is None else start + size + rest
    parsed = parse_content_range(format_content_range(start, start + size, complete))
    assert parsed == ContentRange(start, start + size - 1, complete)


@given(st.binary() | st.from_regex(rb"bytes=[0-9, \t-]*", fullmatch=True), st.integers(0, 100))
def test_any_other_range_is_refused(value, length):
    try:
        specs = parse_range(value)
    except ParseError:
        return
    assert specs
    assert all(0 <= start < end <= length for start, end in resolve(specs, length))


@given(st.binary() | st.from_regex(rb"bytes [0-9*/-]*", fullmatch=True))
def test_any_other_content_range_is_refused(value):
    try:
        parsed = parse_content_range(value)
    except ParseError:
        return
    if parsed.first is None or parsed.last is None:
        assert parsed.first is parsed.last is None
        assert parsed.complete is not None
    else:
        assert parsed.first <= parsed.last
        assert parsed.complete is None or parsed.last < parsed.complete
