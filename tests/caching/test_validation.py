"""Validating and freshening."""

import pytest

from edge.caching import storing, vary
from edge.caching.freshness import FreshnessRules, Lifetime, current_age, freshness
from edge.caching.stored import StoredResponse
from edge.caching.validation import (
    conditional_fields,
    entity_tag,
    freshen,
    has_validator,
    identifies,
    is_same_by_head,
)
from edge.semantics.dates import format_date
from edge.semantics.entity_tags import EntityTag
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

T = 1_700_000_000
RULES = FreshnessRules()
ETAG = (b"etag", b'"a"')
DATE = (b"date", format_date(T + 100))
MODIFIED = (b"last-modified", format_date(T - 100))


def stored(*lines, nominated=(), length=None):
    return StoredResponse(b"k", b"g", b"GET", nominated, 200, b"OK", FieldSection(lines), T, T, length)


def not_modified(*lines):
    return Response(304, FieldSection(lines))


def freshened(response, *lines, **options):
    return freshen(response, not_modified(*lines, DATE), T + 99, T + 100, RULES, **options)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([ETAG], EntityTag(b"a"), id="a strong one"),
        pytest.param([(b"etag", b'W/"a"')], EntityTag(b"a", weak=True), id="a weak one"),
        pytest.param([(b"etag", b"a")], None, id="a malformed one"),
        pytest.param([], None, id="none"),
    ],
)
def test_entity_tag(lines, expected):
    assert entity_tag(FieldSection(lines)) == expected


@pytest.mark.parametrize(
    ("lines", "expected", "conditions"),
    [
        pytest.param([ETAG], True, [(b"if-none-match", b'"a"')], id="an entity tag"),
        pytest.param([MODIFIED], True, [(b"if-modified-since", MODIFIED[1])], id="a date"),
        pytest.param(
            [MODIFIED, ETAG],
            True,
            [(b"if-none-match", b'"a"'), (b"if-modified-since", MODIFIED[1])],
            id="both, for an origin that knows only one of them",
        ),
        pytest.param([(b"etag", b"a")], True, [(b"if-none-match", b"a")], id="a tag only the origin understands"),
        pytest.param([DATE], False, [], id="neither"),
    ],
)
def test_the_validators_of_a_stored_response(lines, expected, conditions):
    response = stored(*lines)
    assert has_validator(response) is expected
    assert list(conditional_fields(FieldSection(), response)) == conditions


def test_our_conditions_take_the_place_of_the_clients():
    names = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range", b"te")
    fields = conditional_fields(FieldSection((name, b"x") for name in names), stored(ETAG))
    assert list(fields) == [(b"te", b"x"), (b"if-none-match", b'"a"')]


@pytest.mark.parametrize(
    ("held", "lines", "expected"),
    [
        pytest.param([ETAG], [ETAG], True, id="the same entity tag"),
        pytest.param([ETAG], [(b"etag", b'"b"')], False, id="another one"),
        pytest.param([ETAG], [(b"etag", b'W/"a"')], True, id="the same, weakened"),
        pytest.param([(b"etag", b'W/"a"')], [ETAG], True, id="the same, which was weakened when it was stored"),
        pytest.param([ETAG], [], True, id="none: ours was the only one asked about"),
        pytest.param([ETAG, MODIFIED], [(b"last-modified", format_date(T))], True, id="the entity tag outranks dates"),
        pytest.param([MODIFIED], [ETAG], False, id="an entity tag that ours had not"),
        pytest.param([MODIFIED], [MODIFIED], True, id="the same date"),
        pytest.param([MODIFIED], [], True, id="no date"),
        pytest.param(
            [MODIFIED], [(b"last-modified", format_date(T - 999))], False, id="an older date than was asked about"
        ),
    ],
)
def test_whether_a_304_is_about_the_stored_response(held, lines, expected):
    assert identifies(stored(*held), not_modified(*lines), trust_mismatch=False) is expected
    assert identifies(stored(*held), not_modified(*lines), trust_mismatch=True)


@pytest.mark.parametrize(
    ("held", "newer", "expected"),
    [
        pytest.param([(b"x", b"1")], [(b"x", b"2")], [(b"x", b"2")], id="a field is replaced"),
        pytest.param([(b"x", b"1"), (b"x", b"2")], [(b"x", b"3")], [(b"x", b"3")], id="all its lines are"),
        pytest.param(
            [(b"x", b"1")], [(b"y", b"2"), (b"y", b"3")], [(b"x", b"1"), (b"y", b"2"), (b"y", b"3")], id="added"
        ),
        pytest.param([ETAG], [(b"etag", b'W/"a"')], [ETAG], id="the entity tag belongs to the content"),
        pytest.param(
            [(b"content-encoding", b"gzip")],
            [(b"content-encoding", b"br")],
            [(b"content-encoding", b"gzip")],
            id="coding",
        ),
        pytest.param([], [(b"content-length", b"9"), (b"content-range", b"x")], [], id="framing is not kept"),
        pytest.param([(b"age", b"9")], [], [], id="the old Age is over"),
        pytest.param([(b"age", b"9")], [(b"age", b"3")], [(b"age", b"3")], id="the new Age counts"),
        pytest.param(
            [(b"cache-control", b'private="x"')],
            [(b"x", b"2")],
            [(b"cache-control", b'private="x"')],
            id="what stored directives keep out stays out",
        ),
        pytest.param(
            [(b"x", b"1")],
            [(b"cache-control", b'no-cache="x"')],
            [(b"cache-control", b'no-cache="x"')],
            id="what new directives keep out goes",
        ),
        pytest.param([], [(b"set-cookie", b"a=1")], [], id="a cookie for one is not kept for all"),
    ],
)
def test_the_fields_of_a_freshened_response(held, newer, expected):
    assert list(freshened(stored(*held), *newer).fields) == [*expected, DATE]


