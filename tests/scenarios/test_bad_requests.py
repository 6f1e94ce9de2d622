"""Hostile and malformed requests: octets in, what is answered, and what the origin must never see.

After each case a well-formed request on a fresh connection is answered normally, through the same connections to the
origin, and nothing else has reached the origin.
"""

import json

import pytest

from edge.telemetry.lines import formatter
from tests.downstream.talking import Answer
from tests.scenarios.staging import NODE, Asked, Edge, RecordingOrigin, response
from tests.scenarios.visiting import Visitor, get, message, post

CANARY = b"GET /canary HTTP/1.1\r\nHost: a.test\r\n\r\n"
SMUGGLED = b"GET /evil HTTP/1.1\r\nHost: a.test\r\nX: yyyy"
HIT = b"/hit"


def chunked(content: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", content=content)


def line(request_line: bytes) -> bytes:
    return message(request_line)


def field(line: bytes) -> bytes:
    """Return a request with `line` among its fields, between two others."""
    return get(b"A: 1", line, b"B: 2")


def case(wire: bytes, *statuses: int, reaches: tuple[bytes, ...] = (), closes: bool = True, id: str):  # noqa: A002
    return pytest.param(wire, statuses, reaches, closes, id=id)


def refused(wire: bytes, id: str):  # noqa: A002
    """Return a case that is answered 400, without the origin hearing of it, and closed."""
    return case(wire, 400, id=id)


def named(octets: bytes) -> str:
    return ascii(octets.decode("latin-1"))[1:-1]


FRAMING = [
    refused(post(b"Transfer-Encoding: chunked", b"Content-Length: 4", content=b"5c\r\nGPOST / "), "chunked and a length"),
    refused(post(b"Content-Length: 4", b"Transfer-Encoding: chunked", content=b"5c\r\nGPOST / "), "a length and chunked"),
    *[
        refused(post(b"Content-Length: " + value, content=b"hello"), f"the length {named(value)}")
        for value in (b"5, 5", b"5, 6", b"5,5,5", b"", b"+5", b"-5", b"0x5", b"5_0", b"5 5", b"5;a", b"9" * 20)
    ],
    refused(post(b"Content-Length: 5", b"Content-Length: 5", content=b"hello"), "the same length twice"),
    refused(post(b"Content-Length:", b"Content-Length: 43"), "an empty length and another"),
    case(post(b"Content-Length: 0010", content=b"0123456789"), 200, reaches=(b"POST /p",), closes=False,
         id="leading zeros are decimal"),
    refused(post(b"Content-Length\x85: 5", content=b"hello"), "a length under a name that is no token"),
    refused(post(b"\x01Content-Length: 5", content=b"hello"), "a length behind a control character"),
    refused(post(b"Content-Length : 5", content=b"hello"), "white space before the colon"),
    case(post(b"Content_Length: 5", content=b"hello\r\n\r\n"), 200, 400, reaches=(b"POST /p",),
         id="an underscore frames nothing"),
    *[
        refused(post(b"Transfer-Encoding: " + value, content=b"0\r\n\r\n"), f"the coding {named(value)}")
        for value in (
            b"chunked, identity", b"chunked, gzip", b"gzip, chunked", b"identity", b"chunked, chunked", b"",
            b"xchunked", b"\x0bchunked", b"\x0cchunked", b"chunked\x00", b"\xa0chunked\xa0", b"\xffchunked\xff",
            b"chunked\x85", b"chun\xe2\x84\xaaed", b'"chunked"', b"chunked;a=b",
        )
    ],
    refused(post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", content=b"0\r\n\r\n"), "chunked twice"),
    refused(post(b"Tran\xc5\xbffer-Encoding: chunked", content=b"0\r\n\r\n"), "a long s in Transfer-Encoding"),
    refused(message(b"POST /p HTTP/1.0", b"Transfer-Encoding: chunked", content=b"0\r\n\r\n"), "chunked in HTTP/1.0"),
    case(post(b"Transfer-Encoding: Chunked", content=b"5\r\nhello\r\n0\r\n\r\n"), 200, reaches=(b"POST /p",),
         closes=False, id="codings have no case"),
    case(post(b"Transfer_Encoding: chunked", content=b"0\r\n\r\n"), 200, 400, reaches=(b"POST /p",),
         id="an underscore chunks nothing"),
]  # fmt: skip

CHUNKS = [
    *[
        refused(chunked(size + b"\r\nhello\r\n0\r\n\r\n"), f"the chunk size {named(size[:24])}")
        for size in (
            b"0x5", b"+5", b"-0", b"5_0", b" 5", b"5 ", b"\t5", b"", b"g", b"5z", b"z", b"5\x00", b"5 ;a=b",
            b"FFFFFFFFFFFFFFED", b"FFFFFFFFFFFFFFFF", b"8000000000000000", b"10000000000000005", b"0" * 4096 + b"5",
            b"5;", b"5;=b", b"5;a=", b"5;a=\x00", b'5;a="x', b'5;a="x\r\ny"', b"5;a b", b"5;" + b"a=b;" * 16384,
        )
    ],
    refused(chunked(b"5\r\nhelloXX\r\n0\r\n\r\n"), "more data than the chunk size says"),
    refused(chunked(b"5\r\nhelloXY0\r\n\r\n"), "two octets in place of the line break"),
    refused(chunked(b"5\r\nhello0\r\n\r\n"), "no line break behind a chunk"),
    refused(chunked(b"5\r\nhello\n0\r\n\r\n"), "a bare line feed behind a chunk"),
    refused(chunked(b"5\nhello\r\n0\r\n\r\n"), "a bare line feed behind a chunk size"),
    refused(chunked(b"0\r\nX"  b"\r\n\r\n"), "no empty line at the end"),
    refused(chunked(b"0\r\n\rX\r\n\r\n"), "half an empty line at the end"),
    refused(chunked(b"0\n\r\n"), "a bare line feed behind the last chunk"),
    refused(chunked(b"\r\n0\r\n\r\n"), "an empty line before the last chunk"),
    case(chunked(b"0\r\n\r\n\x00"), 200, 400, reaches=(b"POST /p",), id="an octet behind the end"),
    case(chunked(b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n"), 200, reaches=(b"POST /p",), closes=False,
         id="many small chunks"),
    case(chunked(b"1\r\na\r\n" * 9 + b"%x\r\n" % (1 << 21) + bytes(1 << 21) + b"\r\n0\r\n\r\n"), 413,
         id="more than a site takes"),
    case(chunked(b"5;a=b;c=\"d;e\"\r\nhello\r\n0\r\n"
                 b"Content-Length: 9\r\nTransfer-Encoding: x\r\nHost: evil\r\nAuthorization: x\r\n\r\n"),
         200, reaches=(b"POST /p",), closes=False, id="extensions and trailers are dropped"),
    case(chunked(b"0\r\n" + b"a: b\r\n" * 10_000 + b"\r\n"), 431, id="10,000 trailer lines"),
    case(chunked(b"0\r\na: " + b"b" * (1 << 20) + b"\r\n\r\n"), 431, id="a trailer of a megabyte"),
    refused(chunked(b"0\r\na: b\n\r\n"), "a bare line feed in the trailer section"),
    refused(chunked(b"0\r\n: x\r\n\r\n"), "a trailer without a name"),
    refused(chunked(b"0\r\na: b\r\n c\r\n\r\n"), "a folded trailer"),
]  # fmt: skip

LINES = [
    *[
        refused(wire, f"the head {named(wire[:30])}")
        for wire in (
            b"GET / HTTP/1.1\nHost: a.test\n\n", b"GET / HTTP/1.1\r\nHost: a.test\n\n", b"GET / HTTP/1.1\nHost: a.test\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a.test\r\n\n", b"GET / HTTP/1.1\r\nHost: a.test\n\r\n", b"GET / HTTP/1.1\rHost: a.test\r\r",
            b"GET /x\r\n\r\n", b"GET /x\n", b"GET  /x HTTP/1.1\r\nHost: a.test\r\n\r\n", b"GET\t/x\tHTTP/1.1\r\nHost: a.test\r\n\r\n",
            b"GET /x HTTP/1.1 \r\nHost: a.test\r\n\r\n", b" GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", b"GET /x HTTP/1.1x\r\n\r\n",
            b"GET /x http/1.1\r\nHost: a.test\r\n\r\n", b"GET /x HTTP/11\r\nHost: a.test\r\n\r\n", b"\r\n\r\n" + CANARY,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + CANARY,
            b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\xff" + CANARY, b"\x00" * 100, b"A" * 100_000 + b" /x HTTP/1.1\r\n\r\n",
        )
    ],
    case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="the preface of HTTP/2"),
    case(line(b"GET /x HTTP/2.0"), 505, id="another version"),
    case(line(b"GET /x HTTP/1.2"), 505, id="another minor version"),
    case(get() + b"\x16\x03\x01\x02\x00", 200, 400, reaches=(b"GET /x",), id="a request, then garbage"),
    case(b"\r\n" + get(), 200, reaches=(b"GET /x",), closes=False, id="one empty line before a request"),
    case(get(target=b"/" + b"a" * 8192), 414, id="a target that is too long"),
    case(b"GET /" + b"a" * 9000, 414, id="a target that does not end"),
]  # fmt: skip

FIELDS = [
    *[
        refused(field(b"a" + bytes([octet]) + b"b: c"), f"the octet {octet:#04x} in a name")
        for octet in [*range(0x09), *range(0x0B, 0x21), *b'"(),/;<=>?@[\\]{}', 0x7F, 0x80, 0xFF]
    ],
    *[
        refused(field(b"a: b" + bytes([octet]) + b"c"), f"the octet {octet:#04x} in a value")
        for octet in [*range(9), *range(0x0A, 0x20), 0x7F]
    ],
    refused(message(b"GET /x HTTP/1.1", b"A: 1", host=b"Host: a.test\r\n b"), "a folded first line"),
    refused(field(b"X: a\r\n b"), "a folded line"),
    refused(field(b"X: a\r\n\tb"), "a line folded with a tab"),
    refused(get(b"X: a", b" b"), "a folded last line"),
    refused(field(b": x"), "a field without a name"),
    refused(field(b"abc"), "a line without a colon"),
    case(get(b"A: " + b"b" * 8192), 431, id="a field line of more than 8 KiB"),
    case(get(*[b"A%d: %s" % (number, b"b" * 4000) for number in range(9)]), 431, id="a section of more than 32 KiB"),
    case(get(*[b"A%d: b" % number for number in range(100)]), 431, id="the 101st field"),
    case(get(b"A" * 100_000 + b": b"), 431, id="a name of 100,000 octets"),
    case(get(*[b"a:b"] * 1_000_000), 431, id="a million fields"),
    *[
        refused(post(b"Connection: " + option, b"Content-Length: 4", content=b"asdf"), f"the option {named(option)}")
        for option in (b"Content-Length", b"Host", b"Transfer-Encoding", b"close, HOST", b"Authorization", b"Cookie",
                       b"Cache-Control", b"CDN-Loop")
    ],
    refused(get(b"Host: a.test"), "the same Host twice"),
    refused(get(b"Host: b.test"), "two Hosts"),
    *[
        refused(get(name + b": a", name + b": b"), f"{named(name)} twice")
        for name in (b"Content-Type", b"Authorization", b"If-Modified-Since", b"If-Range", b"Content-Range",
                     b"User-Agent", b"Range")
    ],
    refused(get(b"Expect: 100-continue", b"Expect: 100-continue"), "Expect twice"),
    case(get(b"CDN-Loop: " + NODE), 508, closes=False, id="through this node before"),
    case(get(b"CDN-Loop: other", b"CDN-Loop: another;a=b, edge.test;c=d"), 508, closes=False,
         id="through this node before, in the second field"),
    case(get(b"CDN-Loop: " + b"a, " * 200 + NODE), 508, closes=False, id="through 200 others and this node before"),
    case(get(b"Via: 1.1 edge.test"), 508, closes=False, id="through this node before, by Via alone"),
]  # fmt: skip

TARGETS = [
    refused(line(b"GET http://b.test/x HTTP/1.1"), "the target names another host than Host"),
    *[
        refused(line(b"GET " + target + b" HTTP/1.1"), f"the target {named(target)}")
        for target in (
            b"https://a.test/x", b"ftp://a.test/x", b"file:///etc/passwd", b"gopher://127.0.0.1:11211/_stats",
            b"*", b"admin", b"a.test:80", b"?x", b"", b"http://a.test\t.evil/", b"http://", b"http:///x",
            b"http://user@a.test/x",
        )
    ],
    refused(line(b"OPTIONS */test HTTP/1.1"), "more than a star"),
    *[
        refused(line(b"GET /a" + bytes([octet]) + b"b HTTP/1.1"), f"the octet {octet:#04x} in a target")
        for octet in [*range(0x21), *b'"<>\\^`{}#', 0x7F, 0x80, 0xC3, 0xFF]
    ],
    case(line(b"GET http://a.test HTTP/1.1"), 200, reaches=(b"GET /",), closes=False, id="no path is the root"),
    case(line(b"GET http://a.test?q HTTP/1.1"), 200, reaches=(b"GET /?q",), closes=False, id="no path, but a query"),
    case(line(b"GET //evil.test/x HTTP/1.1"), 200, reaches=(b"GET //evil.test/x",), closes=False,
         id="two slashes begin a path"),
    *[
        refused(message(b"GET /x HTTP/1.1", host=b"Host: " + host), f"the host {named(host)}")
        for host in (
            b"user@a.test", b"a.test/path", b"a.test?x", b"a.test#", b"a.test\x02", b"a.test:98777", b"a.test:80:80",
            b"a.test:+80", b"a.test:8 0", b"[::1", b"[::1].", b"x[::1]", b"..a", b".", b"a.test.:1.2", b"", b"a.test, b.test",
            b"b\xc3\xbccher.test",
        )
    ],
    refused(b"GET /x HTTP/1.1\r\n\r\n", "no Host"),
    refused(b"GET /x HTTP/1.0\r\n\r\n", "no Host in HTTP/1.0"),
    case(message(b"GET /x HTTP/1.1", host=b"Host: xn--bcher-kva.test"), 200, reaches=(b"GET /x",), closes=False,
         id="an A-label"),
]  # fmt: skip

METHODS = [
    *[
        case(line(method + b" /hit HTTP/1.1"), 501, id=f"the method {named(method)}")
        for method in (b"get", b"FOO", b"Get", b"GETT", b"G")
    ],
    *[
        refused(line(method + b" /x HTTP/1.1"), f"the method {named(method[:12])}")
        for method in (b"GET?", b'G=":<>(e),[T];?"', b"\x00", b"G" * 100_000, b"G\xc3\x8bT")
    ],
    *[
        case(line(method + b" /hit HTTP/1.1"), 405, closes=False, id=f"{named(method)} is not served")
        for method in (b"TRACE", b"TRACK", b"PURGE", b"BAN", b"INVALIDATE", b"LINK", b"UNLINK", b"SOURCE")
    ],
    case(message(b"PURGE /hit HTTP/1.1", b"Authorization: Bearer x"), 405, closes=False, id="PURGE with a token"),
    case(message(b"TRACE /x HTTP/1.1", b"Max-Forwards: 0", b"Cookie: a=b"), 405, closes=False, id="TRACE for this hop"),
    case(message(b"OPTIONS /x HTTP/1.1", b"Max-Forwards: 0"), 204, closes=False, id="OPTIONS for this hop"),
    case(line(b"OPTIONS * HTTP/1.1"), 204, closes=False, id="OPTIONS for the server"),
    case(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n" + SMUGGLED, 405, id="CONNECT"),
    case(line(b"CONNECT / HTTP/1.1"), 405, id="CONNECT to a path"),
    case(message(b"CONNECT a.test:443 HTTP/1.1", b"Content-Length: 5", content=b"hello"), 405, id="CONNECT with content"),
    case(message(b"QUERY /hit HTTP/1.1", b"Content-Length: 5", content=b"hello"), 200, reaches=(b"QUERY /hit",),
         closes=False, id="QUERY goes through"),
    case(line(b"PROPFIND /hit HTTP/1.1"), 200, reaches=(b"PROPFIND /hit",), closes=False, id="PROPFIND goes through"),
    case(line(b"SEARCH /hit HTTP/1.1"), 200, reaches=(b"SEARCH /hit",), closes=False, id="SEARCH goes through"),
    case(post(b"Expect: 100-continue", b"Content-Length: 9", content=b"123456789"), 200, reaches=(b"POST /p",),
         closes=False, id="an expectation with the content at once"),
    *[
        case(post(b"Expect: " + value, b"Content-Length: 5", content=b"hello"), 417, id=f"the expectation {named(value)}")
        for value in (b"200-ok", b"y 100-continue", b"100-continue, x", b"")
    ],
    refused(message(b"OPTIONS /x HTTP/1.1", b"Expect:\r\n 100-continue"), "a folded expectation"),
    case(post(b"Upgrade: websocket", b"Content-Length: 5", content=b"hello"), 200, reaches=(b"POST /p",), closes=False,
         id="Upgrade without Connection"),
    case(post(b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 5", content=b"hello\x81\x05"), 200,
         reaches=(b"POST /p",), id="an upgrade is a request like any other, and the last"),
    case(get(b"Upgrade: x/1", b"Connection: Upgrade") + SMUGGLED, 200, reaches=(b"GET /x",), id="an unknown protocol"),
    case(message(b"GET /x HTTP/1.0", b"Upgrade: websocket", b"Connection: upgrade"), 200, reaches=(b"GET /x",),
         id="an upgrade in HTTP/1.0"),
    case(get(b"Cache-Control: only-if-cached"), 504, closes=False, id="only-if-cached and nothing stored"),
    case(post(b"Content-Length: 1073741824"), 413, id="an upload that is refused at once"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wire", "statuses", "reaches", "closes"), [*FRAMING, *CHUNKS, *LINES, *FIELDS, *TARGETS, *METHODS]
)
async def test_a_bad_request_is_answered_and_harms_nobody(stage, edge_with, wire, statuses, reaches, closes):
    origin = await stage.origin()
    edge = await edge_with(origin)
    await warm(edge)
    async with Visitor(edge) as client:
        client.writer.write(wire)
        answers = [await client.answer() for _ in statuses]
        assert tuple(answer.status for answer in answers) == statuses
        if closes:
            assert await client.rest() == b""
        else:
            client.writer.write(CANARY)
            assert (await client.answer()).content == b"/canary"
    for answer in answers:
        assert_tells_nothing(answer)
    await assert_well(edge, origin, reaches if closes else (*reaches, b"GET /canary"))


def _early(answered: bytes, status: int, id: str):  # noqa: A002
    return pytest.param(answered, status, id=id)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        _early(b"GET /hit HTTP/1.1", 200, "a hit"),
        _early(b"HEAD /hit HTTP/1.1", 200, "a hit for HEAD"),
        _early(b"GET /hit HTTP/1.1\r\nIf-None-Match: *", 304, "a 304"),
        _early(b"GET /hit HTTP/1.1\r\nRange: bytes=99-", 416, "a 416"),
        _early(b"GET /x HTTP/1.1\r\nCache-Control: only-if-cached", 504, "a 504"),
        _early(b"TRACE /x HTTP/1.1", 405, "a 405"),
        _early(b"GET /x HTTP/1.1\r\nCDN-Loop: edge.test", 508, "a 508"),
        _early(b"OPTIONS * HTTP/1.1", 204, "an answer about this server"),
    ],
)
@pytest.mark.parametrize(
    "framed",
    [
        pytest.param(b"Content-Length: %d\r\n\r\n%s" % (len(SMUGGLED), SMUGGLED), id="by its length"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), id="chunked"
        ),
    ],
)
async def test_content_that_nobody_asked_for_is_never_a_request(stage, edge_with, head, status, framed):
    origin = await stage.origin()
    edge = await edge_with(origin)
    await warm(edge)
    async with Visitor(edge) as client:
        client.writer.write(head + b"\r\nHost: a.test\r\n" + framed + CANARY)
        assert (await client.answer(head.split(b" ")[0])).status == status
        assert (await client.answer()).content == b"/canary"
    await assert_well(edge, origin, (b"GET /canary",))


@pytest.mark.parametrize(
    "method", [pytest.param(b"GET", id="GET"), pytest.param(b"HEAD", id="HEAD"), pytest.param(b"OPTIONS", id="OPTIONS")]
)
@pytest.mark.parametrize("framing", [b"Content-Length: %d" % len(SMUGGLED), b"Transfer-Encoding: chunked"])
async def test_content_of_any_method_is_framed_anew_or_dropped(stage, edge_with, method, framing):
    origin = await stage.origin()
    edge = await edge_with(origin)
    content = SMUGGLED if b"Length" in framing else b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    async with Visitor(edge) as client:
        client.writer.write(message(method + b" /x HTTP/1.1", framing, content=content) + CANARY)
        assert (await client.answer(method)).status == 200
        assert (await client.answer()).content == b"/canary"
    assert origin.asked[0].content == (SMUGGLED if method == b"OPTIONS" else b"")
    await assert_well(edge, origin, (method + b" /x", b"GET /canary"), warmed=False)


async def test_content_that_is_cut_short_never_completes_a_request(stage, edge_with):
    origin = await stage.origin()
    edge = await edge_with(origin)
    await warm(edge)
    async with Visitor(edge) as client:
        client.writer.write(chunked(b"5\r\nhello\r\n").replace(b"/p", b"/hit"))
        client.writer.write_eof()
        assert await client.ended() == b""
    await assert_well(edge, origin, ())
    async with Visitor(edge) as client:
        client.writer.write(get(target=HIT))
        assert (await client.answer()).fields[b"x-cache"] == b"HIT"


async def test_a_chunk_that_never_ends_is_neither_waited_for_nor_allocated(stage, edge_with):
    origin = await stage.origin()
    edge = await edge_with(origin)
    await warm(edge)
    async with Visitor(edge) as client:
        client.writer.write(chunked(b"111111113\r\nseven b"))
        client.writer.write_eof()
        assert await client.ended() == b""
    await assert_well(edge, origin, ())


FORWARDED = [
    pytest.param(b"X-Text: caf\xe9", {b"x-text": [b"caf\xe9"]}, id="obs-text goes on as it is"),
    pytest.param(b"X-Text: \x85admin\xa0", {b"x-text": [b"\x85admin\xa0"]}, id="what Latin-1 calls white space as well"),
    pytest.param(b"X-Text: \t a b \t", {b"x-text": [b"a b"]}, id="white space around a value does not"),
    pytest.param(
        b"Connection: X-Forwarded-For, X-Real-IP, Via, Range, If-None-Match, X-Cache-Auth\r\nX-Cache-Auth: 1\r\n"
        b"X-Forwarded-For: 6.6.6.6\r\nVia: 1.0 x\r\nRange: bytes=0-1",
        {b"x-forwarded-for": [b"127.0.0.1"], b"via": [b"1.1 edge.test"], b"cdn-loop": [NODE], b"x-cache-auth": [],
         b"range": [], b"connection": []},
        id="what Connection names is dropped, and what this hop adds is not",
    ),
    *[
        pytest.param(name + b": x", {name.lower(): []}, id=f"{named(name)} is hop by hop")
        for name in (b"Keep-Alive", b"TE", b"Proxy-Connection", b"Proxy-Authorization", b"Upgrade", b"Trailer",
                     b"HTTP2-Settings")
    ],
    *[
        pytest.param(name + b": 1", {name.lower(): []}, id=f"{named(name)} is not for clients to set")
        for name in (b"Proxy", b"Forwarded", b"X-Real-IP", b"True-Client-IP", b"X-Purge", b"X-Cache-Debug",
                     b"Surrogate-Key", b"X-Edge-Auth", b"X-Original-URL", b"X-HTTP-Method-Override",
                     b"X_Forwarded_For", b"Content_Length")
    ],
    # RFC 8470 §5.1: whoever set it, an origin that knows it must not be kept from refusing a replay.
    pytest.param(b"Early-Data: 1", {b"early-data": [b"1"]}, id="that a request may be replayed is passed on"),
    pytest.param(b"X-Forwarded-For: 1.2.3.4", {b"x-forwarded-for": [b"127.0.0.1"]}, id="the client's address is ours"),
    pytest.param(b"X-Forwarded-Proto: https", {b"x-forwarded-proto": [b"http"]}, id="so is the scheme"),
    pytest.param(b"X-Forwarded-Host: b.test", {b"x-forwarded-host": [b"a.test"]}, id="so is the host"),
    pytest.param(b"Accept-Encoding: \x21;;;q=zz", {b"accept-encoding": []}, id="codings that make no sense are dropped"),
    pytest.param(b"Accept-Encoding: " + b"x, " * 2500 + b"gzip", {b"accept-encoding": []}, id="so are 2,500 of them"),
    pytest.param(b"Expect: 100-continue", {b"expect": []}, id="expectations are met here"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), FORWARDED)
async def test_fields_reach_the_origin_only_as_they_may(stage, edge_with, lines, expected):
    origin = await stage.origin()
    edge = await edge_with(origin)
    async with Visitor(edge) as client:
        client.writer.write(get(lines))
        assert (await client.answer()).status == 200
    (asked,) = origin.asked
    assert {name: asked.values(name) for name in expected} == expected
    assert asked.values(b"host") == [b"a.test"]
    await assert_well(edge, origin, (b"GET /x",), warmed=False)


async def test_request_content_is_framed_anew(stage, edge_with):
    origin = await stage.origin()
    edge = await edge_with(origin)
    async with Visitor(edge) as client:
        client.writer.write(post(b"Content-Length: 0010", b"Content-Encoding: gzip", content=b"0123456789"))
        await client.answer()
        client.writer.write(chunked(b"5;a=b\r\nhello\r\n0\r\nX-Trailer: x\r\n\r\n"))
        await client.answer()
    by_length, by_chunks = origin.asked
    assert (by_length.values(b"content-length"), by_length.content) == ([b"10"], b"0123456789")
    assert by_length.values(b"content-encoding") == [b"gzip"]
    assert (by_chunks.values(b"transfer-encoding"), by_chunks.content) == ([b"chunked"], b"hello")
    assert by_chunks.values(b"x-trailer") == []


@pytest.mark.parametrize(
    "host",
    [b"unknown.test", b"127.0.0.1", b"localhost", b"169.254.169.254", b"2130706433", b"0x7f.1", b"127.1",
     b"[::ffff:127.0.0.1]", b"a.test.evil.test", b"xa.test"],
    ids=named,
)  # fmt: skip
async def test_a_host_that_is_not_served_chooses_no_origin(stage, edge_with, host):
    origin = await stage.origin()
    edge = await edge_with(origin, hosts=(b"a.test",))
    async with Visitor(edge) as client:
        client.writer.write(message(b"GET /x HTTP/1.1", host=b"Host: " + host))
        assert (await client.answer()).status == 421
    await assert_well(edge, origin, (), warmed=False)


async def test_a_log_line_stays_one_line(stage, edge_with):
    origin = await stage.origin()
    edge = await edge_with(origin)
    hostile = b'User-Agent: x\x80\\"\xe2\x80\xa8\x9b31m'
    async with Visitor(edge) as client:
        client.writer.write(get(hostile) + b"\x1b[31m\r\n\r\n")
        assert [(await client.answer()).status for _ in range(2)] == [200, 400]
    for record in edge.log.records:
        logged = formatter("json", "keep", node="n", zone="")(record)
        assert logged.count(b"\n") == 1
        assert b"\x1b" not in logged
        assert json.loads(logged)["status"] == record.status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param(b"bytes=" + b"0-," * 1300, 206, id="1,300 times everything"),
        pytest.param(b"bytes=" + b"0-0," * 1000, 206, id="1,000 times the first octet"),
        pytest.param(b"bytes=9223372036854775807-", 416, id="from the end of time"),
        pytest.param(b"bytes=-18446744073709551616", 206, id="more from the end than there is"),
        pytest.param(b"bytes=0-99999999999999999999", 206, id="to beyond the end"),
        pytest.param(b"bytes=-0", 416, id="nothing from the end"),
        pytest.param(b"bytes=1-0", 200, id="backwards"),
        pytest.param(b"octets=0-1", 200, id="another unit"),
    ],
)
async def test_no_range_gives_more_than_there_is(stage, edge_with, value, status):
    origin = await stage.origin()
    edge = await edge_with(origin)
    await warm(edge)
    async with Visitor(edge) as client:
        client.writer.write(get(b"Range: " + value, target=HIT))
        answer = await client.answer()
    assert answer.status == status
    assert status == 416 or answer.content in HIT
    await assert_well(edge, origin, ())


