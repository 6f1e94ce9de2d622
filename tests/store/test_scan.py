"""Records one after another."""

import pytest

from edge.errors import StoreDamaged
from edge.store.record import HEADER_SIZE, Kind, encode_header, header_of
from edge.store.scan import Scan

LENGTHS = [1, 200, 70_000, 3, 1 << 20, 5_000, 60_000, 1]


def a_record(number: int, length: int) -> bytes:
    body = bytes([number]) * length
    return encode_header(header_of(Kind.CHUNK, body, key_hash=bytes(16), generation=bytes(8), sequence=number)) + body


class File:
    """A segment that counts how often it is read, and has a bad block."""

    def __init__(self, raw: bytes, bad: range = range(0)) -> None:
        self.raw, self.bad, self.reads = raw, bad, 0

    def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        if offset < self.bad.stop and self.bad.start < offset + length:
            raise StoreDamaged("a bad block")
        return self.raw[offset : offset + length]


def test_records_of_all_lengths_come_with_their_bodies():
    file = File(b"".join(a_record(number, length) for number, length in enumerate(LENGTHS)))
    scan = Scan(file.read, len(file.raw))
    found = [(header.sequence, scan.body(offset, header)) for offset, header in scan.headers(0, len(file.raw))]
    assert found == [(number, bytes([number]) * length) for number, length in enumerate(LENGTHS)]


def test_short_records_are_read_many_at_once():
    file = File(b"".join(a_record(number, 100) for number in range(200)))
    assert len(list(Scan(file.read, len(file.raw)).headers(0, len(file.raw)))) == 200
    assert file.reads < 10


def test_a_bad_block_ends_it_only_where_it_lies():
    first = len(a_record(0, 1000))
    file = File(a_record(0, 1000) + a_record(1, 1000), range(first, first + 1))
    scan = Scan(file.read, len(file.raw))
    ((offset, header),) = scan.headers(0, len(file.raw))
    assert scan.body(offset, header) == bytes(1000)


def test_a_body_that_fails_its_checksum_is_damage():
    raw = bytearray(a_record(0, 1000))
    raw[HEADER_SIZE + 7] ^= 1
    scan = Scan(File(bytes(raw)).read, len(raw))
    ((offset, header),) = scan.headers(0, len(raw))
    with pytest.raises(StoreDamaged):
        scan.body(offset, header)
