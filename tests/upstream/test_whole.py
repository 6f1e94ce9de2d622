"""What is read as a whole response is what the parser reads of the same octets, one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UpstreamProtocolError
from edge.upstream.parser import ResponseParser
from edge.upstream.whole import whole_response

OK = b"HTTP/1.1 200 OK\r\n%s\r\n\r\nhello"


def whole(raw: bytes, method: bytes = b"GET"):
    return whole_response(method, raw, lines=256, octets=65536)


def parsed(raw: bytes, method: bytes):
    """Return what the parser says of octets that come one by one, None when it refuses them."""
    parser = ResponseParser(method)
    try:
        for at in range(len(raw)):
            if parser.is_complete:
                parser.feed(raw[at:])
                break
            parser.feed(raw[at : at + 1])
    except UpstreamProtocolError:
        return None
    return parser.head, b"".join(parser.pieces), parser.is_reusable, parser.idle_timeout, parser.is_complete


names = st.sampled_from([
    b"Content-Length", b"content-length", b"Connection", b"Keep-Alive", b"Transfer-Encoding", b"ETag", b"X", b"Set-Cookie",
    b"Upgrade", b"Proxy-Connection", b" X", b"X ", b"", b"X\x00", b"\xc3\xa9",
])  # fmt: skip
values = st.sampled_from([
    b"5", b"05", b"+5", b"5, 5", b"6", b"", b"0", b"close", b"Close, x", b"keep-alive", b"timeout=7", b"timeout=7, max=1", b"chunked",
    b"a b", b"\xc3\xa9", b"\t x \t", b"a\tb", b"a\x00", b"a\rb", b"a\nb", b'"v"', b"h2c", b"a:b", b"x\r\n y",
])  # fmt: skip
lines = st.lists(st.tuples(names, st.sampled_from([b":", b": ", b":\t ", b" :"]), values), max_size=4)


@settings(max_examples=1000, deadline=None)
@given(
    status_line=st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 204 ", b"HTTP/1.1 999 \xc3\xa9", b"HTTP/1.0 200 OK", b"HTTP/1.1 200",
                                 b"HTTP/1.1 103 x", b"HTTP/1.1 304 x", b"HTTP/2 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 200 a\x00"]),
    lines=lines, length=st.sampled_from([b"", b"Content-Length: 5\r\n"]), content=st.sampled_from([b"", b"hello", b"hello!", b"hel"]),
    method=st.sampled_from([b"GET", b"HEAD"]),
)  # fmt: skip
def test_a_whole_response_is_what_the_parser_takes_it_for(status_line, lines, length, content, method) -> None:
    raw = status_line + b"\r\n" + length + b"".join(b"".join(line) + b"\r\n" for line in lines) + b"\r\n" + content
    # Twice: read, and remembered.
    for _ in range(2):
        found = whole(raw, method)
        if found is not None:
            assert (*found, True) == parsed(raw, method)


@pytest.mark.parametrize(
    ("lines", "is_reusable", "idle_timeout"),
    [
        pytest.param(b"Content-Length: 5", True, None, id="a length is all it needs"),
        pytest.param(b"Content-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: timeout=7", True, 7, id="it may say how long"),
        pytest.param(b"Content-Length: 5\r\nConnection: close", False, None, id="it may be the last"),
    ],
)  # fmt: skip
def test_what_it_says_of_the_connection(lines, is_reusable, idle_timeout) -> None:
    found = whole(OK % lines)
    assert found is not None
    assert found[1:] == (b"hello", is_reusable, idle_timeout)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(OK % b"Content-Length: 6", id="content is still to come"),
        pytest.param(OK % b"Content-Length: 4", id="there is more than the content"),
        pytest.param(OK % b"Content-Length: 5\r\nContent-Length: 5", id="two lengths"),
        pytest.param(OK % b"Transfer-Encoding: chunked", id="another framing"),
        pytest.param(OK % b"X: 1", id="no framing"),
        pytest.param(OK % b"Content-Length: 5\r\n folded", id="a folded line"),
        pytest.param(OK % (b"Content-Length: 5" + b"\r\nX: 1" * 256), id="too many lines"),
        pytest.param(OK % (b"Content-Length: 5\r\nX: " + b"1" * 65536), id="too long a head"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK % b"Content-Length: 5", id="an interim response first"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", id="half a head"),
    ],
)
def test_everything_else_is_for_the_parser(raw) -> None:
    assert whole(raw) is None


def test_more_lines_than_are_remembered_are_still_read() -> None:
    for number in range(5000):
        found = whole(OK % (b"Content-Length: 5\r\nETag: %d" % number))
        assert found is not None
        assert found[0].fields.get(b"etag") == b"%d" % number
