import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ParseError
from edge.semantics.entity_tags import EntityTag, parse_entity_tag, parse_entity_tags, strong_match, weak_match

A, WEAK_A, B, WEAK_B = EntityTag(b"a"), EntityTag(b"a", weak=True), EntityTag(b"b"), EntityTag(b"b", weak=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"a"', A, id="strong"),
        pytest.param(b'W/"a"', WEAK_A, id="weak"),
        pytest.param(b'""', EntityTag(b""), id="empty"),
        pytest.param(b'"a,b"', EntityTag(b"a,b"), id="a comma"),
        pytest.param(b'"a\\"', EntityTag(b"a\\"), id="a backslash escapes nothing"),
        pytest.param(b'"\x80\xff"', EntityTag(b"\x80\xff"), id="obs-text"),
    ],
)
def test_tags(value, expected):
    assert parse_entity_tag(value) == expected
    assert expected.encoded == value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a", id="no quotes"),
        pytest.param(b'"a', id="no closing quote"),
        pytest.param(b'"a"b"', id="a quote inside"),
        pytest.param(b'w/"a"', id="the prefix in lower case"),
        pytest.param(b'W/ "a"', id="white space after the prefix"),
        pytest.param(b'"a b"', id="a space inside"),
        pytest.param(b'"a\x7f"', id="DEL"),
        pytest.param(b'"a"\n', id="a line feed at the end"),
        pytest.param(b'"a", "b"', id="a list"),
        pytest.param(b"*", id="the asterisk is no tag"),
    ],
)
def test_refused_tags(value):
    with pytest.raises(ParseError):
        parse_entity_tag(value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([b"*"], None, id="the asterisk"),
        pytest.param([b'"a"'], (A,), id="one tag"),
        pytest.param([b'"a", W/"b"'], (A, WEAK_B), id="two tags"),
        pytest.param([b'"a"', b'"b"'], (A, B), id="two lines"),
        pytest.param([b'"a","b"\t,W/"a"'], (A, B, WEAK_A), id="any white space"),
        pytest.param([b',, "a", ,"b",'], (A, B), id="empty members"),
        pytest.param([b'"a,W/", "b"'], (EntityTag(b"a,W/"), B), id="a comma inside a tag"),
        pytest.param([b'"a\\", "b"'], (EntityTag(b"a\\"), B), id="a backslash at the end of a tag"),
        pytest.param([b""], (), id="an empty list"),
    ],
)
def test_lists(values, expected):
    assert parse_entity_tags(values) == expected


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([b'*, "a"'], id="the asterisk in a list"),
        pytest.param([b"*", b'"a"'], id="the asterisk and another line"),
        pytest.param([b"*", b"*"], id="two asterisks"),
        pytest.param([b'"a" "b"'], id="no comma"),
        pytest.param([b'"a", b'], id="a member without quotes"),
        pytest.param([b'"a", "b'], id="a member that does not end"),
        pytest.param([b'"a"\n'], id="a line feed at the end"),
    ],
)
def test_refused_lists(values):
    with pytest.raises(ParseError):
        parse_entity_tags(values)


@pytest.mark.parametrize(
    ("a", "b", "strong", "weak"),
    [
        pytest.param(WEAK_A, WEAK_A, False, True, id="both weak"),
        pytest.param(WEAK_A, WEAK_B, False, False, id="both weak and different"),
        pytest.param(WEAK_A, A, False, True, id="the first weak"),
        pytest.param(A, WEAK_A, False, True, id="the second weak"),
        pytest.param(A, A, True, True, id="both strong"),
        pytest.param(A, B, False, False, id="both strong and different"),
    ],
)
def test_comparison(a, b, strong, weak):
    assert strong_match(a, b) is strong
    assert weak_match(a, b) is weak


TAGS = st.builds(EntityTag, st.from_regex(rb"[\x21\x23-\x7e\x80-\xff]*", fullmatch=True), st.booleans())


@given(st.lists(TAGS))
def test_tags_survive_the_round_trip(tags):
    assert parse_entity_tags([tag.encoded for tag in tags]) == tuple(tags)
    assert parse_entity_tags([b",".join(tag.encoded for tag in tags)]) == tuple(tags)
    assert [parse_entity_tag(tag.encoded) for tag in tags] == tags


@given(st.binary() | st.from_regex(rb'[W/", \ta*]*', fullmatch=True))
def test_anything_else_is_refused(value):
    try:
        tags = parse_entity_tags([value])
    except ParseError:
        with pytest.raises(ParseError):
            parse_entity_tag(value)
    else:
        assert tags is None or all(tag.encoded in value for tag in tags)
