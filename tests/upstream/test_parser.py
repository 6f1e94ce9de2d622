"""The parser is fed whole, in two pieces at every position, and byte by byte."""

import sys

import pytest

from edge.errors import UpstreamProtocolError
from edge.upstream.parser import HEAD_LIMIT, INTERIM_LIMIT, LINES_LIMIT, ResponseParser

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def parse(raw: bytes, method: bytes = b"GET", *, cuts: tuple[int, ...] = (), eof: bool = False) -> ResponseParser:
    parser = ResponseParser(method)
    for start, end in zip((0, *cuts), (*cuts, len(raw)), strict=True):
        # The connection hands surplus that arrives later to nobody: it closes.
        if start < end and not parser.is_complete:
            parser.feed(raw[start:end])
    if eof:
        parser.feed_eof()
    return parser


def splits(raw: bytes):
    yield ()
    yield from ((cut,) for cut in range(1, len(raw)))
    yield tuple(range(1, len(raw)))


GOOD = [
    pytest.param(b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello", True, id="a length"),
    pytest.param(b"GET", b"HTTP/1.1 200 OK\r\ncontent-length:005\t \r\n\r\nhello", 200, b"hello", True,
                 id="a length with leading zeros and trailing white space"),
    pytest.param(b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True, id="a length of zero"),
    pytest.param(b"GET", CHUNKED + b"5\r\nhello\r\n00006\r\n world\r\n0\r\n\r\n", 200, b"hello world", True,
                 id="chunks"),
    pytest.param(b"GET", CHUNKED.replace(b"chunked", b"Chunked") + b"5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n", 200, b"hello",
                 True, id="chunk extensions are dropped"),
    pytest.param(b"GET", CHUNKED + b"0\r\nDigest: x\r\nSet-Cookie: a=b\r\n\r\n", 200, b"", True,
                 id="trailers are dropped"),
    pytest.param(b"GET", CHUNKED + b"3\r\n\r\n\r\r\n0\r\n\r\n", 200, b"\r\n\r", True, id="content that looks like an end"),
    pytest.param(b"GET", b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na", 200, b"a", False,
                 id="the close option ends the connection"),
    pytest.param(b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, b"a", False,
                 id="HTTP/1.0 is not reused"),
    pytest.param(b"GET", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", True, id="no reason, not even its space"),
    pytest.param(b"GET", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, b"", True, id="an empty reason"),
    pytest.param(b"GET", b"HTTP/1.1 999 \xc3\xa9\r\nContent-Length: 0\r\n\r\n", 999, b"", True, id="an unknown status"),
    pytest.param(b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True, id="204 has no content"),
    pytest.param(b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b"", True,
                 id="204 has no content whatever it says"),
    pytest.param(b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n", 304, b"", True,
                 id="304 has no content whatever it says"),
    pytest.param(b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, b"", True, id="HEAD with a length"),
    pytest.param(b"HEAD", CHUNKED, 200, b"", True, id="HEAD with a transfer coding"),
    pytest.param(b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n", 200, b"", True, id="HEAD without framing"),
    pytest.param(b"GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                 b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 200, b"ab", True, id="interim responses first"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "raw", "status", "content", "reusable"), GOOD)
def test_good_response_is_the_same_in_any_pieces(method, raw, status, content, reusable):
    for cuts in splits(raw):
        parser = parse(raw, method, cuts=cuts)
        assert parser.head is not None
        assert (parser.head.status, b"".join(parser.pieces)) == (status, content), cuts
        assert (parser.is_complete, parser.is_reusable) == (True, reusable), cuts


@pytest.mark.parametrize("surplus", [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"x", b"0\r\n\r\n",
                                     b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])  # fmt: skip
@pytest.mark.parametrize(("method", "raw", "status", "content", "reusable"), GOOD)
def test_surplus_costs_the_connection_and_is_dropped(method, raw, status, content, reusable, surplus):
    whole = raw + surplus
    # A cut at the end of the message itself makes the surplus the connection's business.
    for cuts in splits(raw):
        parser = parse(whole, method, cuts=cuts)
        assert parser.head is not None
        assert (parser.head.status, b"".join(parser.pieces)) == (status, content), cuts
        assert (parser.is_complete, parser.is_reusable) == (True, False), cuts


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"", id="no framing"),
        pytest.param(b"Transfer-Encoding: odd;a=1, Identity\r\n", id="codings that nobody knows"),
    ],
)
def test_content_without_other_framing_ends_with_the_connection(field):
    raw = b"HTTP/1.1 200 OK\r\n%b\r\nhello\r\n\r\n" % field
    for cuts in splits(raw):
        assert not parse(raw, cuts=cuts).is_complete
        parser = parse(raw, cuts=cuts, eof=True)
        assert b"".join(parser.pieces) == b"hello\r\n\r\n"
        assert (parser.is_complete, parser.is_reusable) == (True, False)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", CHUNKED + b"FFFF\r\n"])
def test_content_that_came_with_the_head_is_let_go_of(head):
    parser, data = ResponseParser(b"GET"), head + bytes(1000)
    before = sys.getrefcount(data)
    parser.feed(data)
    assert b"".join(parser.pieces) == bytes(1000)
    parser.pieces.clear()
    assert sys.getrefcount(data) == before


def test_fields_are_lower_case_names_and_trimmed_values_in_order():
    parser = parse(b"HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nX-Y:\t b c \t\r\nset-cookie:b\r\nEmpty:\r\n\r\n")
    assert parser.head is not None
    assert parser.head.reason == b"Fine"
    assert parser.head.fields.lines == ((b"set-cookie", b"a"), (b"x-y", b"b c"), (b"set-cookie", b"b"), (b"empty", b""))


def test_interim_responses_are_kept_in_order_without_100():
    raw = (
        b"HTTP/1.1 103 A\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 B\r\n\r\nHTTP/1.1 204 C\r\n\r\n"
    )
    parser = parse(raw)
    assert [(response.status, response.fields.get(b"link")) for response in parser.interim] == [
        (103, b"</a>"),
        (102, None),
    ]


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        pytest.param(b"Keep-Alive: timeout=5, max=100", 5, id="the origin says how long it keeps the connection"),
        pytest.param(b"Keep-Alive: Timeout=0", 0, id="zero is a time too"),
        pytest.param(b"Keep-Alive: timeout=-1", None, id="what is not a number is not heard"),
        pytest.param(b"Server: x", None, id="silence"),
    ],
)
def test_idle_timeout(field, seconds):
    assert parse(b"HTTP/1.1 204 No Content\r\n%b\r\n\r\n" % field).idle_timeout == seconds


