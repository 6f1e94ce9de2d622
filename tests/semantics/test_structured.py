from datetime import datetime
from decimal import Decimal

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import InternalError, ParseError
from edge.semantics.structured import (
    Date,
    DisplayString,
    InnerList,
    Item,
    Token,
    parse_dictionary,
    parse_item,
    parse_list,
    serialize_dictionary,
    serialize_item,
    serialize_list,
)

PARSERS = {"item": parse_item, "list": parse_list, "dictionary": parse_dictionary}


def plain(value: object) -> object:
    """Return a value of either library with its types made visible and comparable."""
    match value:
        case Item():
            return plain((value.value, value.parameters))
        case InnerList():
            return plain((list(value.items), value.parameters))
        case tuple() | list():
            return [plain(part) for part in value]
        case dict():
            return [(key if isinstance(key, bytes) else key.encode(), plain(part)) for key, part in value.items()]
        case Token():
            return "token", bytes(value)
        case http_sf.Token():
            return "token", str(value).encode()
        case Date():
            return "date", int(value)
        case datetime():
            return "date", int(value.timestamp())
        case DisplayString() | http_sf.DisplayString():
            return "display", str(value)
        case _:
            return type(value), value


def ours(kind: str, value: bytes) -> object:
    try:
        return plain(PARSERS[kind](value))
    except ParseError:
        return None


def oracle(kind: str, value: bytes) -> object:
    try:
        return plain(http_sf.parse(value, tltype=kind))
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"42", Item(42), id="an integer"),
        pytest.param(b"-0", Item(0), id="minus zero"),
        pytest.param(b"-999999999999999", Item(-999999999999999), id="15 digits"),
        pytest.param(b"0042", Item(42), id="leading zeros"),
        pytest.param(b"123456789012.123", Item(Decimal("123456789012.123")), id="the longest decimal"),
        pytest.param(b"-1.50", Item(Decimal("-1.5")), id="a negative decimal"),
        pytest.param(b'"a \\"b\\" \\\\"', Item('a "b" \\'), id="a string with escapes"),
        pytest.param(b'""', Item(""), id="an empty string"),
        pytest.param(b"*a/b:c!", Item(Token(b"*a/b:c!")), id="a token"),
        pytest.param(b":aGVsbG8=:", Item(b"hello"), id="a byte sequence"),
        pytest.param(b":aGVsbG8:", Item(b"hello"), id="a byte sequence without its padding"),
        pytest.param(b":aGVsbG9=:", Item(b"hello"), id="padding bits that are not zero"),
        pytest.param(b"::", Item(b""), id="an empty byte sequence"),
        pytest.param(b"?1", Item(value=True), id="true"),
        pytest.param(b"?0", Item(value=False), id="false"),
        pytest.param(b"@1659578233", Item(Date(1659578233)), id="a date"),
        pytest.param(b"@-62135596800", Item(Date(-62135596800)), id="the first date"),
        pytest.param(b"@253402300799", Item(Date(253402300799)), id="the last date"),
        pytest.param(b'%"f%c3%bc%25%22"', Item(DisplayString('fü%"')), id="a display string"),
        pytest.param(b"  1  ", Item(1), id="spaces around"),
        pytest.param(b'a;b;c=1; d="x"', Item(Token(b"a"), {b"b": True, b"c": 1, b"d": "x"}), id="parameters"),
        pytest.param(b"a;b=1;c;b=2", Item(Token(b"a"), {b"b": 2, b"c": True}), id="the last of one parameter counts"),
    ],
)
def test_items(value, expected):
    assert plain(parse_item(value)) == plain(expected)
    assert oracle("item", value) == plain(expected)