async def test_a_slice_of_what_is_not_stored_is_all_that_is_asked_for(stage, edge_with):
    def answering(asked: Asked) -> bytes:
        if asked.values(b"range") == [b"bytes=-1"]:
            lines = (
                b"Content-Range: bytes 1048575-1048575/1048576",
                b'ETag: "x"',
                b"Cache-Control: max-age=60",
            )
            return response(b"206 Partial Content", b"z", *lines)
        return response(b"200 OK", asked.target)

    origin = await stage.origin(answering)
    edge = await edge_with(origin)
    async with Visitor(edge) as client:
        for number in range(10):
            client.writer.write(get(b"Range: bytes=-1", target=b"/huge?%d" % number))
            answer = await client.answer()
            assert (answer.status, answer.content) == (206, b"z")
    assert all(asked.values(b"range") == [b"bytes=-1"] for asked in origin.asked)


async def test_a_weak_validator_never_joins_ranges(stage, edge_with):
    def answering(asked: Asked) -> bytes:
        return response(b"200 OK", b"0123456789", b'ETag: W/"x"', b"Cache-Control: max-age=60")

    origin = await stage.origin(answering)
    edge = await edge_with(origin)
    async with Visitor(edge) as client:
        client.writer.write(get(target=HIT))
        await client.answer()
        for validator in (b'W/"x"', b'"x"', b"Sun, 06 Nov 2044 08:49:37 GMT"):
            client.writer.write(get(b"Range: bytes=0-1", b"If-Range: " + validator, target=HIT))
            assert (await client.answer()).status == 200


