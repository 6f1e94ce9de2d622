import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downstream.http2.encoding import encode_integer, encode_response, final_block
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response

NAMES = st.sampled_from([b"etag", b"set-cookie", b"accept-encoding", b"x-a", b"content-type"]) | st.binary(max_size=300)
LINES = st.lists(st.tuples(NAMES, st.just(b"gzip, deflate") | st.binary(max_size=300)), max_size=8)


@given(st.integers(100, 599), LINES)
def test_any_decoder_reads_it_and_keeps_nothing(status, lines):
    decoder = hpack.Decoder()
    block = encode_response(status, FieldSection(lines))
    for _ in range(2):
        decoded = decoder.decode(block, raw=True)
        assert [tuple(line) for line in decoded] == [(b":status", b"%d" % status), *lines]
    assert not decoder.header_table.dynamic_entries


def test_cookies_are_never_to_be_indexed():
    (_, cookie, etag) = hpack.Decoder().decode(
        encode_response(200, FieldSection([(b"set-cookie", b"a=b"), (b"etag", b"x")])), raw=True
    )
    assert (type(cookie), type(etag)) == (hpack.NeverIndexedHeaderTuple, hpack.HeaderTuple)


@given(st.integers(0, 1 << 28), st.integers(1, 8))
def test_integers_are_what_they_were(value, bits):
    assert hpack.hpack.decode_integer(encode_integer(value, bits, 0), bits)[0] == value


@pytest.mark.parametrize(
    ("status", "length", "lines", "expected"),
    [
        pytest.param(200, 5, [], [(b":status", b"200"), (b"date", b"now"), (b"content-length", b"5")], id="a length"),
        pytest.param(200, None, [(b"date", b"then")], [(b":status", b"200"), (b"date", b"then")], id="none"),
        pytest.param(204, 0, [], [(b":status", b"204"), (b"date", b"now")], id="204 has no length"),
        pytest.param(304, 5, [], [(b":status", b"304"), (b"date", b"now")], id="nor has 304"),
    ],
)
def test_a_final_head_has_a_date_and_a_length(status, length, lines, expected):
    block = final_block(Response(status, FieldSection(lines)), length, lambda: b"now")
    assert [tuple(line) for line in hpack.Decoder().decode(block, raw=True)] == expected
