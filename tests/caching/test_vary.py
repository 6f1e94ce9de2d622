"""Nominated fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caching.stored import StoredResponse
from edge.caching.vary import nominate, nominated_names, normalised, renominated, select
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target

TARGET = Target(b"http", b"example.org", b"/")


def stored(nominated=(), *lines, generation=b"g"):
    return StoredResponse(b"k", generation, b"GET", nominated, 200, b"OK", FieldSection(lines), 0.0, 0.0, 0)


def varying(names, request, *lines, generation=b"g"):
    return stored(nominate(names, FieldSection(request)), *lines, generation=generation)


def asking(lines):
    return Request(b"GET", TARGET, FieldSection(lines))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], (), id="no Vary"),
        pytest.param([b"B, a", b"c,B"], (b"a", b"b", b"c"), id="sorted, in lower case, each once"),
        pytest.param([b"*"], None, id="a star"),
        pytest.param([b"a", b", *"], None, id="a star among others"),
        pytest.param([b"cookie accept"], None, id="no field name, so anything may matter"),
        pytest.param([b'"cookie"'], None, id="a name in quotes is none"),
    ],
)
def test_nominated_names(values, expected):
    assert nominated_names(FieldSection((b"vary", value) for value in values)) == expected


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        pytest.param(b"x", [], [], True, id="absent from both"),
        pytest.param(b"x", [b""], [], False, id="empty is not absent"),
        pytest.param(b"x", [b"a"], [b"A"], False, id="the case of a value may matter"),
        pytest.param(b"x", [b"a , b"], [b"a,b"], True, id="white space around a comma does not"),
        pytest.param(b"x", [b"a", b"b"], [b"a, b"], True, id="lines are combined"),
        pytest.param(b"x", [b"a,b"], [b"b,a"], False, id="the order of members may matter"),
        pytest.param(b"x", [b'"a,b"'], [b'"a, b"'], False, id="white space inside quotes does"),
        pytest.param(b"user-agent", [b"a,b"], [b"a, b"], False, id="a comma in what is no list is only a comma"),
        pytest.param(b"accept-encoding", [b"gzip, br"], [b"br;q=0.5,gzip"], True, id="codings that this node knows"),
        pytest.param(b"accept-encoding", [b"gzip, zz"], [b"gzip"], True, id="a coding that nobody offers"),
        pytest.param(b"accept-encoding", [b"gzip"], [b"gzip;q=0"], False, id="a coding that is refused"),
        pytest.param(b"accept-encoding", [b"identity"], [], False, id="no coding is less than no preference"),
        pytest.param(b"accept-language", [b"en, DE;q=0.5"], [b"de;q=0.50,EN"], True, id="languages in another order"),
        pytest.param(b"accept-language", [b"en, de"], [b"en, de;q=0.5"], False, id="languages weighted differently"),
    ],
)
def test_when_two_values_are_the_same(name, one, other, same):
    first, second = (FieldSection((name, value) for value in values) for values in (one, other))
    assert (normalised(name, first) == normalised(name, second)) is same


def test_a_connection_option_hides_a_field_from_the_origin():
    request = FieldSection([(b"accept-language", b"fr"), (b"connection", b"close, Accept-Language")])
    assert nominate((b"accept-language",), request) == ((b"accept-language", None),)


@pytest.mark.parametrize(
    ("candidates", "request_lines", "expected"),
    [
        pytest.param([], [], None, id="nothing is stored"),
        pytest.param([stored()], [(b"x", b"1")], b"g", id="what does not vary matches everything"),
        pytest.param([varying([b"x"], [(b"x", b"1")])], [(b"x", b"1")], b"g", id="a field matches"),
        pytest.param([varying([b"x"], [(b"x", b"1")])], [(b"x", b"2")], None, id="a field does not"),
        pytest.param([varying([b"x"], [(b"x", b"1")])], [], None, id="a field is missing"),
        pytest.param([varying([b"x"], [])], [], b"g", id="a field is missing as before"),
        pytest.param([varying([b"x"], [])], [(b"x", b"")], None, id="a field that was missing"),
        pytest.param(
            [varying([b"x", b"y"], [(b"x", b"1"), (b"y", b"1")])], [(b"x", b"1"), (b"y", b"2")], None, id="one of two"
        ),
        pytest.param(
            [stored((), generation=b"first"), stored((), generation=b"second")], [], b"first", id="the first of equals"
        ),
        pytest.param(
            [
                stored((), (b"date", format_date(100)), generation=b"older"),
                varying([b"x"], [], (b"date", format_date(200)), generation=b"newer"),
            ],
            [],
            b"newer",
            id="the most recent by Date",
        ),
        pytest.param(
            [
                stored((), (b"date", format_date(100)), generation=b"older"),
                varying([b"x"], [], (b"date", format_date(200)), generation=b"newer"),
            ],
            [(b"x", b"1")],
            b"older",
            id="the most recent of those that match",
        ),
    ],
)
def test_select(candidates, request_lines, expected):
    selected = select(asking(request_lines), candidates)
    assert (selected and selected.generation) == expected


@pytest.mark.parametrize(
    ("language", "accepted", "matches"),
    [
        pytest.param([b"de"], b"de, en;q=0.5", True, id="the one language liked best"),
        pytest.param([b"de-CH"], b"de, en;q=0.5", True, id="a kind of it"),
        pytest.param([b"de"], b"de-CH, en;q=0.5", False, id="a wider one than was asked for"),
        pytest.param([b"den"], b"de, en;q=0.5", False, id="a longer name"),
        pytest.param([b"en"], b"de, en;q=0.5", False, id="the second best"),
        pytest.param([b"de"], b"de, en", False, id="one of two liked the same"),
        pytest.param([b"de", b"en"], b"de, en;q=0.5", False, id="a response in two languages"),
        pytest.param([], b"de", False, id="a response in no stated language"),
        pytest.param([b"de"], b"de;q=0", False, id="a language that is refused"),
        pytest.param([b"de"], b"???", False, id="a malformed preference"),
    ],
)
def test_the_preferred_language(language, accepted, matches):
    lines = [(b"content-language", tag) for tag in language]
    candidate = varying([b"accept-language"], [(b"accept-language", b"fr, *;q=0.1")], *lines)
    assert (select(asking([(b"accept-language", accepted)]), [candidate]) is candidate) is matches


def test_the_preferred_language_is_no_reason_to_ignore_other_fields():
    lines = [(b"accept-language", b"fr"), (b"x", b"1")]
    candidate = varying([b"accept-language", b"x"], lines, (b"content-language", b"de"))
    assert select(asking([(b"accept-language", b"de"), (b"x", b"2")]), [candidate]) is None


def test_renominated_names_keep_known_values_and_take_new_ones_from_the_request():
    fields = FieldSection([(b"vary", b"a, b")])
    known = ((b"a", b"1"), (b"c", b"3"))
    request = FieldSection([(b"a", b"9"), (b"b", b"2")])
    assert renominated(known, fields, request) == ((b"a", b"1"), (b"b", b"2"))
    assert renominated(((b"a", b"1"),), FieldSection([(b"vary", b"a")]), None) == ((b"a", b"1"),)


@pytest.mark.parametrize("vary", [b"b", b"*"])
def test_what_is_not_known_matches_no_request(vary):
    candidate = stored(renominated((), FieldSection([(b"vary", vary)]), None))
    assert select(asking([]), [candidate]) is None
    assert select(asking([(b"b", b""), (b"*", b"")]), [candidate]) is None


_names = st.sampled_from([b"accept-encoding", b"accept-language", b"user-agent", b"x"])
_values = st.lists(st.sampled_from([b"gzip", b"br;q=0", b"en", b"de;q=0.5", b"*", b'"a, b"', b"\xff"])).map(b" , ".join)
_requests = st.lists(st.tuples(_names, _values | st.binary(max_size=8)), max_size=6)


@given(st.sets(_names), _requests, _requests)
def test_selection_is_symmetric(names, one, other):
    ours, theirs = varying(sorted(names), one), varying(sorted(names), other)
    assert select(asking(one), [ours]) is ours
    assert (select(asking(other), [ours]) is None) is (select(asking(one), [theirs]) is None)
