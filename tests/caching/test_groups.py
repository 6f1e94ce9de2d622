"""Tags and cache groups."""

import pytest

from edge.caching.groups import LONGEST, groups, has_too_many, invalidated_groups, tags
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], set(), id="none"),
        pytest.param([(b"surrogate-key", b"a  b\tc,d")], {b"a", b"b", b"c,d"}, id="Surrogate-Key is split at spaces"),
        pytest.param([(b"cache-tag", b" a b ,c,, d")], {b"a b", b"c", b"d"}, id="Cache-Tag is split at commas"),
        pytest.param([(b"edge-cache-tag", b"a,b")], {b"a", b"b"}, id="Edge-Cache-Tag"),
        pytest.param([(b"cdn-tag", b"a,b")], {b"a", b"b"}, id="CDN-Tag"),
        pytest.param([(b"xkey", b"a b, c")], {b"a", b"b", b"c"}, id="xkey is split at both"),
        pytest.param([(b"cache-groups", b'"a", "b c";x')], {b"a", b"b c"}, id="Cache-Groups"),
        pytest.param([(b"cache-tag", b"a"), (b"cache-tag", b"b"), (b"xkey", b"c")], {b"a", b"b", b"c"}, id="several"),
        pytest.param([(b"cache-tag", b"A,a")], {b"A", b"a"}, id="case matters"),
    ],
)
def test_the_tags_of_a_response(lines, expected):
    assert tags(FieldSection(lines)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"a", "b\\"c"', (b"a", b'b"c'), id="strings"),
        pytest.param(b'"a", b', (), id="a token among them"),
        pytest.param(b'"a", ("b")', (), id="an inner list among them"),
        pytest.param(b'%"a"', (), id="a display string"),
        pytest.param(b'"a', (), id="no list"),
        pytest.param(b"", (), id="nothing"),
    ],
)
def test_groups_are_a_list_of_strings_or_nothing(value, expected):
    assert groups(FieldSection([(b"cache-groups", value)]), b"cache-groups") == expected


def test_a_list_of_tags_can_be_too_long():
    assert not has_too_many(FieldSection([(b"cache-tag", b"t" * LONGEST), (b"x", b"t" * LONGEST * 2)]))
    assert has_too_many(FieldSection([(b"cache-tag", b"t" * LONGEST), (b"cache-tag", b"t")]))
    assert has_too_many(FieldSection([(b"cache-groups", b"t" * (LONGEST + 1))]))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param(b"POST", (b"a",), id="an unsafe method"),
        pytest.param(b"GET", (), id="a safe one (RFC 9875 §3)"),
    ],
)
def test_what_a_response_invalidates(method, expected):
    request = Request(method, Target(b"http", b"h", b"/"), FieldSection())
    response = Response(200, FieldSection([(b"cache-group-invalidation", b'"a"')]))
    assert invalidated_groups(request, response) == expected
