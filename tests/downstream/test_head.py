import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downstream.head import METHODS, Head, head_length, parse_head
from edge.errors import (
    BadRequest,
    DownstreamError,
    ExpectationFailed,
    FieldsTooLarge,
    MethodRefused,
    MethodUnknown,
    TargetTooLong,
    VersionRefused,
)
from edge.policy.limits import Limits

LIMITS = Limits(request_line=64, field=32, field_section=96, fields=4)
HOST = b"Host: a.test\r\n"
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# RFC 9112 §3 and §5, as strictly as they can be read.
GRAMMAR = re.compile(
    rb"%s [!-~]+ HTTP/1\.[01]\r\n(?:%s:[\t ]*[\t \x21-\x7e\x80-\xff]*\r\n)*\r\n" % (TOKEN, TOKEN)
).fullmatch


def parsed(raw: bytes, limits: Limits | None = None) -> Head:
    return parse_head(raw, b"http", limits or Limits())


def get(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return b"GET / HTTP/%s\r\n%s%s\r\n" % (version, HOST, b"".join(line + b"\r\n" for line in lines))


class TestLength:
    @pytest.mark.parametrize(
        ("data", "length"),
        [
            pytest.param(b"G", 0, id="a first octet"),
            pytest.param(b"GET /x HTTP/1.1", 0, id="a request line without its end"),
            pytest.param(b"GET /x HTTP/1.1\r", 0, id="half a line break"),
            pytest.param(b"GET /x HTTP/1.1\r\nHost: a", 0, id="a field line without its end"),
            pytest.param(b"GET /x HTTP/1.1\r\n\r", 0, id="half an empty line"),
            pytest.param(b"GET /x HTTP/1.1\r\n\r\n", 19, id="no fields at all"),
            pytest.param(b"GET /x HTTP/1.1\r\nA: b\r\n\r\nGET", 25, id="what follows is not counted"),
            pytest.param(b"G /" + b"a" * 52 + b" HTTP/1.1\r\n\r\n", 68, id="a request line as long as may be"),
            pytest.param(b"G / HTTP/1.1\r\nA: " + b"a" * 93 + b"\r\n\r\n", 114, id="a section as long as may be"),
        ],
    )
    def test_a_head_ends_with_its_empty_line(self, data, length):
        assert head_length(data, LIMITS) == length

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            pytest.param(b"\x16\x03\x01", BadRequest, id="no method begins like that"),
            pytest.param(b" GET", BadRequest, id="nor with a space"),
            pytest.param(b"A" * 33, BadRequest, id="nor is one that long"),
            pytest.param(b"GET  /", BadRequest, id="two spaces"),
            pytest.param(b"GET /x\x00", BadRequest, id="a control character in the target"),
            pytest.param(b"GET /x HTTP/1.1\nHost", BadRequest, id="a bare line feed behind the request line"),
            pytest.param(b"GET /x HTTP/1.1\r\nHost: a\nB", BadRequest, id="a bare line feed behind a field line"),
            pytest.param(b"GET /x HTTP/1.1\r\nHost: a\rB", BadRequest, id="a bare carriage return in a field line"),
            pytest.param(b"GET /x\r\nHost", BadRequest, id="a request line without a version"),
            pytest.param(b"GET /" + b"a" * 61, TargetTooLong, id="a request line that does not end"),
            pytest.param(b"G /" + b"a" * 53 + b" HTTP/1.1\r\n\r\n", TargetTooLong, id="one octet too many in it"),
            pytest.param(b"G / HTTP/1.1\r\n" + b"a" * 97, FieldsTooLarge, id="a section that does not end"),
            pytest.param(b"G / HTTP/1.1\r\n" + b"a" * 97 + b"\r\n\r\n", FieldsTooLarge, id="one octet too many in it"),
        ],
    )
    def test_what_cannot_become_a_head_is_refused_at_once(self, data, error):
        with pytest.raises(error):
            head_length(data, LIMITS)


