"""Records, the bytes that segments are made of: encoding and decoding, nothing else.

A record is a fixed little-endian header and a body, each under its own CRC-32.  It says of itself what it is, so the
index can be rebuilt from segments alone, and whoever follows a wrong place notices.  Decoding bytes that are not a
record raises StoreDamaged and nothing else.
"""

import struct
from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from edge.errors import StoreDamaged

VERSION = 1
#: Content is cut at multiples of this many octets; no chunk crosses one.
CHUNK_SIZE = 1 << 20
#: The longest encoded head.
HEAD_LIMIT = 512 << 10
#: The generation of a REMOVED record that means every generation of its key.
EVERY_GENERATION = bytes(8)

#: The tag of records in segments that have none of their own.
PLAIN = b"FLrc\0\0\0\0"

# the first half of the tag, version, kind, zero, body length, key hash, generation, sequence, content offset, CRC of the body
_FIELDS = struct.Struct("<4sBBHI16s8sQQI")
_CRC = struct.Struct("<I")
HEADER_SIZE = _FIELDS.size + _CRC.size


class Kind(IntEnum):
    """What a record says."""

    HEAD = 1  #: a stored response's head
    CHUNK = 2  #: some of a generation's content
    REMOVED = 3  #: the heads of a generation (or of the whole key) written before are gone
    FORGOTTEN = 4  #: the chunk of a generation at a content offset, written before, is gone


_LIMITS = {Kind.HEAD: HEAD_LIMIT, Kind.CHUNK: CHUNK_SIZE, Kind.REMOVED: 0, Kind.FORGOTTEN: 0}


class Header(NamedTuple):
    """The header of a record.

    Attributes:
        kind: what the record says.
        length: length of the body in bytes.
        key_hash: `key_hash` of the whole cache key.
        generation: the generation it belongs to.
        sequence: increases with every record written; a record that is moved keeps its own.
        offset: where a chunk lies in the content, 0 otherwise.
        crc: CRC-32 of the body.
    """

    kind: Kind
    length: int
    key_hash: bytes
    generation: bytes
    sequence: int
    offset: int
    crc: int

    @property
    def size(self) -> int:
        """Length of the whole record in bytes."""
        return HEADER_SIZE + self.length


def key_hash(key: bytes) -> bytes:
    """Return the 16 bytes that stand for `key` in records and in the index."""
    return blake2b(key, digest_size=16).digest()


def header_of(kind: Kind, body: bytes, *, key_hash: bytes, generation: bytes, sequence: int, offset: int = 0) -> Header:
    """Return the header that belongs in front of `body`."""
    return Header(kind, len(body), key_hash, generation, sequence, offset, crc32(body))


def encode_header(header: Header, tag: bytes = PLAIN) -> bytes:
    """Return the HEADER_SIZE bytes of `header` in a segment of `tag`."""
    kind, length, key_hash, generation, sequence, offset, crc = header
    fields = _FIELDS.pack(tag[:4], VERSION, kind, 0, length, key_hash, generation, sequence, offset, crc)
    return fields + _CRC.pack(_checksum(fields, tag))


def decode_header(raw: bytes, tag: bytes = PLAIN) -> Header:
    """Return the header that `raw` begins with; StoreDamaged if it is none of `tag`, or one that is out of bounds."""
    if len(raw) < HEADER_SIZE:
        raise StoreDamaged("a record ends inside its header")
    magic, version, kind, zero, length, key_hash, generation, sequence, offset, crc = _FIELDS.unpack_from(raw)
    if magic != tag[:4] or version != VERSION or zero or kind not in _LIMITS:
        raise StoreDamaged("not a record of this version")
    if _CRC.unpack_from(raw, _FIELDS.size)[0] != _checksum(raw[: _FIELDS.size], tag):
        raise StoreDamaged("the header of a record fails its checksum")
    header = Header(Kind(kind), length, key_hash, generation, sequence, offset, crc)
    if length > _LIMITS[header.kind] or (header.kind is Kind.CHUNK and not 0 < length <= room_in_chunk(offset)):
        raise StoreDamaged("the length of a record is out of bounds")
    return header


def check_header(
    raw: bytes | memoryview, tag: bytes, kind: Kind, key_hash: bytes, generation: bytes, offset: int
) -> Header:
    """Return the header that `raw` begins with; StoreDamaged if it is not the one that was looked for."""
    header = decode_header(bytes(raw[:HEADER_SIZE]), tag)
    if (header.kind, header.key_hash, header.generation, header.offset) != (kind, key_hash, generation, offset):
        raise StoreDamaged("another record lies where this one should")
    return header


def check_body(header: Header, body: bytes | memoryview) -> None:
    """Raise StoreDamaged unless `body` is the one that `header` was written with."""
    if len(body) != header.length or crc32(body) != header.crc:
        raise StoreDamaged("the body of a record fails its checksum")


def body_of(raw: memoryview, tag: bytes, kind: Kind, key_hash: bytes, generation: bytes, offset: int) -> memoryview:
    """Return the body of the record that `raw` is, all of it; StoreDamaged if it is not the one that was looked for."""
    if len(raw) >= HEADER_SIZE:
        fields, body = raw[: _FIELDS.size], raw[HEADER_SIZE:]
        magic, version, found, zero, length, *names, crc = _FIELDS.unpack(fields)
        if (
            (magic, version, found, zero) == (tag[:4], VERSION, kind, 0)
            and (names[0], names[1], names[3]) == (key_hash, generation, offset)
            and length == len(body)
            and crc == crc32(body)
            and _CRC.unpack_from(raw, _FIELDS.size)[0] == _checksum(fields, tag)
        ):
            return body
    # What is wrong with it, in words.
    check_body(check_header(raw, tag, kind, key_hash, generation, offset), raw[HEADER_SIZE:])
    raise StoreDamaged("a record that is out of bounds")


def is_body(header: bytes, body: bytes | memoryview) -> bool:
    """Return whether `body` is the one that a header, found to be right before, was written with."""
    # The checksum of the body is the last of the fields.
    (crc,) = _CRC.unpack_from(header, _FIELDS.size - _CRC.size)
    return crc32(body) == int(crc)


def room_in_chunk(offset: int) -> int:
    """Return how many octets a chunk that begins at `offset` of the content can hold."""
    return CHUNK_SIZE - offset % CHUNK_SIZE


def _checksum(fields: bytes | memoryview, tag: bytes) -> int:
    return crc32(fields, int.from_bytes(tag[4:], "little"))
