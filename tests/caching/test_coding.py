import pytest

from edge.caching.coding import (
    IDENTITY,
    AsItIs,
    CompressionRules,
    NotCoded,
    Turned,
    form,
    form_of_passed,
    offering,
    shown_fields,
    without_dated_range,
)
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

RULES = CompressionRules(types=("text/*", "application/json", "*+xml"))
TARGET = Target(b"http", b"a.test", b"/")
HTML = (b"content-type", b"Text/HTML; charset=utf-8")
GZIP = (b"content-encoding", b"gzip")
BROWSER = (b"accept-encoding", b"gzip, deflate, br, zstd")
DATED = (b"if-range", b"Mon, 05 Oct 2026 09:00:00 GMT")


def request(*fields) -> Request:
    return Request(b"GET", TARGET, FieldSection(fields))


def shown(asked, fields, *, status=200, length=5000, rules=RULES, is_first_hand=False):
    return form(request(*asked), Response(status, FieldSection(fields)), length, rules, is_first_hand=is_first_hand)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        pytest.param(b"gzip, deflate, br, zstd", Turned(b"zstd"), id="the first of ours among equals"),
        pytest.param(b"gzip, br", Turned(b"br"), id="the next when the first is not taken"),
        pytest.param(b"br;q=0.5, gzip;q=0.8", Turned(b"gzip"), id="the one of the highest weight"),
        pytest.param(b"*", Turned(b"zstd"), id="any"),
        pytest.param(b"*, zstd;q=0", Turned(b"br"), id="any but one"),
        pytest.param(b"x-gzip", Turned(b"gzip"), id="gzip by its old name"),
        pytest.param(b"identity, br;q=0.9", AsItIs(NotCoded.NOT_WANTED, varies=True), id="rather none"),
        pytest.param(b"br" + b", x" * 200, Turned(b"br"), id="among many that nobody knows"),
        pytest.param(b"deflate", AsItIs(NotCoded.NOT_WANTED, varies=True), id="one that is not made"),
        pytest.param(b"", AsItIs(NotCoded.NOT_WANTED, varies=True), id="none"),
        pytest.param(b"identity;q=0, deflate", AsItIs(NotCoded.NOT_WANTED, varies=True), id="nothing there is"),
    ],
)
def test_a_client_gets_the_coding_it_likes_best(accepted, expected):
    assert shown([(b"accept-encoding", accepted)], [HTML]) == expected


