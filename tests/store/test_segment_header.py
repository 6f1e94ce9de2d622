"""What the file of a segment begins with."""

import pytest

from edge.errors import StoreDamaged
from edge.store.segment_header import FIRST, decode_segment_header, encode_segment_header

TAG = b"12345678"
RAW = encode_segment_header(7, 1 << 20, TAG)


def damaged(*places: int) -> bytes:
    raw = bytearray(RAW)
    for place in places:
        raw[place] ^= 1
    return bytes(raw)


@pytest.mark.parametrize("place", range(FIRST))
def test_one_damaged_byte_harms_nothing(place):
    assert decode_segment_header(damaged(place), 7, 1 << 20) == TAG


@pytest.mark.parametrize(
    ("raw", "segment_id", "size"),
    [
        pytest.param(damaged(0, FIRST // 2), 7, 1 << 20, id="both copies are damaged"),
        pytest.param(RAW, 8, 1 << 20, id="it is that of another segment"),
        pytest.param(RAW, 7, 1 << 21, id="the file has another size"),
        pytest.param(b"", 7, 0, id="there is none"),
        pytest.param(bytes(FIRST), 7, 1 << 20, id="it was not written"),
    ],
)
def test_what_is_no_header_is_refused(raw, segment_id, size):
    with pytest.raises(StoreDamaged):
        decode_segment_header(raw, segment_id, size)
