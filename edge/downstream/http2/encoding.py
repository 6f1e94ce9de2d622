"""Header blocks without state: nothing enters a dynamic table, so that a block made once fits every connection.

RFC 7541.  The first block of a connection begins with SIZE_UPDATE, which says so.
"""

from collections.abc import Callable

from hpack.table import HeaderTable

from edge.semantics.fields import FieldSection
from edge.semantics.messages import STATUSES_WITHOUT_CONTENT, Response

#: RFC 7541 §6.3: the encoder's table has room for nothing, so no size that the client sets can be too small for it.
SIZE_UPDATE = b"\x20"
_NEVER_INDEXED = frozenset({b"set-cookie", b"set-cookie2", b"authorization", b"proxy-authorization", b"cookie"})
_MOST_NAMES = 4096


def encode_integer(value: int, bits: int, first: int) -> bytes:
    """Return an integer with a prefix of `bits` bits, the octet of which has `first` above them (RFC 7541 §5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    octets = bytearray([first | most])
    value -= most
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


_statics = {line: encode_integer(index, 7, 0x80) for index, line in enumerate(HeaderTable.STATIC_TABLE, 1)}
_static_names: dict[bytes, int] = {}
for _index, (_name, _) in enumerate(HeaderTable.STATIC_TABLE, 1):
    _static_names.setdefault(_name, _index)
# RFC 7541 §7.1.3: what must not be guessed is not to be compressed by whoever encodes it anew either.
_names: dict[bytes, bytes] = {}


def encode_line(name: bytes, value: bytes) -> bytes:
    """Return a field line as an indexed field, or as a literal without indexing."""
    whole = _statics.get((name, value))
    if whole is not None:
        return whole
    return b"%s%s%s" % (_names.get(name) or _encode_name(name), encode_integer(len(value), 7, 0), value)


def encode_response(status: int, fields: FieldSection) -> bytes:
    """Return the header block of a response."""
    return b"".join([encode_line(b":status", b"%d" % status), *[encode_line(name, value) for name, value in fields]])


def final_block(response: Response, length: int | None, date: Callable[[], bytes]) -> bytes:
    """Return the header block of a final response with content of `length` octets, None when that is not known."""
    block = encode_response(response.status, response.fields)
    if b"date" not in response.fields:
        block += encode_line(b"date", date())
    if length is not None and response.status not in STATUSES_WITHOUT_CONTENT:
        block += encode_line(b"content-length", b"%d" % length)
    return block


def _encode_name(name: bytes) -> bytes:
    first = 0x10 if name in _NEVER_INDEXED else 0
    index = _static_names.get(name)
    encoded = encode_integer(index, 4, first) if index else bytes([first]) + encode_integer(len(name), 7, 0) + name
    # Names come from origins: bounded, so that none can fill the memory with them.
    if len(_names) < _MOST_NAMES:
        _names[name] = encoded
    return encoded