@pytest.mark.parametrize(
    ("asked", "fields", "facts", "expected"),
    [
        pytest.param([], [HTML], {}, AsItIs(NotCoded.NOT_WANTED, varies=True), id="a client that says nothing"),
        pytest.param(
            [BROWSER, (b"connection", b"accept-encoding")], [HTML], {}, AsItIs(NotCoded.NOT_WANTED, varies=True),
            id="what is for the next hop only is not said",
        ),
        pytest.param([BROWSER], [HTML], {"length": None}, Turned(b"zstd"), id="of unknown length"),
        pytest.param([BROWSER], [HTML], {"length": 1400}, Turned(b"zstd"), id="of the least length"),
        pytest.param([BROWSER], [HTML], {"length": 1399}, AsItIs(NotCoded.SMALL), id="of less"),
        pytest.param([BROWSER], [HTML], {"status": 404}, AsItIs(NotCoded.STATUS), id="not the representation"),
        pytest.param([BROWSER], [HTML, GZIP], {"status": 206}, AsItIs(NotCoded.STATUS), id="a part as the origin sent it"),
        pytest.param([BROWSER], [(b"content-type", b"image/png")], {}, AsItIs(NotCoded.MEDIA_TYPE), id="coded by nature"),
        pytest.param([BROWSER], [], {}, AsItIs(NotCoded.MEDIA_TYPE), id="of no type"),
        pytest.param([BROWSER], [(b"content-type", b"image/svg+xml")], {}, Turned(b"zstd"), id="of a type with a suffix"),
        pytest.param([BROWSER], [(b"content-type", b"application/json")], {}, Turned(b"zstd"), id="of a type by name"),
        pytest.param(
            [BROWSER], [(b"content-type", b"text/event-stream")], {}, AsItIs(NotCoded.MEDIA_TYPE), id="events",
        ),
        pytest.param(
            [BROWSER], [HTML, (b"cache-control", b"max-age=9, No-Transform")], {}, AsItIs(NotCoded.NO_TRANSFORM),
            id="no-transform",
        ),
        pytest.param(
            [BROWSER, (b"cache-control", b"no-transform")], [HTML], {}, AsItIs(NotCoded.NO_TRANSFORM, varies=True),
            id="no-transform for this client",
        ),
        pytest.param(
            [BROWSER], [HTML, (b"cache-control", b"private"), (b"cdn-cache-control", b"max-age=9")], {},
            AsItIs(NotCoded.PRIVATE), id="private behind this cache",
        ),
        pytest.param([BROWSER], [HTML, (b"set-cookie", b"a=b")], {}, AsItIs(NotCoded.SET_COOKIE), id="with a cookie"),
        pytest.param(
            [BROWSER, (b"range", b"bytes=0-1")], [HTML], {}, AsItIs(NotCoded.RANGE, varies=True), id="a range",
        ),
        pytest.param([BROWSER, (b"cookie", b"a=b")], [HTML], {}, Turned(b"zstd"), id="stored, to whom has a cookie"),
        pytest.param(
            [BROWSER, (b"cookie", b"a=b")], [HTML], {"is_first_hand": True}, AsItIs(NotCoded.CREDENTIALS, varies=True),
            id="made for whom has a cookie",
        ),
        pytest.param(
            [BROWSER, (b"cookie", b"a=b")], [HTML], {"is_first_hand": True, "rules": CompressionRules(strip_cookies=True)},
            Turned(b"zstd"), id="made for whom had a cookie that the origin did not see",
        ),
        pytest.param(
            [BROWSER, (b"authorization", b"x")], [HTML, (b"cache-control", b"s-maxage=9")], {"is_first_hand": True},
            AsItIs(NotCoded.CREDENTIALS, varies=True), id="made for whom was authorized",
        ),
        pytest.param(
            [BROWSER, (b"authorization", b"x")], [HTML, (b"cache-control", b"public")], {"is_first_hand": True},
            Turned(b"zstd"), id="public, made for whom was authorized",
        ),
        pytest.param(
            [BROWSER], [HTML], {"rules": CompressionRules(codings=())}, AsItIs(NotCoded.SMALL), id="where nothing is made",
        ),
    ],
)  # fmt: skip
def test_what_is_coded(asked, fields, facts, expected):
    assert shown(asked, fields, **facts) == expected


@pytest.mark.parametrize(
    ("asked", "coding", "expected"),
    [
        pytest.param([BROWSER], b"br", AsItIs(NotCoded.CODED_ALREADY, varies=True), id="for whom takes it"),
        pytest.param([], b"br", Turned(IDENTITY, b"br"), id="not for whom says nothing"),
        pytest.param([(b"accept-encoding", b"gzip")], b"br", Turned(b"gzip", b"br"), id="for whom takes another"),
        pytest.param([(b"accept-encoding", b"gzip;q=0, *")], b"X-GZIP", Turned(b"zstd", b"gzip"), id="refused"),
        pytest.param([], b"deflate", AsItIs(NotCoded.CODED_ALREADY), id="nobody here can decode it"),
        pytest.param([], b"br, gzip", AsItIs(NotCoded.CODED_ALREADY), id="coded twice"),
        pytest.param([], b"", AsItIs(NotCoded.CODED_ALREADY), id="an empty field"),
    ],
)
def test_content_that_the_origin_codes(asked, coding, expected):
    fields = [HTML, (b"content-encoding", coding)]
    assert shown(asked, fields, length=9) == expected
    if isinstance(expected, Turned):
        assert expected.is_needed
        # What would not be coded is decoded, too.
        decoded = Turned(IDENTITY, expected.of)
        assert shown(asked, fields, status=404) == decoded
        assert shown(asked, [*fields, (b"cache-control", b"no-transform")]) == decoded
        assert shown([*asked, (b"cookie", b"a=b")], fields, is_first_hand=True) == decoded
        assert form_of_passed(request(*asked), Response(200, FieldSection(fields)), RULES) == decoded
    else:
        assert form_of_passed(request(*asked), Response(200, FieldSection(fields)), RULES) is None


