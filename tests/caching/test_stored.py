"""Stored responses."""

import pytest

from edge.caching.stored import StoredResponse
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response


def stored(*ranges, length=None):
    fields = FieldSection([(b"age", b"1")])
    return StoredResponse(b"k", b"g", b"GET", (), 200, b"Fine", fields, 0.0, 0.0, length, ranges)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(stored((0, 9), length=9), True, id="one range from beginning to end"),
        pytest.param(stored(length=0), True, id="nothing of nothing"),
        pytest.param(stored((0, 8), length=9), False, id="an octet is missing at the end"),
        pytest.param(stored((1, 9), length=9), False, id="an octet is missing at the beginning"),
        pytest.param(stored((0, 4), (5, 9), length=9), False, id="an octet is missing in between"),
        pytest.param(stored((0, 9)), False, id="of an unknown length one cannot tell"),
    ],
)
def test_is_complete(response, expected):
    assert response.is_complete is expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(0, 4, True, id="a whole range"),
        pytest.param(1, 3, True, id="inside a range"),
        pytest.param(6, 9, True, id="inside another"),
        pytest.param(3, 5, False, id="over an end"),
        pytest.param(3, 7, False, id="over a gap"),
        pytest.param(4, 5, False, id="inside a gap"),
        pytest.param(20, 20, True, id="no octet is always held"),
    ],
)
def test_holds(start, end, expected):
    assert stored((0, 4), (6, 9)).holds(start, end) is expected


def test_the_head_is_a_response():
    response = stored()
    assert response.response == Response(200, response.fields, b"Fine")
    changed = response.with_fields(FieldSection())
    assert changed.fields == FieldSection()
    assert changed.with_fields(response.fields) == response
