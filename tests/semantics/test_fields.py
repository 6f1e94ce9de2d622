import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ParseError
from edge.semantics.fields import FieldSection, is_field_value, is_token, list_members, unquote

SECTION = FieldSection([(b"vary", b"a"), (b"set-cookie", b"x=1"), (b"vary", b"b,c"), (b"set-cookie", b"y=2")])


def test_lines_keep_their_order_and_their_repetition():
    assert list(SECTION) == [(b"vary", b"a"), (b"set-cookie", b"x=1"), (b"vary", b"b,c"), (b"set-cookie", b"y=2")]
    assert len(SECTION) == 4


def test_a_section_is_a_value():
    assert FieldSection(SECTION.lines) == SECTION
    assert hash(SECTION) == hash(FieldSection(SECTION.lines))
    assert FieldSection() != SECTION
    assert SECTION.lines != SECTION
    assert repr(FieldSection([(b"a", b"1")])) == "FieldSection([(b'a', b'1')])"


def test_lookups():
    assert b"vary" in SECTION
    assert b"age" not in SECTION
    assert SECTION.get(b"vary") == b"a"
    assert SECTION.get(b"age") is None
    assert SECTION.values(b"vary") == [b"a", b"b,c"]
    assert SECTION.combined(b"vary") == b"a, b,c"
    assert SECTION.combined(b"age") is None
    assert SECTION.members(b"vary") == [b"a", b"b", b"c"]
    assert SECTION.members(b"age") == []


def test_changes_make_a_new_section():
    assert SECTION.without(b"vary") == FieldSection([(b"set-cookie", b"x=1"), (b"set-cookie", b"y=2")])
    assert SECTION.without(b"vary", b"set-cookie") == FieldSection()
    assert SECTION.filtered(lambda name: name == b"vary") == FieldSection([(b"vary", b"a"), (b"vary", b"b,c")])
    assert SECTION.with_lines((b"age", b"1")).lines == (*SECTION.lines, (b"age", b"1"))
    assert SECTION.replacing(b"vary", b"*").lines[-1] == (b"vary", b"*")
    assert SECTION.replacing(b"vary", b"*").values(b"vary") == [b"*"]
    assert len(SECTION) == 4


def test_checked_lowers_names_and_leaves_values():
    assert FieldSection.checked([(b"ETag", b'"X"')]).lines == ((b"etag", b'"X"'),)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param((b"", b"x"), id="an empty name"),
        pytest.param((b"a b", b"x"), id="a space in a name"),
        pytest.param((b"a:", b"x"), id="a colon in a name"),
        pytest.param((b"a\n", b"x"), id="a line feed after a name"),
        pytest.param(("é".encode(), b"x"), id="a name beyond ASCII"),
        pytest.param((b"a", b" x"), id="leading white space"),
        pytest.param((b"a", b"x\t"), id="trailing white space"),
        pytest.param((b"a", b"x\r\ny: z"), id="a line break in a value"),
        pytest.param((b"a", b"x\n"), id="a line feed after a value"),
        pytest.param((b"a", b"x\x00y"), id="NUL in a value"),
        pytest.param((b"a", b"x\x7fy"), id="DEL in a value"),
        pytest.param((b"a", b"\x0b"), id="vertical tab is no white space"),
    ],
)
def test_checked_refuses(line):
    with pytest.raises(ParseError):
        FieldSection.checked([(b"good", b"line"), line])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"", True, id="empty"),
        pytest.param(b"a", True, id="one octet"),
        pytest.param(b"a \t b", True, id="inner white space"),
        pytest.param(b"\xff\x80", True, id="obs-text"),
        pytest.param(b"a ", False, id="trailing space"),
        pytest.param(b"a\x1fb", False, id="a control"),
    ],
)
def test_is_field_value(value, expected):
    assert is_field_value(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"!#$%&'*+-.^_`|~09azAZ", True, id="every kind of tchar"),
        pytest.param(b"", False, id="empty"),
        pytest.param(b"a/b", False, id="a slash"),
        pytest.param(b"a\n", False, id="a line feed at the end"),
    ],
)
def test_is_token(value, expected):
    assert is_token(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"", [], id="an empty value has no members"),
        pytest.param(b" , \t,,", [], id="empty members are left out"),
        pytest.param(b"a,b", [b"a", b"b"], id="no white space"),
        pytest.param(b" a\t, b c ,", [b"a", b"b c"], id="white space around members goes, inside stays"),
        pytest.param(b"\x0ba", [b"\x0ba"], id="vertical tab is no white space"),
        pytest.param(b'a="b,c", d', [b'a="b,c"', b"d"], id="a comma in a quoted string separates nothing"),
        pytest.param(b'"\\"," , b', [b'"\\","', b"b"], id="an escaped quote closes nothing"),
        pytest.param(b'a="b, c', [b'a="b', b"c"], id="a quote that never closes protects no comma"),
        pytest.param(b'"a,b"c"d,e', [b'"a,b"c"d', b"e"], id="what came before it is protected"),
        pytest.param(b'x, "a\\", b', [b"x", b'"a\\"', b"b"], id="an escaped quote at the end leaves it open"),
        pytest.param(b'"', [b'"'], id="a lone quote is a member"),
    ],
)
def test_list_members(value, expected):
    assert list_members(value) == expected


def test_quotes_that_never_close_cost_no_more_than_their_length():
    value = b'"' + b'\\"' * 200_000  # squared, this would take minutes
    assert list_members(value + b",a") == [value, b"a"]


MEMBERS = st.lists(st.sampled_from([b"a", b"=", b"b c", b'"d, e"', b'"\\","', b'""']), min_size=1).map(b"".join)


@given(st.lists(MEMBERS), st.sampled_from([b",", b" ,\t"]))
def test_members_survive_being_joined(members, separator):
    assert list_members(separator.join(members)) == members


@given(st.binary())
def test_list_members_loses_nothing_but_commas_and_white_space(value):
    kept = b"".join(list_members(value)).translate(None, b", \t")
    assert kept == value.translate(None, b", \t")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"a b"', b"a b", id="the quotes go"),
        pytest.param(b'""', b"", id="an empty string"),
        pytest.param(b'"a\\"\\\\b"', b'a"\\b', id="escapes are undone"),
        pytest.param(b"token", b"token", id="a token stays"),
        pytest.param(b'"', b'"', id="one quote is no quoted string"),
        pytest.param(b'"a\\"', b'"a\\"', id="an escaped quote closes nothing"),
        pytest.param(b'"a"b"', b'"a"b"', id="a quote inside is no quoted string"),
    ],
)
def test_unquote(value, expected):
    assert unquote(value) == expected


def test_members_of_one_line_and_of_several():
    assert FieldSection([(b"a", b"1, 2")]).members(b"a") == [b"1", b"2"]
    assert FieldSection([(b"a", b"1, 2"), (b"b", b"x"), (b"a", b",3")]).members(b"a") == [b"1", b"2", b"3"]
    assert FieldSection([(b"b", b"x")]).members(b"a") == []


def test_a_section_has_any_of_names_that_it_has_one_of():
    section = FieldSection([(b"a", b"1"), (b"b", b"2")])
    assert section.has_any(frozenset({b"x", b"b"}))
    assert not section.has_any(frozenset({b"x"}))
    assert not FieldSection().has_any(frozenset({b"x"}))
