"""Partial responses."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caching.partial import Part, described, is_same, may_combine, merged, missing_tail
from edge.caching.stored import StoredResponse
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response


def stored(*ranges, length=None, etag=b'"a"'):
    fields = FieldSection([] if etag is None else [(b"etag", etag)])
    return StoredResponse(b"k", b"g", b"GET", (), 200, b"", fields, 0.0, 0.0, length, ranges)


def part(*lines):
    return Response(206, FieldSection(lines))


@pytest.mark.parametrize(
    ("value", "content_length", "trusting", "expected"),
    [
        pytest.param(b"bytes 4-9/20", 6, False, Part(4, 10, 20), id="a range of a known whole"),
        pytest.param(b"bytes 4-9/*", 6, False, Part(4, 10, None), id="a range of an unknown whole"),
        pytest.param(
            b"bytes 4-9/20", None, False, Part(4, 10, 20), id="a content whose length is not known beforehand"
        ),
        pytest.param(b"bytes 4-9/20", 5, False, None, id="a content shorter than its range"),
        pytest.param(b"bytes 4-9/20", 7, False, None, id="a content longer than its range"),
        pytest.param(b"bytes 4-9/10", 5, True, Part(4, 9, 9), id="trusted, a shorter one ends the representation"),
        pytest.param(b"bytes 4-9/10", 0, True, None, id="but not an empty one"),
        pytest.param(b"bytes 4-9/20", 5, True, None, id="nor one in its middle"),
        pytest.param(b"bytes 4-9/10", 7, True, None, id="nor a longer one"),
        pytest.param(b"bytes */20", 6, False, None, id="an unsatisfied range encloses nothing"),
        pytest.param(b"bytes 9-4/20", 6, False, None, id="an invalid range"),
        pytest.param(b"lines 4-9/20", 6, False, None, id="another unit"),
        pytest.param(None, 6, False, None, id="a multipart has no Content-Range of its own"),
    ],
)
def test_the_part_a_response_encloses(value, content_length, trusting, expected):
    response = part() if value is None else part((b"content-range", value))
    assert described(response, content_length, trust_framing=trusting) == expected


def test_two_content_ranges_describe_nothing():
    response = part((b"content-range", b"bytes 0-4/10"), (b"content-range", b"bytes 5-9/10"))
    assert described(response, 5, trust_framing=True) is None


@pytest.mark.parametrize(
    ("held", "lines", "expected"),
    [
        pytest.param(stored(length=9), [(b"etag", b'"a"')], True, id="the same strong entity tag"),
        pytest.param(stored(length=9), [(b"etag", b'"b"')], False, id="another one"),
        pytest.param(stored(length=9), [(b"etag", b'W/"a"')], False, id="a weak one is no proof"),
        pytest.param(stored(etag=b'W/"a"'), [(b"etag", b'W/"a"')], False, id="nor are two weak ones"),
        pytest.param(stored(etag=None), [], False, id="none"),
        pytest.param(stored(length=9), [], False, id="only one side has one"),
        pytest.param(stored(etag=b"a"), [(b"etag", b"a")], False, id="a malformed one"),
        pytest.param(
            stored(length=9), [(b"etag", b'"a"'), (b"content-range", b"bytes 0-1/9")], True, id="the same whole"
        ),
        pytest.param(
            stored(length=9), [(b"etag", b'"a"'), (b"content-range", b"bytes 0-1/8")], False, id="wholes of two lengths"
        ),
        pytest.param(
            stored(), [(b"etag", b'"a"'), (b"content-range", b"bytes 0-1/8")], True, id="a length that becomes known"
        ),
        pytest.param(
            stored(length=9), [(b"etag", b'"a"'), (b"content-range", b"bytes 0-1/*")], True, id="a length left open"
        ),
    ],
)
def test_may_combine(held, lines, expected):
    assert may_combine(held, part(*lines)) is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param(stored((5, 9), length=9), True, id="another part"),
        pytest.param(stored((5, 9)), True, id="a part of an unknown whole"),
        pytest.param(stored((5, 9), length=8), False, id="a part of a shorter whole"),
        pytest.param(stored((5, 9), length=9, etag=b'"b"'), False, id="a part of another representation"),
    ],
)
def test_is_same(other, expected):
    assert is_same(stored((0, 3), length=9), other) is expected


@pytest.mark.parametrize(
    ("ranges", "added", "expected"),
    [
        pytest.param((), (2, 4), ((2, 4),), id="the first"),
        pytest.param(((0, 2),), (4, 6), ((0, 2), (4, 6)), id="apart"),
        pytest.param(((4, 6),), (0, 2), ((0, 2), (4, 6)), id="in front"),
        pytest.param(((0, 2),), (2, 4), ((0, 4),), id="touching"),
        pytest.param(((0, 2), (4, 6)), (1, 5), ((0, 6),), id="over a gap"),
        pytest.param(((0, 9),), (3, 4), ((0, 9),), id="inside"),
        pytest.param((), (3, 3), (), id="an empty one adds nothing"),
    ],
)
def test_merged(ranges, added, expected):
    assert merged(ranges, added) == expected


_offsets = st.integers(0, 40)


@given(st.lists(st.tuples(_offsets, _offsets)))
def test_merged_ranges_hold_the_same_octets(many):
    ranges, octets = (), set()
    for start, end in many:
        ranges = merged(ranges, (start, end))
        octets |= set(range(start, end))
        assert {octet for first, last in ranges for octet in range(first, last)} == octets
        assert all(first < last for first, last in ranges)
        assert all(one[1] < other[0] for one, other in pairwise(ranges))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(stored((0, 5), length=9), 5, id="the beginning is held"),
        pytest.param(stored((0, 5)), 5, id="the beginning, of an unknown length"),
        pytest.param(stored((0, 9), length=9), None, id="all is held"),
        pytest.param(stored((2, 5), length=9), None, id="only a middle is held"),
        pytest.param(stored((0, 2), (4, 5), length=9), None, id="more than the beginning is held"),
        pytest.param(stored(length=9), None, id="nothing is held"),
    ],
)
def test_missing_tail(response, expected):
    assert missing_tail(response) == expected
