"""HTTP/2 frames: their numbers, and how those that are sent are written (RFC 9113 §4, §6, §7; RFC 9218 §7)."""

import struct
from collections.abc import Mapping
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_SIZE = 9
#: SETTINGS_MAX_FRAME_SIZE on this side, which is what every endpoint must take, and on the other as long as it is silent.
FRAME_SIZE = 1 << 14
#: SETTINGS_INITIAL_WINDOW_SIZE of either side as long as it is silent, and the window of a new connection.
WINDOW = (1 << 16) - 1
LARGEST_WINDOW = (1 << 31) - 1
LARGEST_STREAM = (1 << 31) - 1
#: Octets of a PRIORITY payload, and of the same in HEADERS.
PRIORITY_SIZE = 5

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

_header = struct.Struct(">BHBBL")
#: Returns the high 8 and low 16 bits of a frame's length, its type and flags, and its stream with the reserved bit.
unpack_header = _header.unpack_from
_setting = struct.Struct(">HL")
#: Yields identifier and value of each setting in a payload.
iter_settings = _setting.iter_unpack


class Setting(IntEnum):
    """RFC 9113 §6.5.2, RFC 9218 §2.1."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    NO_RFC7540_PRIORITIES = 0x9


class ErrorCode(IntEnum):
    """RFC 9113 §7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


def dependency(priority: bytes) -> int:
    """Return the stream that a PRIORITY payload names; deprecated, so that nothing else is made of it (§5.3.2)."""
    return int.from_bytes(priority[:4], "big") & LARGEST_STREAM


def header(length: int, kind: int, flags: int, stream: int) -> bytes:
    """Return the header of a frame whose payload has `length` octets."""
    return _header.pack(length >> 16, length & 0xFFFF, kind, flags, stream)


def headers(stream: int, block: bytes, *, ends: bool) -> bytes:
    """Return a header block as HEADERS and as many CONTINUATION as it takes; `ends` if it ends the stream as well."""
    flags = END_STREAM if ends else 0
    if len(block) <= FRAME_SIZE:
        return header(len(block), HEADERS, flags | END_HEADERS, stream) + block
    parts = [block[at : at + FRAME_SIZE] for at in range(0, len(block), FRAME_SIZE)]
    written = [header(FRAME_SIZE, HEADERS, flags, stream), parts[0]]
    for part in parts[1:-1]:
        written += header(FRAME_SIZE, CONTINUATION, 0, stream), part
    written += header(len(parts[-1]), CONTINUATION, END_HEADERS, stream), parts[-1]
    return b"".join(written)


def settings(values: Mapping[Setting, int]) -> bytes:
    """Return a SETTINGS frame."""
    payload = b"".join(_setting.pack(name, value) for name, value in values.items())
    return header(len(payload), SETTINGS, 0, 0) + payload


def settings_ack() -> bytes:
    """Return the acknowledgement of a SETTINGS frame."""
    return header(0, SETTINGS, ACK, 0)


def ping(payload: bytes, *, is_ack: bool) -> bytes:
    """Return a PING frame with 8 octets of `payload`."""
    return header(8, PING, ACK if is_ack else 0, 0) + payload


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    """Return a RST_STREAM frame."""
    return header(4, RST_STREAM, 0, stream) + code.to_bytes(4, "big")


def goaway(last: int, code: ErrorCode, debug: bytes = b"") -> bytes:
    """Return a GOAWAY frame; `last` is the highest stream that was or may be answered."""
    payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug
    return header(len(payload), GOAWAY, 0, 0) + payload


def window_update(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return header(4, WINDOW_UPDATE, 0, stream) + increment.to_bytes(4, "big")