HEAD = b"HTTP/1.1 200 OK\r\n"
BAD = [
    pytest.param(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", id="a length and a coding"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", id="a coding and a length"),
    pytest.param(HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", id="the same length twice"),
    pytest.param(HEAD + b"Content-Length: 5, 5\r\n\r\n", id="a list of lengths"),
    pytest.param(HEAD + b"Content-Length: +5\r\n\r\n", id="a length with a sign"),
    pytest.param(HEAD + b"Content-Length: 0x5\r\n\r\n", id="a hexadecimal length"),
    pytest.param(HEAD + b"Content-Length: 1_0\r\n\r\n", id="a length with an underscore"),
    pytest.param(HEAD + b"Content-Length: 5 5\r\n\r\n", id="a length with a gap"),
    pytest.param(HEAD + b"Content-Length:\r\n\r\n", id="an empty length"),
    pytest.param(HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", id="a length beyond 64 bits"),
    pytest.param(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", id="another coding before chunked"),
    pytest.param(HEAD + b"Transfer-Encoding: gzip\r\n\r\n", id="another coding"),
    pytest.param(HEAD + b"Transfer-Encoding: x, gzip;q=1\r\n\r\n", id="another coding behind an unknown one"),
    pytest.param(HEAD + b"Transfer-Encoding: x\r\nTransfer-Encoding: y\r\n\r\n", id="unknown codings on two lines"),
    pytest.param(HEAD + b"Transfer-Encoding: x\r\nContent-Length: 5\r\n\r\n", id="an unknown coding and a length"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n", id="chunked twice"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunked on two lines"),
    pytest.param(HEAD + b"Transfer-Encoding: chun\xe2\x84\xaaed\r\n\r\n", id="chunked with a Kelvin sign"),
    pytest.param(HEAD + b"Transfer-Encoding:\r\n\r\n", id="an empty coding"),
    pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="a coding in HTTP/1.0"),
    pytest.param(HEAD + b"A : b\r\n\r\n", id="space before the colon"),
    pytest.param(HEAD + b"A b: c\r\n\r\n", id="space in a name"),
    pytest.param(HEAD + b"A\x00: b\r\n\r\n", id="NUL in a name"),
    pytest.param(HEAD + b"\xc3\xa9: b\r\n\r\n", id="a name that is not ASCII"),
    pytest.param(HEAD + b": b\r\n\r\n", id="an empty name"),
    pytest.param(HEAD + b"A\r\n\r\n", id="no colon"),
    pytest.param(HEAD + b"A: b\r\n c\r\n\r\n", id="a folded line"),
    pytest.param(HEAD + b" A: b\r\n\r\n", id="white space before the first field"),
    pytest.param(HEAD + b"A: b\x00c\r\n\r\n", id="NUL in a value"),
    pytest.param(HEAD + b"A: b\x0bc\r\n\r\n", id="a control character in a value"),
    pytest.param(HEAD + b"A: b\x7f\r\n\r\n", id="DEL in a value"),
    pytest.param(HEAD + b"Location: /\rSet-Cookie: a=b\r\n\r\n", id="CR in a value"),
    pytest.param(HEAD + b"Location: /\nSet-Cookie: a=b\r\n\r\n", id="LF in a value"),
    pytest.param(b"HTTP/1.1 200 OK\nA: b\n\n", id="bare LF everywhere"),
    pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="a status that is no number"),
    pytest.param(b"HTTP/1.1 99 X\r\n\r\n", id="a status of two digits"),
    pytest.param(b"HTTP/1.1 099 X\r\n\r\n", id="a status below 100"),
    pytest.param(b"HTTP/1.1 1000 X\r\n\r\n", id="a status of four digits"),
    pytest.param(b"HTTP/1.1  200 OK\r\n\r\n", id="two spaces before the status"),
    pytest.param(b"HTTP/1.1 200 O\x01K\r\n\r\n", id="a control character in the reason"),
    pytest.param(b"HTTP/1.1 200 O\rK\r\n\r\n", id="CR in the reason"),
    pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="HTTP/2.0"),
    pytest.param(b"HTTP/0.9 200 OK\r\n\r\n", id="HTTP/0.9"),
    pytest.param(b"HTTP/1.2 200 OK\r\n\r\n", id="HTTP/1.2"),
    pytest.param(b"http/1.1 200 OK\r\n\r\n", id="lower-case HTTP"),
    pytest.param(b"ICY 200 OK\r\n\r\n", id="ICY"),
    pytest.param(b"RTSP/1.0 200 OK\r\n\r\n", id="RTSP"),
    pytest.param(b"<html>hello</html>\r\n\r\n", id="content without a head"),
    pytest.param(b"\r\nHTTP/1.1 200 OK\r\n\r\n", id="a blank line first"),
    pytest.param(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", id="two blank lines first"),
    pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", id="unsolicited 101"),
    pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" * (INTERIM_LIMIT + 1), id="too many interim responses"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * (INTERIM_LIMIT + 1), id="100 counts among them"),
    pytest.param(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n", id="1xx with content"),
    pytest.param(CHUNKED + b"5\r\nhelloX\r\n", id="a chunk that is longer than its size"),
    pytest.param(CHUNKED + b"5 \r\nhello\r\n", id="white space after a chunk size"),
    pytest.param(CHUNKED + b"+5\r\nhello\r\n", id="a chunk size with a sign"),
    pytest.param(CHUNKED + b"0x5\r\nhello\r\n", id="a chunk size with a prefix"),
    pytest.param(CHUNKED + b"\r\nhello\r\n", id="no chunk size"),
    pytest.param(CHUNKED + b"fffffffffffffffff\r\n", id="a chunk size beyond 64 bits"),
    pytest.param(CHUNKED + b"5\nhello\r\n", id="a bare LF after a chunk size"),
    pytest.param(CHUNKED + b"5\r\nhello\n0\r\n\r\n", id="a bare LF after a chunk"),
    pytest.param(CHUNKED + b"5;a\x00b\r\nhello\r\n", id="NUL in a chunk extension"),
    pytest.param(CHUNKED + b"0\r\nA: b\x00\r\n\r\n", id="NUL in a trailer"),
    pytest.param(CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", id="a length in the trailers"),
]  # fmt: skip


@pytest.mark.parametrize("raw", BAD)
def test_malformed_response_is_refused_in_any_pieces(raw):
    for cuts in splits(raw):
        with pytest.raises(UpstreamProtocolError):
            parse(raw, cuts=cuts)


def lines(count: int) -> bytes:
    return b"".join(b"A: %d\r\n" % number for number in range(count))


def padded(length: int) -> bytes:
    start, end = HEAD + b"Content-Length: 0\r\nA: ", b"\r\n\r\n"
    return start + b"x" * (length - len(start) - len(end)) + end


@pytest.mark.parametrize(
    ("raw", "is_refused"),
    [
        pytest.param(padded(HEAD_LIMIT), False, id="a head at its limit"),
        pytest.param(padded(HEAD_LIMIT + 1), True, id="a head over its limit"),
        pytest.param(padded(HEAD_LIMIT * 2)[:-4], True, id="a head without an end"),
        pytest.param(HEAD + lines(LINES_LIMIT - 1) + b"Content-Length: 0\r\n\r\n", False, id="field lines at their limit"),
        pytest.param(HEAD + lines(LINES_LIMIT) + b"Content-Length: 0\r\n\r\n", True, id="field lines over their limit"),
        pytest.param(CHUNKED + b"0\r\n" + lines(LINES_LIMIT) + b"\r\n", False, id="trailer lines at their limit"),
        pytest.param(CHUNKED + b"0\r\n" + lines(LINES_LIMIT + 1) + b"\r\n", True, id="trailer lines over their limit"),
        pytest.param(CHUNKED + b"0\r\nA: " + b"x" * HEAD_LIMIT + b"\r\n\r\n", True, id="a trailer line over its limit"),
        pytest.param(CHUNKED + b"1;" + b"x" * (HEAD_LIMIT + 16) + b"\r\na\r\n0\r\n\r\n", True, id="a chunk extension over its limit"),
        pytest.param(CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n", False, id="many small chunks"),
        pytest.param(CHUNKED + b"1;a=%b\r\nx\r\n" % (b"b" * 100) * 1_000 + b"0\r\n\r\n", True,
                     id="a small chunk extension many times"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [None, 1000])
def test_limits(raw, is_refused, step):
    cuts = tuple(range(step, len(raw), step)) if step else ()
    if is_refused:
        with pytest.raises(UpstreamProtocolError):
            parse(raw, cuts=cuts)
    else:
        assert parse(raw, cuts=cuts).is_complete
