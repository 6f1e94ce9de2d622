import pytest

from edge.errors import InternalError
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.upstream.request import ContentFraming, request_head


def head(method=b"GET", path=b"/a", *, fields=(), authority=None, **values) -> bytes:
    request = Request(method, Target(b"http", b"a.test:81", path, b"q=1"), FieldSection(fields), **values)
    return request_head(request, authority)


START = b" /a?q=1 HTTP/1.1\r\nHost: a.test:81\r\n"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(head(), b"GET" + START + b"\r\n", id="Host comes first"),
        pytest.param(head(authority=b"b.test"), b"GET /a?q=1 HTTP/1.1\r\nHost: b.test\r\n\r\n", id="another authority"),
        pytest.param(head(fields=[(b"x-a", b" b\xff"), (b"etag", b"1"), (b"x-a", b"c")]),
                     b"GET" + START + b"X-A:  b\xff\r\nETag: 1\r\nX-A: c\r\n\r\n",
                     id="names in their usual case, values byte for byte, in order"),
        pytest.param(head(fields=[(b"host", b"evil"), (b"content-length", b"9"), (b"transfer-encoding", b"chunked"),
                                  (b"connection", b"close"), (b"te", b"trailers")]),
                     b"GET" + START + b"TE: trailers\r\n\r\n", id="Host, Connection and framing are ours"),
        pytest.param(head(b"POST"), b"POST" + START + b"Content-Length: 0\r\n\r\n", id="POST without content says so"),
        pytest.param(head(b"DELETE"), b"DELETE" + START + b"\r\n", id="DELETE without content does not"),
        pytest.param(head(b"PUT", has_content=True, content_length=7), b"PUT" + START + b"Content-Length: 7\r\n\r\n",
                     id="content of a known length"),
        pytest.param(head(b"PUT", has_content=True, content_length=0), b"PUT" + START + b"Content-Length: 0\r\n\r\n",
                     id="content of no length"),
        pytest.param(head(b"PATCH", has_content=True), b"PATCH" + START + b"Transfer-Encoding: chunked\r\n\r\n",
                     id="content of unknown length"),
    ],
)  # fmt: skip
def test_head(written, expected):
    assert written == expected


@pytest.mark.parametrize("bad", [b"\r", b"\n", b"\r\n", b"\r\nX: y", b"\0", b"\x7f"])
def test_what_would_break_out_of_its_line_is_a_bug(bad):
    for values in ({"fields": [(b"a", b"b" + bad)]}, {"fields": [(b"a" + bad, b"b")]}, {"path": b"/" + bad},
                   {"method": b"GET" + bad}, {"authority": b"a" + bad}):  # fmt: skip
        with pytest.raises(InternalError):
            head(**values)


def test_content_is_sent_as_announced():
    counted = ContentFraming(5)
    assert [counted.piece(b"hel"), counted.piece(b"lo"), counted.end()] == [b"hel", b"lo", b""]
    chunked = ContentFraming(None)
    assert [chunked.piece(b"x" * 16), chunked.end()] == [b"10\r\n" + b"x" * 16 + b"\r\n", b"0\r\n\r\n"]


def test_content_is_never_longer_or_shorter_than_announced():
    with pytest.raises(InternalError, match="longer"):
        ContentFraming(2).piece(b"abc")
    short = ContentFraming(4)
    short.piece(b"abc")
    with pytest.raises(InternalError, match="shorter"):
        short.end()
