import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.semantics.fields import FieldSection
from edge.semantics.negotiation import (
    MAX_MEMBERS,
    best_coding,
    coding_quality,
    language_quality,
    normalised_encodings,
    weighted,
)


def encodings(*values: bytes) -> FieldSection:
    return FieldSection((b"accept-encoding", value) for value in values)


def languages(*values: bytes) -> FieldSection:
    return FieldSection((b"accept-language", value) for value in values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], [], id="no lines"),
        pytest.param([b""], [], id="an empty line"),
        pytest.param([b"gzip"], [(b"gzip", 1000)], id="no weight is 1"),
        pytest.param([b"GZip;Q=0.5"], [(b"gzip", 500)], id="names in any case"),
        pytest.param(
            [b"a;q=0, b;q=0., c;q=0.001, d;q=0.9"], [(b"a", 0), (b"b", 0), (b"c", 1), (b"d", 900)], id="from 0"
        ),
        pytest.param([b"a;q=1, b;q=1., c;q=1.000"], [(b"a", 1000), (b"b", 1000), (b"c", 1000)], id="to 1"),
        pytest.param([b"a \t; \tq=0.25 , b"], [(b"a", 250), (b"b", 1000)], id="white space"),
        pytest.param([b"a", b"b;q=0.1"], [(b"a", 1000), (b"b", 100)], id="two lines"),
        pytest.param([b"text/html;level=1;q=0.4"], [(b"text/html", 400)], id="other parameters before the weight"),
        pytest.param([b"a;q=0.4;q=1;x=2"], [(b"a", 400)], id="the first weight counts"),
        pytest.param(
            [b'a;x="b;q=0, c";q=0.3, d'], [(b"a", 300), (b"d", 1000)], id="a weight in a quoted string is none"
        ),
        pytest.param([b"a;;q=0.5;"], [(b"a", 500)], id="empty parameters"),
        pytest.param([b"*;q=0.1"], [(b"*", 100)], id="the asterisk"),
        pytest.param([b"gzip;q=1.0001, br"], [(b"br", 1000)], id="a weight over 1 spoils its member only"),
        pytest.param([b"a;q=-1, b;q=0.1234, c;q=.5, d;q=1e0, e;q=, f;q=zz, g"], [(b"g", 1000)], id="malformed weights"),
        pytest.param([b"a;q = 0.5, b c, ;q=1, \x01;;;q=zz, d"], [(b"d", 1000)], id="malformed members"),
        pytest.param(["a;q=0.๕".encode()], [], id="digits beyond ASCII"),
    ],
)
def test_weighted(values, expected):
    assert weighted(values) == expected


def test_only_so_many_members_are_read():
    assert len(weighted([b"a, b", b"c," * 5000])) == MAX_MEMBERS
    assert weighted([b"?," * MAX_MEMBERS + b"a"]) == []


def test_white_space_costs_no_more_than_its_length():
    assert weighted([b"a" + b" ;" * 20_000 + b" ?"]) == []


@pytest.mark.parametrize(
    ("fields", "coding", "expected"),
    [
        pytest.param(encodings(), b"gzip", 1000, id="an absent field admits any coding"),
        pytest.param(encodings(), b"identity", 1000, id="an absent field admits no coding"),
        pytest.param(encodings(b""), b"gzip", 0, id="an empty field admits no coding"),
        pytest.param(encodings(b""), b"identity", 1, id="an empty field admits identity"),
        pytest.param(encodings(b"gzip;q=0.5"), b"gzip", 500, id="by name"),
        pytest.param(encodings(b"x-gzip;q=0.5"), b"gzip", 500, id="x-gzip in the field is gzip"),
        pytest.param(encodings(b"gzip;q=0.5"), b"x-gzip", 500, id="x-gzip as the coding is gzip"),
        pytest.param(encodings(b"gzip"), b"br", 0, id="not named"),
        pytest.param(encodings(b"gzip, *;q=0.2"), b"br", 200, id="by the asterisk"),
        pytest.param(encodings(b"gzip;q=0, *"), b"gzip", 0, id="a name beats the asterisk"),
        pytest.param(encodings(b"gzip"), b"identity", 1, id="identity is the last resort"),
        pytest.param(encodings(b"identity;q=0"), b"identity", 0, id="identity refused by name"),
        pytest.param(encodings(b"gzip, *;q=0"), b"identity", 0, id="identity refused by the asterisk"),
        pytest.param(encodings(b"*;q=0, identity;q=0.5"), b"identity", 500, id="identity named beside the asterisk"),
    ],
)
def test_coding_quality(fields, coding, expected):
    assert coding_quality(fields, coding) == expected