@pytest.mark.parametrize(
    "value",
    [
        b"", b" ", b"\t1", b"1\t", b"1 2", b"1\n", b"-", b"--1", b"- 1", b"+1", b"1_0", "٤".encode(), b"1000000000000000",
        b"1.", b"1.2345", b".5", b"1234567890123.1", b"1.1.1", b'"a', b'"a\\b"', b'"\\"', b'"\x7f"', b'"\xc3\xbc"', b"'a'",
        b"-a", b"9a", b"a,", b":a", b":a:", b":YQ===:", b":=:", b":Y=Q=:", b":Y Q:", b":_-:", b"?", b"?2", b"?true",
        b"@", b"@1.5", b"@a", b"@253402300800", b"@-62135596801", b"@9999999999999999", b'%"', b"%a", b'%"%C3%BC"',
        b'%"%c3"', b'%"%4"', b'%"%zz"', b'%"\xc3\xbc"', b"a;", b"a;B=1", b"a;b=", b"a ;b", b"a;b= 1", b"a;b=(1)", b"(1)",
        b"=1", b"a;=1",
    ],
)  # fmt: skip
def test_refused_items(value):
    with pytest.raises(ParseError):
        parse_item(value)
    assert oracle("item", value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"", [], id="an empty list"),
        pytest.param(b"  ", [], id="a list of spaces"),
        pytest.param(b"1,2\t, \t3 ", [Item(1), Item(2), Item(3)], id="any white space"),
        pytest.param(b"1, 2 \t", [Item(1), Item(2)], id="white space at the end"),
        pytest.param(b"()", [InnerList(())], id="an empty inner list"),
        pytest.param(
            b"( 1  a;b )  ;c, ()", None, id="space between an inner list and its parameters"
        ),
        pytest.param(
            b"( 1  a;b );c=2, ();d",
            [InnerList((Item(1), Item(Token(b"a"), {b"b": True})), {b"c": 2}), InnerList((), {b"d": True})],
            id="inner lists",
        ),
    ],
)  # fmt: skip
def test_lists(value, expected):
    assert ours("list", value) == oracle("list", value) == (None if expected is None else plain(expected))


@pytest.mark.parametrize(
    "value",
    [
        b",", b"1,", b"1, ", b"1,,2", b"1 2", b"\t1", b"(", b"(1", b"(1 ", b"(1,2)", b"(1\t2)", b"(1a)", b"((1))", b"(1)a", b")",
        b'("a""b")', b"(1;a=)", b"(?2)",
    ],
)  # fmt: skip
def test_refused_lists(value):
    with pytest.raises(ParseError):
        parse_list(value)
    assert oracle("list", value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"", {}, id="an empty dictionary"),
        pytest.param(b"u=3, i", {b"u": Item(3), b"i": Item(value=True)}, id="a value and a flag"),
        pytest.param(
            b"a;x=1 , b=?0;y", {b"a": Item(True, {b"x": 1}), b"b": Item(False, {b"y": True})}, id="parameters"
        ),
        pytest.param(b"a=(1 2);x", {b"a": InnerList((Item(1), Item(2)), {b"x": True})}, id="an inner list"),
        pytest.param(
            b"a=1, b=2, a=3", {b"a": Item(3), b"b": Item(2)}, id="the last of one key counts, at its first place"
        ),
        pytest.param(b"*_-.9=1", {b"*_-.9": Item(1)}, id="every kind of character in a key"),
    ],
)
def test_dictionaries(value, expected):
    assert plain(parse_dictionary(value)) == plain(expected)
    assert oracle("dictionary", value) == plain(expected)


