"""Whether a response may be stored."""

import pytest

from edge.caching.directives import parse_directives
from edge.caching.freshness import FreshnessRules
from edge.caching.storing import DoNotStore, NotStored, Store, StoringRules, decide, storable_fields
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

T = 1_700_000_000
TARGET = Target(b"http", b"example.org", b"/a")
SAFE = StoringRules(FreshnessRules())
STRICT = StoringRules(
    FreshnessRules(heuristic=True),
    store_set_cookie=True,
    cookie_needs_explicit=False,
    store_server_errors=True,
    store_post=True,
)
FRESH = (b"cache-control", b"max-age=60")
ETAG = (b"etag", b'"a"')


def control(value):
    return (b"cache-control", value)


def targeted(value):
    return (b"cdn-cache-control", value)


def asking(*lines, method=b"GET"):
    return Request(method, TARGET, FieldSection(lines))


def reason(request, status, lines, rules=SAFE):
    decision = decide(request, Response(status, FieldSection(lines)), T, rules)
    return decision.reason if isinstance(decision, DoNotStore) else None


@pytest.mark.parametrize(
    ("status", "lines", "expected"),
    [
        pytest.param(200, [FRESH], None, id="a stated lifetime"),
        pytest.param(200, [ETAG], None, id="a validator"),
        pytest.param(200, [(b"last-modified", b"x")], None, id="a validator whose value only the origin reads"),
        pytest.param(200, [], NotStored.NO_LIFETIME, id="neither"),
        pytest.param(200, [control(b"max-age=0")], NotStored.NO_LIFETIME, id="a lifetime of 0 without a validator"),
        pytest.param(200, [control(b"max-age=0, stale-if-error=9")], None, id="but with a use when the origin fails"),
        pytest.param(200, [control(b"max-age=0, stale-while-revalidate=9")], None, id="or while it is validated"),
        pytest.param(
            200, [control(b"max-age=60, no-cache")], NotStored.NO_LIFETIME, id="no-cache and nothing to validate it by"
        ),
        pytest.param(200, [control(b"max-age=60, no-cache"), ETAG], None, id="no-cache and a validator"),
        pytest.param(
            200, [control(b'no-cache="etag"'), ETAG], NotStored.NO_LIFETIME, id="a validator that is not stored is none"
        ),
        pytest.param(200, [FRESH, (b"cache-tag", b"t," * 9000)], NotStored.TAGS_TOO_LONG, id="tags beyond the limit"),
        pytest.param(200, [control(b"max-age=60, no-store")], NotStored.NO_STORE, id="no-store"),
        pytest.param(200, [control(b"max-age=60, private")], NotStored.PRIVATE, id="private"),
        pytest.param(200, [control(b'max-age=60, private="x"')], None, id="private for one field"),
        pytest.param(
            200, [control(b'max-age=60, private="x"'), control(b"private")], NotStored.PRIVATE, id="private after it"
        ),
        pytest.param(200, [control(b'max-age=60, private="vary"')], NotStored.PRIVATE, id="private for what law reads"),
        pytest.param(
            200, [control(b"max-age=60, must-understand, no-store")], None, id="must-understand undoes no-store"
        ),
        pytest.param(
            299, [control(b"max-age=60, must-understand")], NotStored.STATUS, id="unless it is not understood"
        ),
        pytest.param(
            599,
            [control(b"max-age=60, must-understand, no-store")],
            NotStored.STATUS,
            id="then no-store beside it or not",
        ),
        pytest.param(
            200, [control(b"no-store"), targeted(b"max-age=9")], None, id="a targeted lifetime beats no-store"
        ),
        pytest.param(
            200,
            [control(b"no-store"), targeted(b"max-age=9, &&&")],
            NotStored.NO_STORE,
            id="a targeted field that does not parse beats nothing",
        ),
        pytest.param(
            200,
            [control(b"no-store"), targeted(b'max-age="9"')],
            NotStored.NO_STORE,
            id="nor does one whose lifetime is a String",
        ),
        pytest.param(200, [FRESH, targeted(b"no-store")], NotStored.NO_STORE, id="a targeted no-store"),
        pytest.param(200, [FRESH, targeted(b"private")], NotStored.PRIVATE, id="a targeted private"),
        pytest.param(200, [FRESH, targeted(b"no-cache")], NotStored.NO_LIFETIME, id="a targeted no-cache"),
        pytest.param(200, [FRESH, targeted(b"max-age=0")], NotStored.NO_LIFETIME, id="a targeted lifetime of 0"),
        pytest.param(299, [FRESH], None, id="an unknown status with a stated lifetime"),
        pytest.param(302, [ETAG], NotStored.STATUS, id="a status without a lifetime of its own"),
        pytest.param(302, [control(b"public"), ETAG], None, id="the same, made public"),
        pytest.param(302, [FRESH], None, id="the same, with a stated lifetime"),
        pytest.param(404, [ETAG], None, id="a status that may be given a lifetime"),
        pytest.param(206, [FRESH], None, id="a partial response"),
        pytest.param(304, [FRESH], NotStored.STATUS, id="a 304 is no response to store"),
        pytest.param(103, [FRESH], NotStored.STATUS, id="nor is an interim one"),
        pytest.param(200, [FRESH, (b"vary", b"a, *")], NotStored.VARY_STAR, id="Vary: *"),
        pytest.param(200, [FRESH, (b"vary", b"a b")], NotStored.VARY_STAR, id="a malformed Vary"),
        pytest.param(
            200, [FRESH, (b"vary", b",".join(b"x%d" % i for i in range(33)))], NotStored.VARY_TOO_LONG, id="a long Vary"
        ),
        pytest.param(200, [FRESH, (b"set-cookie", b"a=1")], NotStored.SET_COOKIE, id="Set-Cookie"),
        pytest.param(
            200,
            [control(b'max-age=60, private="set-cookie"'), (b"set-cookie", b"a=1")],
            None,
            id="Set-Cookie that the origin itself keeps out",
        ),
        pytest.param(503, [FRESH], NotStored.SERVER_ERROR, id="a server error with a stated lifetime"),
        pytest.param(501, [FRESH], None, id="501 is about the resource, not about its state"),
    ],
)
def test_the_response(status, lines, expected):
    assert reason(asking(), status, lines) == expected


