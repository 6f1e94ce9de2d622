"""What goes on to the next hop."""

import pytest

from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import (
    HOP_BY_HOP,
    NEVER_CONNECTION_OPTIONS,
    connection_options,
    end_to_end,
    loop_count,
    may_be_dropped,
)


def connection(*values):
    return [(b"connection", value) for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], set(), id="none"),
        pytest.param([b"Close, X-A", b",te"], {b"close", b"x-a", b"te"}, id="of all lines, in lower case"),
    ],
)
def test_connection_options(values, expected):
    assert connection_options(FieldSection(connection(*values))) == expected


@pytest.mark.parametrize("option", sorted(NEVER_CONNECTION_OPTIONS))
def test_a_connection_option_that_would_hide_too_much(option):
    assert not may_be_dropped(connection_options(FieldSection(connection(b"close, " + option.title()))))


@pytest.mark.parametrize("option", [b"close", b"keep-alive", b"upgrade", b"te", b"x-a"])
def test_a_connection_option_that_hides_nothing_of_weight(option):
    assert may_be_dropped(connection_options(FieldSection(connection(option))))


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        pytest.param([(b"accept", b"x"), (b"cookie", b"x")], [b"accept", b"cookie"], id="end-to-end fields"),
        pytest.param([(name, b"x") for name in sorted(HOP_BY_HOP)], [], id="hop-by-hop fields"),
        pytest.param([*connection(b"X-A"), (b"x-a", b"1"), (b"x-b", b"2")], [b"x-b"], id="what Connection names"),
    ],
)
def test_end_to_end(lines, kept):
    assert [name for name, _ in end_to_end(FieldSection(lines))] == kept


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], 0, id="never"),
        pytest.param([(b"cdn-loop", b"n")], 1, id="once by CDN-Loop"),
        pytest.param([(b"cdn-loop", b'other, n; x="a, n", N'), (b"cdn-loop", b"n")], 2, id="twice, parameters apart"),
        pytest.param([(b"via", b"1.1 n")], 1, id="once by Via"),
        pytest.param([(b"via", b"1.1 n (comment), HTTP/2 n"), (b"via", b"1.0 other")], 2, id="twice by Via"),
        pytest.param([(b"via", b"1.1 n, 1.1 n"), (b"cdn-loop", b"n")], 2, id="whichever says more"),
        pytest.param([(b"via", b"n"), (b"cdn-loop", b"nn")], 0, id="what only looks like it"),
    ],
)
def test_loop_count(lines, expected):
    assert loop_count(FieldSection(lines), b"n") == expected