async def test_a_range_is_one_of_the_stored_representation(stage, edge_with):
    coded = bytes(range(128, 168))

    def answering(asked: Asked) -> bytes:
        return response(b"200 OK", coded, b'ETag: "gz"', b"Content-Encoding: gzip", b"Cache-Control: max-age=60")

    origin = await stage.origin(answering)
    edge = await edge_with(origin)
    async with Visitor(edge) as client:
        client.writer.write(get(b"Accept-Encoding: gzip", target=HIT))
        await client.answer()
        client.writer.write(get(b"Accept-Encoding: gzip", b"Range: bytes=3-9", target=HIT))
        answer = await client.answer()
    assert (answer.status, answer.content) == (206, coded[3:10])
    assert answer.fields[b"etag"] == b'"gz"'


@pytest.mark.parametrize(
    ("origin_says", "status"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, id="with a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, id="chunked"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\n\r\n", 502, id="a 304 that nobody asked for"),
        pytest.param(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\n\r\n", 502, id="a part of it"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, id="with content it must not have"),
    ],
)
async def test_head_is_answered_without_content(stage, edge_with, origin_says, status):
    def answering(asked: Asked) -> bytes:
        return origin_says if asked.method == b"HEAD" else response(b"200 OK", asked.target)

    origin = await stage.origin(answering)
    edge = await edge_with(origin)
    async with Visitor(edge) as client:
        client.writer.write(message(b"HEAD /x HTTP/1.1") + CANARY)
        assert (await client.answer(b"HEAD")).status == status
        assert (await client.answer()).content == b"/canary"
    await assert_well(edge, origin, (b"HEAD /x", b"GET /canary"), warmed=False)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH"], ids=named)
