"""What the file of a segment begins with: its id, its size, and the tag that marks its records.

A tag is eight bytes that nobody outside can know, so that no content can hold what passes for a record where one is
looked for behind damage.  The header stands there twice.
"""

import struct
from zlib import crc32

from edge.errors import StoreDamaged
from edge.store.record import PLAIN

#: The length of both copies: where the first record lies.
FIRST = 64

_MAGIC = b"FLsg"
# magic, version, id, size; then, in version 2, the tag
_FIELDS = struct.Struct("<4sIIQ")
_CRC = struct.Struct("<I")


def encode_segment_header(segment_id: int, size: int, tag: bytes) -> bytes:
    """Return what a new segment begins with."""
    fields = _FIELDS.pack(_MAGIC, 2, segment_id, size) + tag
    return 2 * (fields + _CRC.pack(crc32(fields)))


def decode_segment_header(raw: bytes, segment_id: int, size: int) -> bytes:
    """Return the tag of the segment that begins with `raw`; StoreDamaged if neither copy is its header."""
    for copy in (raw[: FIRST // 2], raw[FIRST // 2 :]):
        tag = copy[_FIELDS.size : FIRST // 2 - _CRC.size]
        if copy == encode_segment_header(segment_id, size, tag)[: FIRST // 2]:
            return tag
    old = _FIELDS.pack(_MAGIC, 1, segment_id, size)
    if raw[: len(old) + _CRC.size] == old + _CRC.pack(crc32(old)):
        return PLAIN
    raise StoreDamaged("the header of a segment is damaged")
