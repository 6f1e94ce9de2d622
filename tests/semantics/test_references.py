"""URI references."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.semantics.references import remove_dot_segments, resolve
from edge.semantics.target import Target, parse_target

BASE = Target(b"http", b"a", b"/b/c/d;p", b"q")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        # RFC 3986 §5.4.1, as far as the result is a target of http.
        pytest.param(b"g", b"http://a/b/c/g", id="a path"),
        pytest.param(b"./g", b"http://a/b/c/g", id="a path with a dot"),
        pytest.param(b"g/", b"http://a/b/c/g/", id="a path that ends in a slash"),
        pytest.param(b"/g", b"http://a/g", id="an absolute path"),
        pytest.param(b"//g", b"http://g/", id="an authority"),
        pytest.param(b"?y", b"http://a/b/c/d;p?y", id="a query"),
        pytest.param(b"?", b"http://a/b/c/d;p?", id="an empty query"),
        pytest.param(b"g?y", b"http://a/b/c/g?y", id="a path and a query"),
        pytest.param(b"#s", b"http://a/b/c/d;p?q", id="a fragment"),
        pytest.param(b"g#s", b"http://a/b/c/g", id="a path and a fragment"),
        pytest.param(b"g?y#s?z", b"http://a/b/c/g?y", id="a question mark in the fragment"),
        pytest.param(b";x", b"http://a/b/c/;x", id="parameters"),
        pytest.param(b"", b"http://a/b/c/d;p?q", id="nothing"),
        pytest.param(b".", b"http://a/b/c/", id="one dot"),
        pytest.param(b"..", b"http://a/b/", id="two dots"),
        pytest.param(b"../g", b"http://a/b/g", id="up and down"),
        pytest.param(b"../../g", b"http://a/g", id="up to the root"),
        pytest.param(b"../../../g", b"http://a/g", id="no further up than the root"),
        pytest.param(b"g;x=1/../y", b"http://a/b/c/y", id="up again"),
        pytest.param(b"g?y/../x", b"http://a/b/c/g?y/../x", id="dots in a query stay"),
        pytest.param(b"http://g/x/../y?z", b"http://g/y?z", id="an absolute URI"),
        pytest.param(b"HTTPS://G:443", b"https://g/", id="an absolute URI in another spelling"),
        pytest.param(b"http:g", None, id="a scheme and a path, as no one sends it"),
        pytest.param(b"ftp://g/", None, id="another scheme"),
        pytest.param(b"mailto:a@b", None, id="a URI without an authority"),
        pytest.param(b"///g", None, id="an empty authority"),
        pytest.param(b"http://u@g/", None, id="user information"),
        pytest.param(b"g h", None, id="white space in a path"),
        pytest.param(b"?a b", None, id="white space in a query"),
        pytest.param(b"?\x00", None, id="an octet that is not of a URI"),
    ],
)
def test_resolve(reference, expected):
    target = resolve(BASE, reference)
    assert (target and target.uri) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/a/b/c/./../../g", b"/a/g", id="the example of RFC 3986"),
        pytest.param(b"/", b"/", id="the root"),
        pytest.param(b"/..", b"/", id="above the root"),
        pytest.param(b"/a/..", b"/", id="back to the root"),
        pytest.param(b"/a/.", b"/a/", id="a dot at the end"),
        pytest.param(b"/a//../b", b"/a/b", id="an empty segment is one"),
        pytest.param(b"/a/...", b"/a/...", id="three dots are a name"),
        pytest.param(b"/%2e%2e/a", b"/%2e%2e/a", id="encoded dots stay"),
    ],
)
def test_remove_dot_segments(path, expected):
    assert remove_dot_segments(path) == expected


@given(st.binary() | st.text("ab./?#:h", max_size=12).map(str.encode))
def test_what_is_resolved_is_a_target(reference):
    target = resolve(BASE, reference)
    if target is not None:
        assert parse_target(b"GET", target.uri, None, scheme=target.scheme) == target
        assert remove_dot_segments(target.path) == target.path
