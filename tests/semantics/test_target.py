import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ParseError
from edge.semantics.target import Target, parse_authority, parse_target, secure_target, split_authority


def target(path: bytes, query: bytes | None = None, authority: bytes = b"a.test") -> Target:
    return Target(b"http", authority, path, query)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"/", target(b"/"), id="the root"),
        pytest.param(b"/a/b.c;d=1", target(b"/a/b.c;d=1"), id="a path"),
        pytest.param(b"/a?", target(b"/a", b""), id="an empty query is not an absent one"),
        pytest.param(b"/a?b=c?d", target(b"/a", b"b=c?d"), id="the first question mark separates"),
        pytest.param(b"/%7e%2F%zz", target(b"/%7e%2F%zz"), id="percent triples are left as they are"),
        pytest.param(b"/a?b[]=c|d", target(b"/a", b"b[]=c|d"), id="what browsers send raw in a query"),
        pytest.param(b"//b.test/x", target(b"//b.test/x"), id="two slashes begin a path, not an authority"),
        pytest.param(b"http://a.test/x?y", target(b"/x", b"y"), id="absolute-form"),
        pytest.param(b"HTTP://A.test:80/x", target(b"/x"), id="scheme and authority are compared normalised"),
        pytest.param(b"http://a.test", target(b"/"), id="an empty path is the root"),
        pytest.param(b"http://a.test?q", target(b"/", b"q"), id="an empty path before a query is the root"),
    ],
)
def test_targets(raw, expected):
    assert parse_target(b"GET", raw, b"a.test", scheme=b"http") == expected


def test_absolute_form_needs_no_host():
    assert parse_target(b"GET", b"http://b.test/", None, scheme=b"http") == target(b"/", authority=b"b.test")


def test_asterisk_is_for_options():
    assert parse_target(b"OPTIONS", b"*", b"a.test", scheme=b"http") == target(b"*")


@pytest.mark.parametrize(
    ("method", "raw", "host"),
    [
        pytest.param(b"GET", b"", b"a.test", id="an empty target"),
        pytest.param(b"GET", b"*", b"a.test", id="asterisk with GET"),
        pytest.param(b"OPTIONS", b"*", None, id="asterisk without Host"),
        pytest.param(b"OPTIONS", b"*/x", b"a.test", id="more than an asterisk"),
        pytest.param(b"GET", b"/", None, id="origin-form without Host"),
        pytest.param(b"GET", b"/", b"", id="an empty Host"),
        pytest.param(b"GET", b"admin", b"a.test", id="a relative path"),
        pytest.param(b"GET", b"?x", b"a.test", id="a query alone"),
        pytest.param(b"CONNECT", b"a.test:80", b"a.test", id="authority-form"),
        pytest.param(b"GET", b"http://b.test/x", b"a.test", id="Host and target name different authorities"),
        pytest.param(b"GET", b"https://a.test/x", b"a.test", id="another scheme than the listener's"),
        pytest.param(b"GET", b"file:///etc/passwd", b"a.test", id="a scheme that is not HTTP's"),
        pytest.param(b"GET", b"http:///x", b"a.test", id="absolute-form without authority"),
        pytest.param(b"GET", b"http://u:p@a.test/", b"a.test", id="user information"),
        pytest.param(b"GET", b"/a#b", b"a.test", id="a fragment"),
        pytest.param(b"GET", b"/a b", b"a.test", id="a space"),
        pytest.param(b"GET", b"/a\n", b"a.test", id="a line feed at the end"),
        *(
            pytest.param(b"GET", b"/?%c" % octet, b"a.test", id=f"octet {octet:#04x} in a query")
            for octet in b'\x00\t\x1f\x7f\x80\xff"<>\\^`{}'
        ),
    ],
)
def test_refused_targets(method, raw, host):
    with pytest.raises(ParseError):
        parse_target(method, raw, host, scheme=b"http")


def test_parts():
    parsed = target(b"/a", b"b=c", authority=b"a.test:8080")
    assert parsed.path_and_query == b"/a?b=c"
    assert parsed.uri == b"http://a.test:8080/a?b=c"
    assert parsed.host == b"a.test"
    assert target(b"/a").path_and_query == b"/a"


