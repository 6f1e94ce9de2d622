"""What is remembered of header blocks is what decoding them anew would give."""

import hpack
import pytest
from hpack.table import HeaderTable
from hypothesis import given
from hypothesis import strategies as st

from edge.downstream.http2.decoding import BlockDecoder
from edge.downstream.http2.faults import ConnectionFault, Fault, StreamFault
from edge.downstream.http2.request import read_request
from edge.errors import DownstreamError
from edge.policy.limits import Limits
from tests.downstream.http2.speaking import GET, block

LIMITS = Limits()
VALUES = [b"/", b"/a", b"/" + b"long" * 20, b"1", b"", b"a" * 1500]


def outcome(ask) -> object:
    try:
        return ask()
    except Fault as fault:
        return type(fault), fault.code, fault.token
    except DownstreamError as error:
        return type(error)


@st.composite
def blocks(draw) -> list[bytes]:
    """Return header blocks as one client would send them: most of them again and again, some changing the table."""
    encoder = hpack.Encoder()
    made: list[bytes] = []
    for _ in range(draw(st.integers(1, 12))):
        if made and draw(st.booleans()):
            # The same octets, whatever has become of the table since.
            made.append(draw(st.sampled_from(made)))
            continue
        lines = [*GET[:3], (b":path", draw(st.sampled_from(VALUES[:3])))]
        names = draw(st.lists(st.sampled_from([b"a", b"b", b"accept", b"cookie"]), max_size=3))
        lines += [(name, draw(st.sampled_from(VALUES))) for name in names]
        if draw(st.integers(0, 9)) == 0:
            encoder.header_table_size = draw(st.sampled_from([0, 100, 4096]))
        if draw(st.booleans()):
            made.append(encoder.encode(lines, huffman=draw(st.booleans())))
        else:
            made.append(block(*lines))
    return made


@given(blocks(), st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_memo_never_changes_what_a_block_means(sent, ends):
    decoder, plain = BlockDecoder(b"http", LIMITS), hpack.Decoder(max_header_list_size=2 * LIMITS.field_section)
    for octets, end in zip(sent, ends, strict=False):
        ours = outcome(lambda octets=octets, end=end: decoder.request(octets, ends=end))
        try:
            lines = [tuple(line) for line in plain.decode(octets, raw=True)]
        except hpack.HPACKError:
            assert isinstance(ours, tuple)
            assert issubclass(ours[0], ConnectionFault)
            return
        theirs = outcome(lambda lines=lines, end=end: read_request(lines, ends=end, scheme=b"http", limits=LIMITS))
        assert ours == theirs


def test_a_block_that_names_the_table_is_read_anew_when_the_table_changed():
    decoder, encoder = BlockDecoder(b"http", LIMITS), hpack.Encoder()
    first = encoder.encode([*GET, (b"a", b"1")])
    again = encoder.encode([*GET, (b"a", b"1")])
    decoder.request(first, ends=True)
    known = decoder.request(again, ends=True)
    assert decoder.request(again, ends=True) is known
    assert known.head.request.fields.get(b"a") == b"1"
    decoder.request(encoder.encode([*GET, (b"b", b"2")]), ends=True)
    # What named :authority names a field now, and what named that names another: a pseudo-header field is missing.
    with pytest.raises(StreamFault):
        decoder.request(again, ends=True)


def test_the_same_request_has_the_same_octets_however_it_is_encoded():
    ways = [block(*GET), hpack.Encoder().encode(GET), hpack.Encoder().encode(GET, huffman=False)]
    assert len({BlockDecoder(b"http", LIMITS).request(way, ends=True).octets for way in ways}) == 1


@pytest.mark.parametrize(
    ("lines", "is_remembered"),
    [
        pytest.param(GET, True, id="a short request"),
        pytest.param([*GET, (b"a", b"b" * 600)], False, id="a long block"),
    ],
)
def test_only_what_is_short_is_remembered(lines, is_remembered):
    decoder = BlockDecoder(b"http", LIMITS)
    octets = block(*lines)
    assert (decoder.request(octets, ends=True) is decoder.request(octets, ends=True)) is is_remembered


def test_no_more_is_remembered_than_there_is_room_for():
    decoder = BlockDecoder(b"http", LIMITS)
    for number in range(100):
        decoder.request(block(*GET, (b"a", b"%d" % number)), ends=True)
    assert len(decoder._memo) == 32


def test_the_table_counts_every_change():
    decoder = BlockDecoder(b"http", LIMITS)
    versions = [decoder._table.version]
    for octets in (b"\x40\x01a\x01b", b"\x20", b"\x3f\xe1\x1f"):
        decoder.lines(octets)
        versions.append(decoder._table.version)
    assert len(set(versions)) == 4
    assert isinstance(decoder._table, HeaderTable)