def test_nothing_is_coded_that_is_for_one_client():
    assert not Turned(b"br").is_needed
    assert form_of_passed(request(BROWSER), Response(200, FieldSection([HTML])), RULES) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([GZIP], AsItIs(NotCoded.CODED_ALREADY), id="as clients save it"),
        pytest.param([GZIP, (b"vary", b"accept-encoding")], Turned(IDENTITY, b"gzip"), id="coded because we take it"),
    ],
)
def test_an_archive(fields, expected):
    assert shown([], [(b"content-type", b"application/x-tar"), *fields]) == expected


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        pytest.param([(b"etag", b'"v1"')], [(b"etag", b'W/"v1"')], id="strong"),
        pytest.param([(b"etag", b'W/"v1"')], [(b"etag", b'W/"v1"')], id="weak"),
        pytest.param([(b"etag", b"v1")], [], id="malformed"),
        pytest.param([], [], id="none"),
    ],
)
def test_fields_of_a_coded_form(etag, expected):
    of_octets = [
        (b"accept-ranges", b"bytes"),
        (b"content-md5", b"x"),
        (b"repr-digest", b"x"),
        (b"content-length", b"9"),
    ]
    fields = FieldSection([HTML, *of_octets, *etag, (b"last-modified", b"x")])
    kept = [HTML, (b"last-modified", b"x"), (b"vary", b"Accept-Encoding")]
    assert shown_fields(fields, Turned(b"br")).lines == (*kept, (b"content-encoding", b"br"), *expected)
    assert shown_fields(fields.with_lines(GZIP), Turned(IDENTITY, b"gzip")).lines == (*kept, *expected)


@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        pytest.param([], [b"Accept-Encoding"], id="nothing"),
        pytest.param([b"foo"], [b"foo", b"Accept-Encoding"], id="something else"),
        pytest.param([b"foo, accept-encoding"], [b"foo, accept-encoding"], id="the codings already"),
        pytest.param([b"*"], [b"*"], id="everything"),
    ],
)
def test_a_response_that_others_get_in_another_form_says_so(vary, expected):
    fields = FieldSection([(b"vary", value) for value in vary])
    assert list(shown_fields(fields, AsItIs(NotCoded.NOT_WANTED, varies=True)).values(b"vary")) == expected
    assert shown_fields(fields, AsItIs(NotCoded.SMALL)) is fields


@pytest.mark.parametrize(
    ("fields", "stands"),
    [
        pytest.param([BROWSER, (b"range", b"bytes=5-"), DATED], False, id="a date and codings"),
        pytest.param([(b"range", b"bytes=5-"), DATED], True, id="a date and no codings"),
        pytest.param([BROWSER, (b"range", b"bytes=5-"), (b"if-range", b'"v1"')], True, id="a tag"),
        pytest.param(
            [BROWSER, (b"range", b"bytes=5-"), (b"if-range", b'W/"v1"')], True, id="a weak tag, which fails later"
        ),
        pytest.param([BROWSER, (b"range", b"bytes=5-")], True, id="no condition"),
    ],
)
def test_a_range_goes_on_only_with_what_is_in_the_same_coding(fields, stands):
    asked = request(*fields)
    left = without_dated_range(asked, RULES)
    assert (left is asked) is stands
    assert (b"range" in left.fields) is stands


def test_the_origin_is_offered_all_codings():
    offered = offering(FieldSection([(b"accept-encoding", b"gzip;q=0.1"), (b"foo", b"1"), (b"accept-encoding", b"x")]))
    assert offered.values(b"accept-encoding") == [b"br, gzip, zstd"]
    assert offered.get(b"foo") == b"1"
