"""The headers of records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import StoreDamaged
from edge.store.record import (
    CHUNK_SIZE,
    HEADER_SIZE,
    Kind,
    check_body,
    decode_header,
    encode_header,
    header_of,
    key_hash,
    room_in_chunk,
)

KEY_HASH = key_hash(b"key")


def a_header(kind=Kind.CHUNK, body=b"content", offset=0):
    return header_of(kind, body, key_hash=KEY_HASH, generation=b"generatn", sequence=5, offset=offset)


@given(st.sampled_from(Kind), st.binary(max_size=100), st.integers(0, (1 << 64) - CHUNK_SIZE - 1))
def test_a_header_comes_back_as_it_was(kind, body, offset):
    body = body if kind in {Kind.HEAD, Kind.CHUNK} else b""
    header = a_header(kind, (body or b"x")[: room_in_chunk(offset)] if kind is Kind.CHUNK else body, offset)
    raw = encode_header(header)
    assert len(raw) == HEADER_SIZE
    assert decode_header(raw + b"what follows") == header


@given(st.binary(max_size=2 * HEADER_SIZE))
def test_arbitrary_bytes_are_damaged_and_nothing_else(raw):
    with pytest.raises(StoreDamaged):
        decode_header(raw)


@given(st.integers(0, HEADER_SIZE * 8 - 1))
def test_every_flipped_bit_is_noticed(bit):
    raw = bytearray(encode_header(a_header()))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreDamaged):
        decode_header(bytes(raw))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(a_header(body=b""), id="a chunk without content"),
        pytest.param(a_header(body=b"xx", offset=CHUNK_SIZE - 1), id="a chunk across a boundary"),
        pytest.param(a_header(Kind.REMOVED, b"x"), id="a removal with a body"),
        pytest.param(a_header()._replace(length=1 << 31), id="a length that no record has"),
    ],
)
def test_out_of_bounds(header):
    with pytest.raises(StoreDamaged):
        decode_header(encode_header(header))


@pytest.mark.parametrize("body", [b"conten", b"contens", b"content!"])
def test_another_body_is_damaged(body):
    with pytest.raises(StoreDamaged):
        check_body(a_header(), body)