@pytest.mark.parametrize(
    ("status", "invalidates"),
    [
        pytest.param(b"200 OK", True, id="success invalidates"),
        pytest.param(b"303 See Other", True, id="redirection invalidates"),
        pytest.param(b"404 Not Found", False, id="a client error does not"),
        pytest.param(b"500 Internal Server Error", False, id="a server error does not"),
    ],
)
async def test_what_is_written_through_invalidates_by_its_outcome(stage, edge_with, method, status, invalidates):
    def answering(asked: Asked) -> bytes:
        if asked.method == b"GET":
            return response(b"200 OK", asked.target, b"Cache-Control: max-age=60")
        return response(status, b"", b"Location: http://other.test/hit")

    origin = await stage.origin(answering)
    edge = await edge_with(origin)
    elsewhere = message(b"GET /hit HTTP/1.1", host=b"Host: other.test")
    async with Visitor(edge) as client:
        for wire in (get(target=HIT), elsewhere):
            client.writer.write(wire)
            await client.answer()
        client.writer.write(message(method + b" /hit HTTP/1.1", b"Content-Length: 5", content=b"hello"))
        assert (await client.answer()).status == int(status[:3])
        client.writer.write(get(target=HIT))
        assert (await client.answer()).fields[b"x-cache"] == (b"MISS" if invalidates else b"HIT")
        client.writer.write(elsewhere)
        assert (await client.answer()).fields[b"x-cache"] == b"HIT"