@pytest.mark.parametrize(
    ("fields", "offered", "expected"),
    [
        pytest.param(encodings(), [b"br", b"gzip"], b"identity", id="an absent field asks for no coding"),
        pytest.param(encodings(b""), [b"br", b"gzip"], b"identity", id="an empty field asks for no coding"),
        pytest.param(encodings(b"gzip, br"), [b"br", b"gzip"], b"br", id="the server's order breaks ties"),
        pytest.param(encodings(b"gzip, br;q=0.9"), [b"br", b"gzip"], b"gzip", id="the highest weight wins"),
        pytest.param(encodings(b"zstd"), [b"br", b"gzip"], b"identity", id="identity when nothing offered is wanted"),
        pytest.param(encodings(b"gzip;q=0.001"), [b"gzip"], b"gzip", id="hardly wanted beats the last resort"),
        pytest.param(encodings(b"identity, gzip;q=0.5"), [b"gzip"], b"identity", id="identity preferred by the client"),
        pytest.param(encodings(b"gzip, identity"), [b"identity", b"gzip"], b"identity", id="identity offered first"),
        pytest.param(encodings(b"*"), [b"br", b"gzip"], b"br", id="the asterisk takes the first"),
        pytest.param(encodings(b"*;q=0"), [b"br", b"gzip"], None, id="nothing is acceptable"),
        pytest.param(encodings(b"identity;q=0, zstd"), [b"br"], None, id="nothing acceptable is offered"),
        pytest.param(encodings(b"\x01;;;q=zz"), [b"br"], b"identity", id="garbage is an empty field"),
    ],
)
def test_best_coding(fields, offered, expected):
    assert best_coding(fields, offered) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(encodings(), b"", id="absent"),
        pytest.param(encodings(b"gzip, deflate, br, zstd"), b"br, gzip, zstd", id="a browser"),
        pytest.param(encodings(b"zstd", b"gzip;q=0.1"), b"gzip, zstd", id="sorted, without weights"),
        pytest.param(encodings(b"x-gzip, br;q=0"), b"gzip", id="the refused left out"),
        pytest.param(encodings(b"*, br;q=0"), b"gzip, zstd", id="the asterisk"),
        pytest.param(encodings(b"identity, deflate"), b"", id="none of them"),
    ],
)
def test_normalised_encodings(fields, expected):
    assert normalised_encodings(fields) == expected


@pytest.mark.parametrize(
    ("fields", "tag", "expected"),
    [
        pytest.param(languages(), b"de", 1000, id="an absent field admits any language"),
        pytest.param(languages(b"??"), b"de", 1000, id="a field without a range as well"),
        pytest.param(languages(b"de;q=0.7"), b"de", 700, id="the same"),
        pytest.param(languages(b"de;q=0.7"), b"de-CH", 700, id="a prefix"),
        pytest.param(languages(b"DE-ch;q=0.7"), b"de-CH-1996", 700, id="in any case"),
        pytest.param(languages(b"de-CH"), b"de", 0, id="a longer range does not match"),
        pytest.param(languages(b"de"), b"deu", 0, id="a prefix ends at a hyphen"),
        pytest.param(languages(b"de-CH;q=0.2, de;q=0.9"), b"de-CH", 200, id="the longest match counts"),
        pytest.param(languages(b"*;q=0.3, de"), b"fr", 300, id="the asterisk matches the rest"),
        pytest.param(languages(b"*, de;q=0"), b"de-CH", 0, id="a range beats the asterisk"),
    ],
)
def test_language_quality(fields, tag, expected):
    assert language_quality(fields, tag) == expected


@given(st.lists(st.binary() | st.from_regex(rb'[a-cq*;=0-1. ,"\\-]*', fullmatch=True), max_size=3))
def test_nothing_raises(values):
    assert all(name == name.lower() and 0 <= quality <= 1000 for name, quality in weighted(values))
    fields = encodings(*values)
    assert 0 <= coding_quality(fields, b"gzip") <= 1000
    best = best_coding(fields, [b"br", b"gzip"])
    assert best is None or coding_quality(fields, best) > 0
    assert weighted([normalised_encodings(fields)]) == [
        (coding, 1000) for coding in (b"br", b"gzip", b"zstd") if values and coding_quality(fields, coding)
    ]
    assert 0 <= language_quality(languages(*values), b"a-b") <= 1000


def test_a_long_accept_encoding_is_normalised_as_a_short_one_is():
    fields = FieldSection([(b"accept-encoding", b"gzip, br;q=0" + b", x" * 200)])
    assert normalised_encodings(fields) == b"gzip"
