"""A line of the purge log: a checksum, and what it is about as JSON."""

from typing import Final
from zlib import crc32

import msgspec

from edge.errors import StoreDamaged
from edge.policy.purging import Kind, Mode, Purge, Selector

#: The format of the log; another one is refused.
FORMAT: Final = 1


class Heading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: the format, and the id of the newest purge when the file was made, whether it has it or not."""

    format: int
    epoch: int


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    time: float
    mode: Mode
    selectors: tuple[tuple[Kind, str], ...]


_heading = msgspec.json.Decoder(Heading)
_line = msgspec.json.Decoder(_Line)


def encode_heading(epoch: int) -> bytes:
    """Return the first line."""
    return _checked(msgspec.json.encode(Heading(FORMAT, epoch)))


def encode(purge: Purge) -> bytes:
    """Return the line of a purge."""
    # Octets as the characters with the same numbers, so that any octet has one.
    selectors = tuple((kind, value.decode("latin-1")) for kind, value in purge.selectors)
    return _checked(msgspec.json.encode(_Line(purge.id, purge.time, purge.mode, selectors)))


def decode_heading(line: bytes) -> Heading:
    """Return the heading that `line` is; StoreDamaged if it is none, or of another format."""
    try:
        heading = _heading.decode(_payload(line))
    except msgspec.DecodeError as error:
        raise StoreDamaged("the purge log has no heading") from error
    if heading.format != FORMAT:
        raise StoreDamaged("the purge log is of another format")
    return heading


def decode(line: bytes) -> Purge:
    """Return the purge that `line` is; StoreDamaged if it is none."""
    try:
        read = _line.decode(_payload(line))
        selectors = tuple(Selector(kind, value.encode("latin-1")) for kind, value in read.selectors)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise StoreDamaged("a line of the purge log is not one") from error
    return Purge(read.id, read.time, read.mode, selectors)


def _checked(payload: bytes) -> bytes:
    return b"%08x %s\n" % (crc32(payload), payload)


def _payload(line: bytes) -> bytes:
    payload = line[9:-1]
    if line != _checked(payload):
        raise StoreDamaged("a line of the purge log fails its checksum")
    return payload