@pytest.mark.parametrize(
    ("raw", "scheme", "expected"),
    [
        pytest.param(b"A.Test", b"http", b"a.test", id="lower case"),
        pytest.param(b"a.test.", b"http", b"a.test.", id="a rooted name"),
        pytest.param(b"a.test:", b"http", b"a.test", id="an empty port is the default"),
        pytest.param(b"a.test:80", b"http", b"a.test", id="the default port goes"),
        pytest.param(b"a.test:00080", b"http", b"a.test", id="the default port in other digits goes"),
        pytest.param(b"a.test:443", b"https", b"a.test", id="the default port is the scheme's"),
        pytest.param(b"a.test:443", b"http", b"a.test:443", id="another port stays"),
        pytest.param(b"a.test:08080", b"http", b"a.test:8080", id="ports lose leading zeros"),
        pytest.param(b"a.test:80", b"ftp", b"a.test:80", id="a scheme of which nothing is known has no default"),
        pytest.param(b"[::FFFF:127.0.0.1]:81", b"http", b"[::ffff:127.0.0.1]:81", id="IPv6"),
        pytest.param(b"xn--bcher-kva.test", b"http", b"xn--bcher-kva.test", id="an A-label"),
    ],
)
def test_authorities(raw, scheme, expected):
    assert parse_authority(raw, scheme) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"", b".", b"..a", b"a..b", b":80", b"user@a.test", b"a.test/path", b"a.test?x", b"a.test#", b"a.test\x02",
        b"a.test:98777", b"a.test:123456", b"a.test:80:80", b"a.test:+80", b"a.test:8 0", b"a.test:8_0", b"a.test\n",
        b"[::1", b"[::1].", b"x[::1]", b"[]", b"a.test.:1.2", b"a.test, b.test", "bücher.test".encode(),
        "a.test:٨".encode(),
    ],
)  # fmt: skip
def test_refused_authorities(raw):
    with pytest.raises(ParseError):
        parse_authority(raw, b"http")


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        pytest.param(b"a.test", (b"a.test", None), id="no port"),
        pytest.param(b"a.test:8080", (b"a.test", 8080), id="a port"),
        pytest.param(b"[::1]", (b"[::1]", None), id="IPv6 without a port"),
        pytest.param(b"[::1]:8080", (b"[::1]", 8080), id="IPv6 with a port"),
    ],
)
def test_split_authority(authority, expected):
    assert split_authority(authority) == expected


HOSTS = st.from_regex(rb"(?:[A-Za-z0-9-]{1,5}(?:\.[A-Za-z0-9-]{1,5}){0,2}\.?|\[[0-9a-fA-F:.]{2,45}\])(?::[0-9]{0,5})?")


@given(HOSTS | st.binary(max_size=12), st.sampled_from([b"http", b"https"]))
def test_parse_authority_is_idempotent(raw, scheme):
    try:
        parsed = parse_authority(raw, scheme)
    except ParseError:
        return
    assert parse_authority(parsed, scheme) == parsed
    host, port = split_authority(parsed)
    assert parse_authority(host if port is None else b"%s:%d" % (host, port), scheme) == parsed


@given(
    st.sampled_from([b"GET", b"OPTIONS"]),
    st.binary() | st.from_regex(rb"(?:(?i:http)://a(?::80)?)?[!-~]*", fullmatch=True),
    st.none() | st.just(b"a") | st.binary(max_size=8),
)
def test_a_parsed_target_parses_to_itself(method, raw, host):
    try:
        parsed = parse_target(method, raw, host, scheme=b"http")
    except ParseError:
        return
    assert parse_target(method, parsed.path_and_query, parsed.authority, scheme=b"http") == parsed
    if parsed.path != b"*":
        assert parse_target(method, parsed.uri, parsed.authority, scheme=b"http") == parsed


@pytest.mark.parametrize(
    ("authority", "port", "expected"),
    [
        pytest.param(b"a.test", 443, b"https://a.test/x?y", id="the default port is not said"),
        pytest.param(b"a.test", 8443, b"https://a.test:8443/x?y", id="another port is"),
        pytest.param(b"a.test:8080", 443, b"https://a.test/x?y", id="the port of plain HTTP is left out"),
        pytest.param(b"[::1]:8080", 8443, b"https://[::1]:8443/x?y", id="an IPv6 address stays in brackets"),
    ],
)
def test_the_same_by_https(authority, port, expected):
    assert secure_target(target(b"/x", b"y", authority), port).uri == expected
