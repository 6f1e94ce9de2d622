"""From what an operator writes to what responses are compared with."""

import pytest

from edge.errors import ParseError
from edge.policy import purging_targets
from edge.policy.key import KeyPolicy, cache_key
from edge.policy.purging import Kind, Selector
from edge.semantics.target import Target

POLICIES = {
    b"h.example": KeyPolicy(),
    b"[::1]": KeyPolicy(),
    b"sorted.example": KeyPolicy(sort=True, drop=(b"utm_*",)),
    b"alias.example": KeyPolicy(host=b"main.example"),
}


def key(authority, path, query=None, *, scheme=b"http"):
    return Selector(Kind.URL, cache_key(Target(scheme, authority, path, query), KeyPolicy()))


def prefix(value):
    return Selector(Kind.PREFIX, value)


def host(value):
    return Selector(Kind.HOST, value)


@pytest.mark.parametrize(
    ("make", "text", "expected"),
    [
        pytest.param("url", "http://h.example/a?b", key(b"h.example", b"/a", b"b"), id="a URL is the key of a request"),
        pytest.param("url", "HTTP://H.Example:80", key(b"h.example", b"/"), id="case and default port do not matter"),
        pytest.param("url", "https://h.example?q", key(b"h.example", b"/", b"q", scheme=b"https"), id="an empty path"),
        pytest.param("url", "http://[::1]:81/", key(b"[::1]:81", b"/"), id="an IPv6 address"),
        pytest.param(
            "url",
            "http://sorted.example/?b&utm_x=1&a",
            key(b"sorted.example", b"/", b"a&b"),
            id="the query that counts",
        ),
        pytest.param("url", "http://alias.example/a", key(b"main.example", b"/a"), id="a host that shares a key"),
        pytest.param("prefix", "h.example/blog/", prefix(b"//h.example/blog"), id="a prefix of both schemes"),
        pytest.param("prefix", "https://H.example/a/b", prefix(b"https://h.example/a/b"), id="a prefix of one scheme"),
        pytest.param("prefix", "h.example:443/a", prefix(b"//h.example/a"), id="a default port without a scheme"),
        pytest.param("prefix", "alias.example", prefix(b"//main.example"), id="a prefix without a path"),
        pytest.param("prefix", "h.example/a//", prefix(b"//h.example/a/"), id="one slash at the end does not count"),
        pytest.param("host", "H.Example", host(b"h.example"), id="a host"),
        pytest.param("host", "h.example:8080", host(b"h.example:8080"), id="a host on one port"),
        pytest.param("host", "alias.example", host(b"main.example"), id="a host that shares its key"),
    ],
)
def test_what_is_compared(make, text, expected):
    assert getattr(purging_targets, make)(text, POLICIES.get) == expected


@pytest.mark.parametrize(
    ("make", "text", "sentence"),
    [
        pytest.param("url", "/a", "begins with http", id="a path is no URL"),
        pytest.param("url", "//h.example/", "begins with http", id="a URL without a scheme"),
        pytest.param("url", "ftp://h.example/", "begins with http", id="another scheme"),
        pytest.param("url", "http://h.example/#x", "no fragment", id="a fragment"),
        pytest.param("url", "http://h.example/a b", "characters", id="a space"),
        pytest.param("url", "http://h.example/ä", "ASCII", id="a path that is not ASCII"),
        pytest.param("url", "http://bücher.example/", "xn--", id="a name that is not ASCII"),
        pytest.param("url", "http://user@h.example/", "host", id="user information"),
        pytest.param("url", "http://h.example:99999/", "host", id="a port that is none"),
        pytest.param("url", "http://g.example/", "no site", id="a host of nobody"),
        pytest.param("prefix", "h.example/a?b", "query", id="a prefix with a query"),
        pytest.param("prefix", "h.example/a*", '"*"', id="a wildcard"),
        pytest.param("prefix", "ftp://h.example/a", "prefix", id="a prefix of another scheme"),
        pytest.param("prefix", "", "prefix", id="nothing"),
        pytest.param("host", "*", "no site", id="a wildcard host"),
        pytest.param("host", "h.example/", "host", id="a path behind the host"),
        pytest.param("host", "", "host", id="no host"),
    ],
)
def test_what_is_refused(make, text, sentence):
    with pytest.raises(ParseError, match=sentence):
        getattr(purging_targets, make)(text, POLICIES.get)


@pytest.mark.parametrize("text", ["a", "post-1", "a b", "x,y", "~" * 1024])
def test_a_tag(text):
    assert purging_targets.tag(text) == Selector(Kind.TAG, text.encode())


@pytest.mark.parametrize("text", ["", " a", "a ", "a\tb", "a\n", "ä", "~" * 1025])
def test_what_is_no_tag(text):
    with pytest.raises(ParseError):
        purging_targets.tag(text)


def test_a_group_is_one_of_its_origin():
    made = {
        purging_targets.group(scheme, authority, b"g")
        for scheme in (b"http", b"https")
        for authority in (b"a.example", b"b.example")
    }
    assert len(made) == 4
