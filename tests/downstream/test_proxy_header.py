"""The PROXY protocol: what is announced, what is refused, and no octet read too many."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.downstream.proxy_header import Announced, read_header
from edge.errors import ParseError

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(command: int = 0x21, family: int = 0x11, content: bytes = b"", length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(content) if length is None else length) + content


V4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 4711, 443)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2 + struct.pack(">HH", 4711, 443)
GOOD = [
    pytest.param(b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n", "192.0.2.1", id="text, IPv4"),
    pytest.param(b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", "2001:db8::1", id="text, IPv6"),
    pytest.param(b"PROXY UNKNOWN\r\n", None, id="text, unknown"),
    pytest.param(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None, id="text, unknown with what is ignored"),
    pytest.param(binary(content=V4), "192.0.2.1", id="binary, IPv4"),
    pytest.param(binary(family=0x21, content=V6), "2001:db8::1", id="binary, IPv6"),
    pytest.param(binary(content=V4 + b"\x03\x00\x04abcd"), "192.0.2.1", id="binary, with an addition"),
    pytest.param(binary(command=0x20), None, id="binary, the balancer's own connection"),
    pytest.param(binary(command=0x20, content=V4), None, id="binary, its own, with addresses"),
    pytest.param(binary(family=0x00, content=V4), None, id="binary, no family"),
    pytest.param(binary(family=0x31, content=b"x" * 216), None, id="binary, a Unix socket"),
    pytest.param(binary(family=0x12, content=V4), None, id="binary, datagrams"),
]


@pytest.mark.parametrize(("header", "client"), GOOD)
class TestAHeader:
    def test_is_read_whole(self, header, client):
        assert read_header(header) == Announced(client, len(header))

    def test_is_read_no_further_than_its_end(self, header, client):
        assert read_header(header + b"\x16\x03\x01\r\n") == Announced(client, len(header))

    def test_is_waited_for(self, header, client):
        assert [read_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="a request"),
        pytest.param(b"\x16\x03\x01", id="a handshake"),
        pytest.param(b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n", id="a port is missing"),
        pytest.param(b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", id="a port too high"),
        pytest.param(b"PROXY TCP4 2001:db8::1 ::1 4711 443\r\n", id="IPv6 as TCP4"),
        pytest.param(b"PROXY TCP4 192.0.2.999 ::1 4711 443\r\n", id="no address"),
        pytest.param(b"PROXY TCP4  192.0.2.1 198.51.100.1 4711 443\r\n", id="two spaces"),
        pytest.param(b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443 \r\n", id="a space at the end"),
        pytest.param(b"PROXY UNKNOWN\n\r\n", id="a bare line feed"),
        pytest.param(b"PROXY UNKNOWN" + b" " * 100, id="a line too long"),
        pytest.param(binary(command=0x11, content=V4), id="binary, another version"),
        pytest.param(binary(command=0x22, content=V4), id="binary, another command"),
        pytest.param(binary(content=V4[:-1]), id="binary, too short"),
        pytest.param(binary(length=2049), id="binary, too long"),
        pytest.param(SIGNATURE[:-1] + b"x", id="binary, another signature"),
    ],
)
def test_anything_else_is_refused(header):
    with pytest.raises(ParseError):
        read_header(header)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: SIGNATURE + data))
def test_no_octets_do_any_harm(data):
    try:
        announced = read_header(data)
    except ParseError:
        return
    assert announced is None or 0 < announced.size <= len(data)
