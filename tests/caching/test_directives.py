"""Cache-Control and targeted fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caching.directives import (
    MAX_DELTA,
    Directives,
    parse_delta,
    parse_directives,
    parse_targeted,
    request_directives,
    response_directives,
)
from edge.semantics.fields import FieldSection

TARGETS = (b"foreland-cache-control", b"cdn-cache-control")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"0", 0, id="zero"),
        pytest.param(b"0060", 60, id="leading zeros mean nothing"),
        pytest.param(b"2147483648", MAX_DELTA, id="2^31 itself"),
        pytest.param(b"2147483649", MAX_DELTA, id="what is larger is taken for 2^31"),
        pytest.param(b"9" * 5000, MAX_DELTA, id="a number of any length is taken for 2^31"),
        pytest.param(b"0" * 5000 + b"7", 7, id="zeros of any length in front"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"-1", None, id="a sign"),
        pytest.param(b"+1", None, id="a plus sign"),
        pytest.param(b"1.0", None, id="a fraction"),
        pytest.param(b"1 ", None, id="white space"),
        pytest.param(b"\xd9\xa1", None, id="a digit beyond ASCII"),
    ],
)
def test_delta_seconds(value, expected):
    assert parse_delta(value) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], {}, id="no line"),
        pytest.param([b"no-store"], {b"no-store": None}, id="a directive without an argument"),
        pytest.param([b"Max-Age=60"], {b"max-age": b"60"}, id="names do not depend on case"),
        pytest.param([b'max-age="60"'], {b"max-age": b"60"}, id="a quoted argument means the same"),
        pytest.param([b"max-age="], {b"max-age": b""}, id="an empty argument is one"),
        pytest.param([b"a=1 ,, b"], {b"a": b"1", b"b": None}, id="white space and empty members"),
        pytest.param([b"a", b"b"], {b"a": None, b"b": None}, id="several lines"),
        pytest.param([b"max-age=1", b"max-age=2"], {b"max-age": b"1"}, id="the first of several counts"),
        pytest.param([b"max-age =1"], {}, id="white space before the argument makes it no directive"),
        pytest.param([b'x="a, max-age=9"'], {b"x": b"a, max-age=9"}, id="a comma inside quotes separates nothing"),
        pytest.param([b'private="a"', b"private"], {b"private": None}, id="private beside its qualified form"),
        pytest.param([b"private", b'private="a"'], {b"private": None}, id="the qualified form beside private"),
        pytest.param([b'no-cache="a"', b'no-cache="b"'], {b"no-cache": b"a, b"}, id="qualified forms add up"),
        pytest.param([b'no-cache="a"', b'no-cache=""'], {b"no-cache": None}, id="an empty qualified form is none"),
    ],
)
def test_directives(values, expected):
    assert parse_directives(values).arguments == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        pytest.param(b"5", 5, id="a number"),
        pytest.param(b"soon", 0, id="an invalid argument is 0"),
        pytest.param(b"-5", 0, id="a negative argument is 0"),
        pytest.param(None, 0, id="a missing argument is 0"),
    ],
)
def test_a_delta_argument(argument, expected):
    directives = Directives({b"max-age": argument})
    assert directives.delta(b"max-age") == expected
    assert directives.delta(b"s-maxage") is None


@pytest.mark.parametrize(
    ("value", "names", "unqualified"),
    [
        pytest.param(b"max-age=1", set(), False, id="absent"),
        pytest.param(b"private", set(), True, id="without an argument"),
        pytest.param(b'private="Set-Cookie, X-User"', {b"set-cookie", b"x-user"}, False, id="a list of names"),
        pytest.param(b"private=set-cookie", {b"set-cookie"}, False, id="a name as a token"),
        pytest.param(b'private=""', set(), True, id="an empty list is about everything"),
        pytest.param(b'private="set-cookie x-user"', set(), True, id="a malformed list is about everything"),
        pytest.param(b'private="set-cookie', set(), True, id="quotes that never close are about everything"),
        pytest.param(b'private="x, age"', set(), True, id="a list with a field the law reads is about everything"),
        pytest.param(b'private="CDN-Cache-Control"', set(), True, id="so is one with the directives themselves"),
    ],
)
def test_the_qualified_form(value, names, unqualified):
    directives = parse_directives([value])
    assert directives.field_names(b"private") == names
    assert directives.unqualified(b"private") is unqualified


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([b"max-age=60, private"], {b"max-age": b"60", b"private": None}, id="integer and boolean"),
        pytest.param([b"max-age=1", b"no-store"], {b"max-age": b"1", b"no-store": None}, id="lines are combined"),
        pytest.param([b"max-age=1, max-age=2"], {b"max-age": b"2"}, id="the last of one key counts in a Dictionary"),
        pytest.param([b"no-store=?0, a"], {b"a": None}, id="a false directive is absent"),
        pytest.param([b'private="a, b"'], {b"private": b"a, b"}, id="a String is the qualified form"),
        pytest.param([b"private=a"], {b"private": None}, id="a Token qualifies nothing"),
        pytest.param([b'no-cache=%"caf%c3%a9"'], {b"no-cache": None}, id="a Display String qualifies nothing"),
        pytest.param([b"no-cache=(a b)"], {b"no-cache": None}, id="an inner list qualifies nothing"),
        pytest.param([b"max-age=60;x=1"], {b"max-age": b"60"}, id="parameters are read over"),
        pytest.param([b"max-age=999999999999999"], {b"max-age": b"999999999999999"}, id="the largest Integer"),
        pytest.param([b""], None, id="an empty field is ignored"),
        pytest.param([b"Max-Age=60"], None, id="a key in upper case is no Dictionary"),
        pytest.param([b'max-age="60"'], None, id="a String is no lifetime"),
        pytest.param([b"max-age=60.0"], None, id="a Decimal is no lifetime"),
        pytest.param([b"max-age=@60"], None, id="a Date is no lifetime"),
        pytest.param([b"max-age"], None, id="a lifetime without an argument"),
        pytest.param([b"s-maxage=-1"], None, id="a negative lifetime"),
        pytest.param([b"max-age=(60)"], None, id="an inner list is no lifetime"),
        pytest.param([b"max-age=60,"], None, id="a comma too many"),
    ],
)
def test_a_targeted_field(values, expected):
    directives = parse_targeted(values)
    assert (None if directives is None else directives.arguments) == expected


@pytest.mark.parametrize(
    ("lines", "lifetime", "targeted"),
    [
        pytest.param([(b"cache-control", b"max-age=1")], 1, False, id="Cache-Control alone"),
        pytest.param(
            [(b"cache-control", b"max-age=1"), (b"cdn-cache-control", b"max-age=2")], 2, True, id="a target beats it"
        ),
        pytest.param(
            [(b"cdn-cache-control", b"max-age=2"), (b"foreland-cache-control", b"max-age=3")],
            3,
            True,
            id="the first of the target list counts, not of the fields",
        ),
        pytest.param(
            [(b"cdn-cache-control", b"max-age=2"), (b"foreland-cache-control", b"max-age=x")],
            2,
            True,
            id="an invalid targeted field leaves the turn to the next",
        ),
        pytest.param(
            [(b"cache-control", b"max-age=1"), (b"cdn-cache-control", b"")],
            1,
            False,
            id="an empty one counts as absent",
        ),
        pytest.param([(b"other-cache-control", b"max-age=9")], None, False, id="a field aimed at another cache"),
    ],
)
def test_which_field_a_response_speaks_through(lines, lifetime, targeted):
    directives, is_targeted = response_directives(FieldSection(lines), TARGETS)
    assert (directives.delta(b"max-age"), is_targeted) == (lifetime, targeted)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([(b"pragma", b"No-Cache")], {b"no-cache": None}, id="Pragma stands in for Cache-Control"),
        pytest.param([(b"pragma", b"x, no-cache")], {b"no-cache": None}, id="Pragma is a list"),
        pytest.param([(b"pragma", b"x")], {}, id="another Pragma says nothing"),
        pytest.param(
            [(b"pragma", b"no-cache"), (b"cache-control", b"max-age=1")],
            {b"max-age": b"1"},
            id="Cache-Control silences Pragma",
        ),
    ],
)
def test_request_directives(lines, expected):
    assert request_directives(FieldSection(lines)).arguments == expected


@given(st.lists(st.binary()))
def test_parsing_takes_whatever_octets(values):
    directives = parse_directives(values)
    for name in directives.arguments:
        assert name in directives
        assert 0 <= directives.delta(name) <= MAX_DELTA
        assert directives.unqualified(name) is not bool(directives.field_names(name))


_members = st.sampled_from(
    [
        b"max-age=",
        b"no-cache",
        b"private=",
        b'"a"',
        b"60",
        b"@1",
        b'%"%c3%a9"',
        b":AA==:",
        b"?0",
        b"(",
        b")",
        b",",
        b";",
    ]
)


@given(st.lists(st.binary() | st.lists(_members).map(b"".join)))
def test_parsing_a_targeted_field_takes_whatever_octets(values):
    directives = parse_targeted(values)
    if directives is not None:
        assert all(directives.delta(name) >= 0 for name in directives.arguments)


def test_a_long_value_is_parsed_as_a_short_one_is():
    directives = parse_directives([b"max-age=5" + b", x=1" * 200])
    assert directives.delta(b"max-age") == 5
    assert set(directives.arguments) == {b"max-age", b"x"}