def test_set_cookie_is_kept_where_the_profile_stores_it():
    response = freshened(stored((b"set-cookie", b"a=1")), (b"set-cookie", b"a=2"), store_set_cookie=True)
    assert response.fields.values(b"set-cookie") == [b"a=2"]


@pytest.mark.parametrize(
    ("held", "newer", "lifetime", "source"),
    [
        pytest.param(
            [(b"cache-control", b"max-age=60")], [(b"cache-control", b"max-age=5")], 5, Lifetime.MAX_AGE, id="max-age"
        ),
        pytest.param([(b"cache-control", b"max-age=60")], [], 60, Lifetime.MAX_AGE, id="nothing new leaves the old"),
        pytest.param(
            [(b"cache-control", b"max-age=60")],
            [(b"expires", format_date(T + 999))],
            60,
            Lifetime.MAX_AGE,
            id="a stored max-age beats a new Expires",
        ),
        pytest.param(
            [(b"expires", format_date(T + 60))],
            [(b"cache-control", b"max-age=5")],
            5,
            Lifetime.MAX_AGE,
            id="a new max-age beats a stored Expires",
        ),
        pytest.param([(b"expires", format_date(T + 60))], [], 0, Lifetime.EXPIRES, id="a stored Expires passes"),
        pytest.param(
            [(b"cdn-cache-control", b"max-age=60")],
            [(b"cache-control", b"max-age=5")],
            60,
            Lifetime.MAX_AGE,
            id="a stored targeted field beats a new Cache-Control",
        ),
    ],
)
def test_the_freshness_of_a_freshened_response(held, newer, lifetime, source):
    response = freshened(stored((b"date", format_date(T)), *held), *newer)
    facts = freshness(200, response.fields, response.response_time, RULES)
    assert (facts.lifetime, facts.source) == (lifetime, source)
    assert (response.request_time, response.response_time) == (T + 99, T + 100)
    assert current_age(response, T + 107) == 8


def test_a_304_may_forbid_what_is_stored():
    response = freshened(stored(ETAG, (b"cache-control", b"max-age=60")), (b"cache-control", b"no-store"))
    request = Request(b"GET", Target(b"http", b"h", b"/"), FieldSection())
    decision = storing.decide(request, response.response, T, storing.StoringRules(RULES))
    assert decision == storing.DoNotStore(storing.NotStored.NO_STORE)


FRENCH, GERMAN = FieldSection([(b"x-tongue", b"fr")]), FieldSection([(b"x-tongue", b"de")])


@pytest.mark.parametrize(
    ("nominated", "held", "newer", "asked", "expected"),
    [
        pytest.param(((b"x-tongue", b"fr"),), b"x-tongue", None, GERMAN, ((b"x-tongue", b"fr"),), id="Vary as before"),
        pytest.param(
            ((b"x-tongue", b"fr"),), b"x-tongue", b"X-Tongue", GERMAN, ((b"x-tongue", b"fr"),), id="the same Vary again"
        ),
        pytest.param((), None, b"x-tongue", FRENCH, ((b"x-tongue", b"fr"),), id="a new name takes the request's value"),
        pytest.param(
            ((b"a", None),), b"a", b"b", FieldSection(), ((b"b", None),), id="a name that is gone is forgotten"
        ),
    ],
)
def test_what_a_freshened_response_varies_on(nominated, held, newer, asked, expected):
    lines = [] if held is None else [(b"vary", held)]
    news = [] if newer is None else [(b"vary", newer)]
    assert freshened(stored(*lines, nominated=nominated), *news, request=asked).nominated == expected


@pytest.mark.parametrize(
    ("newer", "options"),
    [
        pytest.param(b"x-tongue", {}, id="a name whose value nobody knows"),
        pytest.param(b"*", {"request": FRENCH}, id="everything"),
    ],
)
def test_a_freshened_response_that_no_request_matches(newer, options):
    response = freshened(stored(), (b"vary", newer), **options)
    for fields in (FRENCH, FieldSection(), FieldSection([(b"*", b"")])):
        assert vary.select(Request(b"GET", Target(b"http", b"h", b"/"), fields), [response]) is None


@pytest.mark.parametrize(
    ("held", "length", "lines", "expected"),
    [
        pytest.param([ETAG, MODIFIED], 9, [ETAG, MODIFIED, (b"content-length", b"9")], True, id="all agrees"),
        pytest.param([ETAG, MODIFIED], 9, [], True, id="nothing contradicts"),
        pytest.param([ETAG], 9, [ETAG, (b"content-length", b"8")], False, id="another length"),
        pytest.param([ETAG], None, [ETAG, (b"content-length", b"8")], True, id="a length not known before"),
        pytest.param([ETAG], 9, [(b"etag", b'"b"')], False, id="another entity tag"),
        pytest.param([ETAG], 9, [ETAG, MODIFIED], False, id="a validator that was not there"),
    ],
)
def test_whether_a_head_agrees_with_the_stored_response(held, length, lines, expected):
    assert is_same_by_head(stored(*held, length=length), Response(200, FieldSection(lines))) is expected
