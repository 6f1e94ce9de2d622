import pytest

from origin.answer import Literal, Representation, text
from origin.conditional import Validators
from origin.knobs import NO_KNOBS, BadKnob, Knobs, parse, turned

PAGE = Representation(Literal(b"x"), "text/html", Validators('"e"', 1), (("Cache-Control", "c"), ("Vary", "a")))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({"q": "1"}, NO_KNOBS, id="no knobs"),
        pytest.param({"_": "1", "_ga": "2"}, NO_KNOBS, id="other names with an underscore are left alone"),
        pytest.param({"_delay": "300ms"}, Knobs(delay=0.3), id="delay"),
        pytest.param({"_status": "503"}, Knobs(status=503), id="status"),
        pytest.param({"_bandwidth": "1KiB"}, Knobs(bandwidth=1024), id="bandwidth"),
        pytest.param({"_etag": "off"}, Knobs(etag="off"), id="no entity tag"),
        pytest.param({"_etag": "v2"}, Knobs(etag='"v2"'), id="an entity tag without quotes gets them"),
        pytest.param({"_etag": 'W/"v2"'}, Knobs(etag='W/"v2"'), id="an entity tag as it is written"),
        pytest.param({"_last_modified": "off"}, Knobs(last_modified=False), id="no Last-Modified"),
        pytest.param({"_cache_control": ""}, Knobs(cache_control=""), id="an empty Cache-Control"),
        pytest.param({"_truncate": "0"}, Knobs(truncate=0), id="truncate before the first octet"),
        pytest.param({"_chunked": "1", "_early_hints": "1"}, Knobs(chunked=True, early_hints=True), id="switches"),
    ],
)
def test_parse(query: dict[str, str], expected: Knobs) -> None:
    assert parse(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"_delay": "soon"}, id="not a duration"),
        pytest.param({"_status": "103"}, id="an interim status is not final"),
        pytest.param({"_status": "abc"}, id="not a status"),
        pytest.param({"_bandwidth": "0"}, id="nothing a second never ends"),
        pytest.param({"_etag": 'a"b'}, id="a quote inside an entity tag"),
        pytest.param({"_etag": "a b"}, id="a space inside an entity tag"),
        pytest.param({"_set_cookie": "a=1\r\nX: y"}, id="a line break would be another field"),
        pytest.param({"_vary": "a\0"}, id="a control character"),
    ],
)
def test_bad_knob(query: dict[str, str]) -> None:
    with pytest.raises(BadKnob):
        parse(query)


@pytest.mark.parametrize(
    ("knobs", "etag"),
    [
        pytest.param(NO_KNOBS, '"e"', id="as it is"),
        pytest.param(Knobs(etag="off"), None, id="off"),
        pytest.param(Knobs(etag="weak"), 'W/"e"', id="weak"),
        pytest.param(Knobs(etag='"f"'), '"f"', id="another one"),
    ],
)
def test_entity_tag(knobs: Knobs, etag: str | None) -> None:
    assert turned(PAGE, knobs).validators == Validators(etag, 1)


def test_weak_without_an_entity_tag_is_none() -> None:
    assert turned(text(404), Knobs(etag="weak")).validators == Validators()


def test_fields() -> None:
    made = turned(PAGE, Knobs(cache_control="no-cache", vary="b", set_cookie="k=v", last_modified=False))
    assert made.fields == (("Vary", "a"), ("Cache-Control", "no-cache"), ("Vary", "b"), ("Set-Cookie", "k=v"))
    assert made.validators.last_modified is None


def test_empty_cache_control_leaves_it_out() -> None:
    assert turned(PAGE, Knobs(cache_control="")).fields == (("Vary", "a"),)


def test_status_replaces_the_representation_and_takes_the_other_knobs() -> None:
    made = turned(PAGE, Knobs(status=503, cache_control="max-age=1"))
    assert (made.status, made.fields) == (503, (("Cache-Control", "max-age=1"),))
    assert turned(PAGE, Knobs(status=200)) == PAGE
