"""The PROXY protocol, versions 1 and 2: how a balancer in front says who the client is.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt; the paragraphs cited are its.  Pure: bytes in, values out.
"""

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from edge.errors import ParseError

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_HEAD = struct.Struct(">12sBBH")
# §2.1: the longest line of version 1, with CRLF.
_LONGEST_LINE = 107
# §2.2 allows 64 KiB of additions that are not read here; balancers send less than a hundred octets.
_LONGEST_BINARY = 2048
_line = re.compile(
    rb"PROXY (?:(TCP4|TCP6) ([0-9A-Fa-f:.]{2,45}) [0-9A-Fa-f:.]{2,45} (\d{1,5}) (\d{1,5})|UNKNOWN[^\r\n]*)"
)
_LOCAL, _PROXY = 0, 1
# §2.2: of the families and transports there are, those of TCP carry an address that is of use.
_ADDRESSES: dict[int, tuple[type[IPv4Address] | type[IPv6Address], int]] = {
    0x11: (IPv4Address, 4),
    0x21: (IPv6Address, 16),
}


@dataclass(frozen=True, slots=True)
class Announced:
    """What a header said: the client's address, None when it is the peer itself or unknown; and the header's octets."""

    client: str | None
    size: int


def read_header(data: bytes) -> Announced | None:
    """Return what `data` begins with, None when more is needed; ParseError when it is no PROXY header."""
    if _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        return _binary(data)
    if b"PROXY ".startswith(data[:6]):
        return _text(data)
    raise ParseError("not a PROXY header")


def _text(data: bytes) -> Announced | None:
    line, end, _ = data[:_LONGEST_LINE].partition(b"\r\n")
    if not end:
        if len(data) >= _LONGEST_LINE:
            raise ParseError("a PROXY header is too long")
        return None
    match = _line.fullmatch(line)
    if match is None:
        raise ParseError("malformed PROXY header")
    family, address, *ports = match.groups()
    if family is None:
        return Announced(None, len(line) + 2)
    if any(int(port) > 65535 for port in ports):
        raise ParseError("malformed port in a PROXY header")
    kind = IPv4Address if family == b"TCP4" else IPv6Address
    try:
        client = str(kind(address.decode("ascii")))
    except ValueError as error:
        raise ParseError("malformed address in a PROXY header") from error
    return Announced(client, len(line) + 2)


def _binary(data: bytes) -> Announced | None:
    if len(data) < _HEAD.size:
        return None
    _, version_and_command, family, length = _HEAD.unpack_from(data)
    version, command = version_and_command >> 4, version_and_command & 15
    if version != 2 or command not in {_LOCAL, _PROXY} or length > _LONGEST_BINARY:
        raise ParseError("malformed binary PROXY header")
    size = _HEAD.size + length
    if len(data) < size:
        return None
    if command == _LOCAL or family not in _ADDRESSES:
        return Announced(None, size)
    kind, octets = _ADDRESSES[family]
    # Two addresses and two ports.
    if length < 2 * octets + 4:
        raise ParseError("a binary PROXY header is too short")
    return Announced(str(kind(data[_HEAD.size : _HEAD.size + octets])), size)