@pytest.mark.parametrize(
    ("request_lines", "lines", "expected"),
    [
        pytest.param([control(b"no-store")], [FRESH], NotStored.REQUEST_NO_STORE, id="no-store"),
        pytest.param([control(b"no-cache")], [FRESH], None, id="no-cache says nothing about storing"),
        pytest.param([(b"authorization", b"x")], [FRESH], NotStored.AUTHORIZATION, id="Authorization"),
        pytest.param([(b"authorization", b"x")], [control(b"public"), ETAG], None, id="Authorization and public"),
        pytest.param([(b"authorization", b"x")], [control(b"s-maxage=9")], None, id="Authorization and s-maxage"),
        pytest.param(
            [(b"authorization", b"x")], [control(b"max-age=9, must-revalidate")], None, id="and must-revalidate"
        ),
        pytest.param(
            [(b"authorization", b"x")],
            [control(b"public"), targeted(b"max-age=9")],
            NotStored.AUTHORIZATION,
            id="public beside a targeted field says nothing",
        ),
        pytest.param([(b"cookie", b"a=1")], [ETAG], NotStored.COOKIE, id="Cookie and no stated lifetime"),
        pytest.param([(b"cookie", b"a=1")], [FRESH], None, id="Cookie and a stated lifetime"),
    ],
)
def test_the_request(request_lines, lines, expected):
    assert reason(asking(*request_lines), 200, lines) == expected


