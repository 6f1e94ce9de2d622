import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downstream.chunked import Chunked
from edge.errors import BadRequest, DownstreamError, FieldsTooLarge
from edge.policy.limits import Limits

LIMITS = Limits(field=64, field_section=128)


def decoded(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Return the content, what lies behind it, and whether the end was found."""
    chunked = Chunked(LIMITS)
    content = rest = b""
    for piece in pieces:
        if chunked.is_complete:
            rest += piece
        else:
            more, rest = chunked.feed(piece)
            content += more
    return content, rest, chunked.is_complete


class TestDecoding:
    @pytest.mark.parametrize(
        ("wire", "content", "rest"),
        [
            pytest.param(b"0\r\n\r\n", b"", b"", id="no content"),
            pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"", id="one chunk"),
            pytest.param(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", b"", id="two chunks"),
            pytest.param(
                b"A\r\n0123456789\r\n00a\r\n0123456789\r\n000\r\n\r\n", b"0123456789" * 2, b"", id="any hexadecimal"
            ),
            pytest.param(b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", b"", id="line breaks as content"),
            pytest.param(b'5;a;b=c;d="\\"; \x80"\r\nhello\r\n0;e\r\n\r\n', b"hello", b"", id="extensions"),
            pytest.param(b"0\r\nA: b\r\nC:\r\n\r\n", b"", b"", id="trailers"),
            pytest.param(b"0\r\n\r\nGET /", b"", b"GET /", id="what lies behind the end is left"),
        ],
    )
    def test_content(self, wire, content, rest):
        assert decoded(wire) == (content, rest, True)
        assert decoded(*[wire[at : at + 1] for at in range(len(wire))]) == (content, rest, True)

    @pytest.mark.parametrize(
        ("wire", "error"),
        [
            pytest.param(b"\r\n", BadRequest, id="no size"),
            pytest.param(b"5 \r\n", BadRequest, id="white space behind a size"),
            pytest.param(b"5;\r\n", BadRequest, id="an extension without a name"),
            pytest.param(b"5\n", BadRequest, id="a bare line feed"),
            pytest.param(b"1000000000000000\r\n", BadRequest, id="a size of 16 digits"),
            pytest.param(b"5;" + b"a" * 254, BadRequest, id="a size line that does not end"),
            pytest.param(b"1;%s\r\nx\r\n" % (b"a" * 200) * 99, BadRequest, id="extensions without end"),
            pytest.param(b"1\r\nab", BadRequest, id="a chunk longer than its size, before any line break"),
            pytest.param(b"1\r\na\rb", BadRequest, id="half a line break behind a chunk"),
            pytest.param(b"0\r\n: b\r\n", BadRequest, id="a trailer without a name"),
            pytest.param(b"0\r\nA: b\n", BadRequest, id="a trailer with a bare line feed"),
            pytest.param(b"0\r\n" + b"a" * 64, FieldsTooLarge, id="a trailer that does not end"),
            pytest.param(b"0\r\n" + b"A: b\r\n" * 22, FieldsTooLarge, id="trailers without end"),
        ],
    )
    def test_broken_framing_is_refused_wherever_the_segments_end(self, wire, error):
        with pytest.raises(error):
            decoded(wire)
        with pytest.raises(error):
            decoded(*[wire[at : at + 1] for at in range(len(wire))])


CHUNK = st.binary(min_size=1, max_size=20).map(lambda piece: b"%x\r\n%s\r\n" % (len(piece), piece))
PIECES = st.sampled_from(
    [b"0", b"5", b"a", b"\r", b"\n", b"\r\n", b";", b"=", b'"', b" ", b":", b"hello", b"\x00", b"\x80"]
)
WIRE = st.tuples(st.lists(CHUNK).map(b"".join), st.lists(PIECES).map(b"".join) | st.just(b"0\r\n\r\nnext")).map(
    b"".join
)


def outcome(*pieces: bytes) -> object:
    try:
        return decoded(*pieces)
    except DownstreamError as error:
        return type(error)


@given(WIRE, st.data())
def test_splitting_the_octets_anywhere_changes_nothing(wire, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert outcome(*pieces) == outcome(wire)


class Collector:
    def __init__(self) -> None:
        self.content = b""
        self.is_complete = False

    def on_body(self, data: bytes) -> None:
        self.content += data

    def on_message_complete(self) -> None:
        self.is_complete = True


@given(WIRE)
def test_whatever_is_accepted_llhttp_reads_alike(wire):
    ours = outcome(wire)
    if isinstance(ours, tuple) and ours[2]:
        collector = Collector()
        parser = httptools.HttpRequestParser(collector)
        parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + wire[: len(wire) - len(ours[1])])
        assert (collector.content, collector.is_complete) == (ours[0], True)