class TestRefusals:
    """One of each kind; all that clients were seen to send is in the scenarios."""

    @pytest.mark.parametrize(
        ("raw", "error"),
        [
            pytest.param(b"GET /\r\n\r\n", BadRequest, id="no version"),
            pytest.param(b"GET / HTTP/2.0\r\n\r\n", VersionRefused, id="another version"),
            pytest.param(b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", MethodUnknown, id="an unknown method"),
            pytest.param(b"get / HTTP/1.1\r\n" + HOST + b"\r\n", MethodUnknown, id="methods have case"),
            pytest.param(b"CONNECT a.test:1 HTTP/1.1\r\n" + HOST + b"\r\n", MethodRefused, id="no tunnels"),
            pytest.param(b"GET / HTTP/1.1\r\n\r\n", BadRequest, id="no Host"),
            pytest.param(get(b"A : b"), BadRequest, id="white space before the colon"),
            pytest.param(get(b" a: b"), BadRequest, id="a folded line"),
            pytest.param(get(b"A: b\x0bc"), BadRequest, id="a control character in a value"),
            pytest.param(get(b"Content-Length: "), BadRequest, id="an empty length"),
            pytest.param(get(b"Content-Length: 1000000000000000000"), BadRequest, id="a length of 19 digits"),
            pytest.param(get(b"Content-Length: 1", b"Transfer-Encoding: chunked"), BadRequest, id="two framings"),
            pytest.param(get(b"Transfer-Encoding: gzip, chunked"), BadRequest, id="a coding we do not know"),
            pytest.param(get(b"Transfer-Encoding: chunked", version=b"1.0"), BadRequest, id="chunked in HTTP/1.0"),
            pytest.param(get(b"Host: a.test"), BadRequest, id="two singletons"),
            pytest.param(get(b"Connection: host"), BadRequest, id="an option that takes the Host away"),
            pytest.param(get(b"Expect: 200-ok"), ExpectationFailed, id="an expectation nobody meets"),
        ],
    )
    def test_it_is_refused_by_name(self, raw, error):
        with pytest.raises(error):
            parsed(raw)

    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param([b"A: b"] * 4, id="the fifth field"),
            pytest.param([b"A: " + b"b" * 30], id="a field line of 33 octets"),
        ],
    )
    def test_sizes_have_limits(self, lines):
        with pytest.raises(FieldsTooLarge):
            parsed(get(*lines), LIMITS)

    def test_at_the_limits_nothing_is_refused(self):
        assert len(parsed(get(b"A: b", b"A: b", b"A: " + b"b" * 29), LIMITS).request.fields) == 4


class TestMeaning:
    @pytest.mark.parametrize(
        ("raw", "has_content", "length", "expects", "closes"),
        [
            pytest.param(get(), False, None, False, False, id="no content"),
            pytest.param(get(b"Content-Length: 0"), False, None, False, False, id="content of no octets is none"),
            pytest.param(get(b"Content-Length: 007"), True, 7, False, False, id="a length is decimal"),
            pytest.param(get(b"Transfer-Encoding: CHUNKED"), True, None, False, False, id="chunked"),
            pytest.param(get(b"Expect: 100-Continue"), False, None, False, False, id="nothing to continue with"),
            pytest.param(get(b"Expect: 100-Continue", b"Content-Length: 7"), True, 7, True, False, id="to continue"),
            pytest.param(
                get(b"Expect: 100-continue", b"Content-Length: 7", version=b"1.0"), True, 7, False, True,
                id="HTTP/1.0 knows no 100",
            ),
            pytest.param(get(b"Connection: x, Close"), False, None, False, True, id="close is one of the options"),
            pytest.param(get(version=b"1.0"), False, None, False, True, id="HTTP/1.0 closes"),
            pytest.param(get(b"Connection: Keep-Alive", version=b"1.0"), False, None, False, False, id="if it may"),
            pytest.param(get(b"Connection: Upgrade", b"Upgrade: h2c"), False, None, False, True, id="an upgrade"),
            pytest.param(get(b"Upgrade: h2c"), False, None, False, False, id="half an upgrade is none"),
            pytest.param(
                get(b"Connection: Upgrade", b"Upgrade: x", b"Transfer-Encoding: chunked"), True, None, False, True,
                id="an upgrade with content",
            ),
        ],
    )  # fmt: skip
    def test_framing_and_connection(self, raw, has_content, length, expects, closes):
        head = parsed(raw)
        assert (head.request.has_content, head.request.content_length) == (has_content, length)
        assert (head.expects_continue, head.wants_close) == (expects, closes)

    def test_fields_keep_their_order_and_lose_white_space(self):
        raw = get(b"B:\t 2 \t", b"a:1", b"B: ", b"C: \x85\xa0")
        assert parsed(raw).request.fields.lines[1:] == ((b"b", b"2"), (b"a", b"1"), (b"b", b""), (b"c", b"\x85\xa0"))

    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_every_known_method_is_understood(self, method):
        assert parsed(method + b" /x HTTP/1.1\r\n" + HOST + b"\r\n").request.method == method


PIECES = st.sampled_from([
    b"GET ", b"/", b" HTTP/1.1\r\n", b"Host: a.test\r\n", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"A", b"b: c\r\n", b"\x00",
    b"\x80", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: upgrade\r\n", b"Upgrade: x\r\n",
])  # fmt: skip


@given(st.lists(PIECES).map(b"".join) | st.lists(PIECES).map(lambda pieces: get(b"".join(pieces))))
def test_nothing_outside_the_grammar_is_ever_accepted(raw):
    try:
        length = head_length(raw, Limits()) if raw else 0
        head = parsed(raw[:length]) if length else None
    except DownstreamError:
        return
    if head is not None:
        assert GRAMMAR(raw[:length])
        assert len(head.request.fields) == raw[:length].count(b"\r\n") - 2