def test_a_default_lifetime_is_not_for_requests_with_cookies():
    rules = StoringRules(FreshnessRules(default=60))
    assert reason(asking((b"cookie", b"a=1")), 200, [], rules) == NotStored.COOKIE
    assert reason(asking(), 200, [], rules) is None


@pytest.mark.parametrize(
    ("request_lines", "status", "lines"),
    [
        pytest.param([], 200, [FRESH, (b"set-cookie", b"a=1")], id="Set-Cookie"),
        pytest.param([(b"cookie", b"a=1")], 200, [ETAG], id="Cookie and no stated lifetime"),
        pytest.param([], 503, [FRESH], id="a server error with a stated lifetime"),
    ],
)
def test_what_only_the_rfc_allows(request_lines, status, lines):
    assert reason(asking(*request_lines), status, lines, STRICT) is None


@pytest.mark.parametrize(
    ("method", "lines", "rules", "expected"),
    [
        pytest.param(
            b"POST", [FRESH, (b"content-location", b"/a")], STRICT, None, id="a POST that answers a later GET"
        ),
        pytest.param(b"POST", [FRESH, (b"content-location", b"/a")], SAFE, NotStored.METHOD, id="not unasked"),
        pytest.param(
            b"POST", [FRESH, (b"content-location", b"/b")], STRICT, NotStored.METHOD, id="of another resource"
        ),
        pytest.param(b"POST", [FRESH, (b"content-location", b"x:")], STRICT, NotStored.METHOD, id="of no resource"),
        pytest.param(b"POST", [FRESH], STRICT, NotStored.METHOD, id="without Content-Location"),
        pytest.param(
            b"POST", [ETAG, (b"content-location", b"/a")], STRICT, NotStored.METHOD, id="without a stated lifetime"
        ),
        pytest.param(b"PUT", [FRESH, (b"content-location", b"/a")], STRICT, NotStored.METHOD, id="any other method"),
        pytest.param(b"HEAD", [FRESH], SAFE, NotStored.METHOD, id="a HEAD has no content to store"),
    ],
)
def test_the_method(method, lines, rules, expected):
    assert reason(asking(method=method), 200, lines, rules) == expected


def test_a_stored_response_comes_with_its_fields_and_its_freshness():
    lines = [FRESH, ETAG, (b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
    decision = decide(asking(), Response(200, FieldSection(lines)), T, SAFE)
    assert isinstance(decision, Store)
    assert decision.fields == FieldSection([FRESH, ETAG])
    assert decision.freshness.lifetime == 60


def test_where_cookies_are_stripped_they_are_no_reason():
    rules = StoringRules(FreshnessRules(), strip_cookies=True)
    decision = decide(
        asking((b"cookie", b"a=1")), Response(200, FieldSection([ETAG, (b"set-cookie", b"a=2")])), T, rules
    )
    assert isinstance(decision, Store)
    assert decision.fields == FieldSection([ETAG])


@pytest.mark.parametrize(
    ("value", "is_partial", "kept"),
    [
        pytest.param(b"x", False, {b"set-cookie", b"x-user", b"content-range"}, id="all but framing"),
        pytest.param(b'private="x-user"', False, {b"set-cookie", b"content-range"}, id="without what is private"),
        pytest.param(b'no-cache="Set-Cookie"', False, {b"x-user", b"content-range"}, id="without what is no-cache"),
        pytest.param(b"private, no-cache", False, {b"set-cookie", b"x-user", b"content-range"}, id="unqualified"),
        pytest.param(b"x", True, {b"set-cookie", b"x-user"}, id="without the range of a part"),
    ],
)
def test_storable_fields(value, is_partial, kept):
    names = (b"set-cookie", b"x-user", b"content-range", b"content-length", b"transfer-encoding")
    fields = storable_fields(
        FieldSection((name, b"1") for name in names), parse_directives([value]), is_partial=is_partial
    )
    assert {name for name, _ in fields} == kept
