"""The lines of the purge log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import StoreDamaged
from edge.policy.purging import Kind, Mode, Purge, Selector
from edge.purges.record import FORMAT, _checked, decode, decode_heading, encode, encode_heading

PURGES = st.builds(
    Purge,
    st.integers(0, 2**62),
    st.floats(0, 2**40),
    st.sampled_from(Mode),
    st.lists(st.builds(Selector, st.sampled_from(Kind), st.binary(max_size=20)), max_size=3).map(tuple),
)


@given(PURGES)
def test_a_purge_comes_back_as_it_was(purge):
    line = encode(purge)
    assert decode(line) == purge
    assert line.count(b"\n") == 1


@given(PURGES, st.data())
def test_no_octet_of_a_line_can_be_altered(purge, data):
    line = bytearray(encode(purge))
    line[data.draw(st.integers(0, len(line) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreDamaged):
        decode(bytes(line))


def test_a_heading_comes_back_as_it_was():
    assert decode_heading(encode_heading(7)).epoch == 7


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(_checked(b"[]"), id="something else"),
        pytest.param(_checked(b'{"format":%d,"epoch":1}' % (FORMAT + 1)), id="another format"),
        pytest.param(_checked(b'{"format":1,"epoch":1,"more":1}'), id="more than a heading"),
    ],
)
def test_what_is_no_heading(line):
    with pytest.raises(StoreDamaged):
        decode_heading(line)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"id":1}', id="too little"),
        pytest.param(b'{"id":1,"time":1,"mode":"soft","selectors":[["path","a"]]}', id="an unknown kind"),
        pytest.param(b'{"id":1,"time":1,"mode":"gone","selectors":[]}', id="an unknown mode"),
        pytest.param(b'{"id":1,"time":1,"mode":"soft","selectors":[["tag","\\u1234"]]}', id="no octets"),
    ],
)
def test_what_is_no_purge(payload):
    with pytest.raises(StoreDamaged):
        decode(_checked(payload))