@pytest.mark.parametrize(
    "value",
    [
        b",",
        b"a,",
        b"a=",
        b"a= 1",
        b"a =1",
        b"A=1",
        b"1=a",
        b"-a=1",
        b"a=1 b=2",
        b"a,,b",
        b"a=(1",
        b"a\n",
        b"\ta",
        b'"a"=1',
    ],
)
def test_refused_dictionaries(value):
    with pytest.raises(ParseError):
        parse_dictionary(value)
    assert oracle("dictionary", value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0, b"0", id="zero"),
        pytest.param(-5, b"-5", id="a negative integer"),
        pytest.param(Decimal(1), b"1.0", id="a whole decimal"),
        pytest.param(Decimal("-1.2500"), b"-1.25", id="a decimal without its trailing zeros"),
        pytest.param(Decimal("1.0025"), b"1.002", id="half rounds to even, down"),
        pytest.param(Decimal("1.0035"), b"1.004", id="half rounds to even, up"),
        pytest.param(Decimal("-0.0001"), b"0.0", id="what rounds to zero has no sign"),
        pytest.param(Decimal("1E+2"), b"100.0", id="an exponent"),
        pytest.param(Decimal("999999999999.999"), b"999999999999.999", id="the largest decimal"),
        pytest.param('a "b" \\', b'"a \\"b\\" \\\\"', id="a string with escapes"),
        pytest.param(Token(b"a/b"), b"a/b", id="a token"),
        pytest.param(b"hello", b":aGVsbG8=:", id="a byte sequence"),
        pytest.param(b"", b"::", id="an empty byte sequence"),
        pytest.param(True, b"?1", id="true"),
        pytest.param(False, b"?0", id="false"),
        pytest.param(Date(-1), b"@-1", id="a date"),
        pytest.param(DisplayString('fü%"\n'), b'%"f%c3%bc%25%22%0a"', id="a display string"),
    ],
)
def test_serialized(value, expected):
    assert serialize_item(Item(value)) == expected


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Item(10**15), id="an integer of 16 digits"),
        pytest.param(Item(-(10**15)), id="a negative integer of 16 digits"),
        pytest.param(Item(Decimal("NaN")), id="not a number"),
        pytest.param(Item(Decimal("Infinity")), id="infinity"),
        pytest.param(Item(Decimal(10**12)), id="a decimal of 13 digits"),
        pytest.param(Item(Decimal("999999999999.9999")), id="a decimal that rounds to 13 digits"),
        pytest.param(Item("a\n"), id="a control in a string"),
        pytest.param(Item("ü"), id="a string beyond ASCII"),
        pytest.param(Item(Token(b"")), id="an empty token"),
        pytest.param(Item(Token(b"a b")), id="a token with a space"),
        pytest.param(Item(Date(253402300800)), id="a date beyond the last"),
        pytest.param(Item(DisplayString("\ud800")), id="a lone surrogate"),
        pytest.param(Item(1, {b"A": 1}), id="a key in upper case"),
        pytest.param(Item(1, {b"a\n": 1}), id="a key with a line feed"),
        pytest.param(Item(1, {b"a": "ü"}), id="a parameter"),
    ],
)
def test_what_cannot_be_serialized_is_a_bug(item):
    with pytest.raises(InternalError):
        serialize_item(item)


def test_nothing_is_serialized_as_an_empty_value():
    assert serialize_list([]) == b""
    assert serialize_dictionary({}) == b""


DIGITS = st.integers(-999_999_999_999_999, 999_999_999_999_999)
BARE = st.one_of(
    DIGITS,
    DIGITS.map(lambda thousandths: Decimal(thousandths).scaleb(-3)),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
    st.from_regex(rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*", fullmatch=True).map(Token),
    st.binary(),
    st.booleans(),
    st.integers(-62_135_596_800, 253_402_300_799).map(Date),
    st.text(st.characters(exclude_categories=["Cs"])).map(DisplayString),
)
KEYS = st.from_regex(rb"[a-z*][a-z0-9_\-.*]*", fullmatch=True)
PARAMETERS = st.dictionaries(KEYS, BARE, max_size=3)
ITEMS = st.builds(Item, BARE, PARAMETERS)
MEMBERS = ITEMS | st.builds(InnerList, st.lists(ITEMS, max_size=3).map(tuple), PARAMETERS)
LISTS = st.lists(MEMBERS, max_size=4)
DICTIONARIES = st.dictionaries(KEYS, MEMBERS, max_size=4)


@given(ITEMS)
def test_items_survive_the_round_trip(item):
    value = serialize_item(item)
    assert plain(parse_item(value)) == plain(item)
    assert http_sf.ser(http_sf.parse(value, tltype="item")).encode() == value


@given(LISTS)
def test_lists_survive_the_round_trip(members):
    value = serialize_list(members)
    assert plain(parse_list(value)) == plain(members) == oracle("list", value)


@given(DICTIONARIES)
def test_dictionaries_survive_the_round_trip(members):
    value = serialize_dictionary(members)
    assert plain(parse_dictionary(value)) == plain(members) == oracle("dictionary", value)


VALID = ITEMS.map(serialize_item) | LISTS.map(serialize_list) | DICTIONARIES.map(serialize_dictionary)
PIECES = st.lists(st.sampled_from([bytes((octet,)) for octet in b'()",;=: \t?@%*-.\\019aAbf/'] + [b'%"', b"%c3%bc"]))


@st.composite
def damaged(draw):
    value = draw(VALID)
    at, gone = draw(st.integers(0, len(value))), draw(st.integers(0, 2))
    return value[:at] + draw(st.binary(max_size=2)) + value[at + gone :]


@given(st.sampled_from(sorted(PARSERS)), st.binary() | PIECES.map(b"".join) | VALID | damaged())
def test_any_value_is_refused_by_both_or_the_same_to_both(kind, value):
    assert ours(kind, value) == oracle(kind, value)
