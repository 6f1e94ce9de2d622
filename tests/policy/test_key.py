"""Cache keys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ParseError
from edge.policy.key import KeyPolicy, apply_query, cache_key, parse_key
from edge.semantics.target import Target

PLAIN = KeyPolicy()


def target(query):
    return Target(b"http", b"example.org", b"/a", query)


@pytest.mark.parametrize(
    ("policy", "query", "expected"),
    [
        pytest.param(PLAIN, b"b=2&&a=1", b"b=2&&a=1", id="by default the query goes as it came"),
        pytest.param(PLAIN, b"", b"", id="an empty query is not none"),
        pytest.param(KeyPolicy(sort=True), None, None, id="where there is no query there is nothing to do"),
        pytest.param(KeyPolicy(sort=True), b"b=2&a=3&a=1", b"a=1&a=3&b=2", id="sorted by name and value"),
        pytest.param(KeyPolicy(sort=True), b"&a=1&", b"a=1", id="empty arguments are no arguments"),
        pytest.param(KeyPolicy(keep=(b"a", b"c")), b"c=1&b=2&a", b"c=1&a", id="kept in their order"),
        pytest.param(KeyPolicy(keep=()), b"a=1", None, id="nothing kept is no query"),
        pytest.param(KeyPolicy(keep=(b"a*",)), b"a=1&ab=2&b=3", b"a=1&ab=2", id="kept by prefix"),
        pytest.param(KeyPolicy(drop=(b"utm_*", b"b")), b"utm_x=1&a=1&b=2", b"a=1", id="dropped by prefix and by name"),
        pytest.param(KeyPolicy(drop=(b"a",)), b"ab=1&a=1", b"ab=1", id="a name is not a prefix"),
        pytest.param(KeyPolicy(drop=(b"*",)), b"a=1", None, id="everything dropped"),
        pytest.param(KeyPolicy(keep=(b"a", b"b"), drop=(b"b",)), b"a=1&b=2", b"a=1", id="kept, then dropped"),
    ],
)
def test_the_query_that_counts(policy, query, expected):
    assert apply_query(target(query), policy) == target(expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(target(None), target(b""), id="no query and an empty one"),
        pytest.param(target(None), target(b"-"), id="no query and what stands for it"),
        pytest.param(target(b"a"), replace(target(None), path=b"/a?a"), id="a query and a path that looks like one"),
        pytest.param(target(b"x"), replace(target(b"x"), scheme=b"https"), id="two schemes"),
        pytest.param(target(b"x"), replace(target(b"x"), authority=b"example.org:81"), id="two ports"),
    ],
)
def test_different_targets_have_different_keys(one, other):
    assert cache_key(one, PLAIN) != cache_key(other, PLAIN)


def test_hosts_of_one_site_may_share_keys():
    policy = KeyPolicy(host=b"example.org")
    other = replace(target(b"x"), authority=b"www.example.org")
    assert cache_key(other, policy) == cache_key(target(b"x"), policy)
    assert cache_key(other, PLAIN) != cache_key(target(b"x"), PLAIN)


_part = st.text("a:1?/-2", max_size=6).map(str.encode)
_targets = st.builds(Target, _part, _part, _part, st.none() | _part)
_names = st.lists(st.text("ab*", max_size=3).map(str.encode), max_size=3).map(tuple)
_policies = st.builds(KeyPolicy, keep=st.none() | _names, drop=_names, sort=st.booleans())
_queries = st.none() | st.lists(st.text("ab=1", max_size=4).map(str.encode), max_size=5).map(b"&".join)


@given(_targets, _targets)
def test_a_key_belongs_to_one_target(one, other):
    assert (cache_key(one, PLAIN) == cache_key(other, PLAIN)) is (one == other)


@given(_queries, _policies)
def test_the_query_that_counts_is_settled_at_once(query, policy):
    once = apply_query(target(query), policy)
    assert apply_query(once, policy) == once
    assert cache_key(apply_query(once, policy), policy) == cache_key(once, policy)


@given(_targets)
def test_a_key_says_its_target(one):
    assert parse_key(cache_key(one, PLAIN)) == one


@given(st.binary(max_size=12) | st.text("0123:-?a", max_size=14).map(str.encode))
def test_what_is_parsed_is_a_key(raw):
    try:
        parsed = parse_key(raw)
    except ParseError:
        return
    assert cache_key(parsed, PLAIN) == raw


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"http://example.org/a", id="a URI"),
        pytest.param(b"4:http1:a2:/a", id="three parts"),
        pytest.param(b"4:http1:a2:/a1:--", id="octets behind the last part"),
        pytest.param(b"4:http1:a2:/a9:-", id="a part that is cut off"),
        pytest.param(b"04:http1:a2:/a1:-", id="a length with a zero in front"),
        pytest.param(b"4:http1:a2:/a0:", id="neither a query nor the mark of none"),
    ],
)
def test_what_is_no_key(raw):
    with pytest.raises(ParseError):
        parse_key(raw)