async def warm(edge: Edge) -> None:
    """Have the edge store what /hit is."""
    async with Visitor(edge) as client:
        client.writer.write(get(target=HIT))
        assert (await client.answer()).content == HIT
        client.writer.write(get(target=HIT))
        assert (await client.answer()).fields[b"x-cache"] == b"HIT"


async def assert_well(edge: Edge, origin: RecordingOrigin, reached: tuple[bytes, ...], *, warmed: bool = True) -> None:
    """Send the canary; it, and what was expected to, is all that has reached the origin."""
    async with Visitor(edge) as client:
        client.writer.write(CANARY)
        answer = await client.answer()
    assert answer.status == 200
    before = (b"GET /hit",) if warmed else ()
    assert tuple(asked.line for asked in origin.asked) == (*before, *reached, b"GET /canary")
    assert origin.damaged == []


def assert_tells_nothing(answer: Answer) -> None:
    """A refusal holds a status and a token, and nothing of what was refused."""
    if answer.status >= 400:
        assert answer.fields[b"cache-control"] == b"no-store"
        status, token = answer.content.split()
        assert (int(status), token.replace(b"-", b"").isalpha()) == (answer.status, True)
        assert set(answer.fields) <= {
            b"content-type", b"cache-control", b"date", b"content-length", b"connection", b"allow", b"via",
            b"cache-status", b"x-cache",
        }  # fmt: skip
