"""Records one after another."""

import pytest

from edge.errors import StoreDamaged
from edge.store.record import HEADER_SIZE, PLAIN, Kind, encode_header, header_of
from edge.store.scan import Scan

LENGTHS = [1, 200, 70_000, 3, 1 << 20, 5_000, 60_000, 1]


def a_record(number: int, length: int, tag: bytes = PLAIN) -> bytes:
    body = bytes([number]) * length
    header = header_of(Kind.CHUNK, body, key_hash=bytes(16), generation=bytes(8), sequence=number)
    return encode_header(header, tag) + body


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


TAG = b"FLrc\1\2\3\4"


@pytest.mark.parametrize("tag", [PLAIN, TAG])
def test_what_survives_behind_a_damaged_header_is_found_by_its_tag_alone(tag):
    records = [a_record(number, length, tag) for number, length in enumerate(LENGTHS)]
    # Content that holds what would pass for a record without a tag.
    records[2] = a_record(2, 100, tag)[:HEADER_SIZE] + a_record(77, 40)
    raw = bytearray(b"".join(records))
    for damaged in (0, 2, 4):
        raw[sum(map(len, records[:damaged])) + 10] ^= 1
    scan = Scan(File(bytes(raw)).read, len(raw), tag)
    found = [header.sequence for _, header in scan.surviving(0, len(raw))]
    assert found == ([1, 3, 5, 6, 7] if tag == TAG else [])


def test_a_bad_block_hides_no_more_than_what_is_searched_at_once():
    records = [a_record(number, 1 << 20, TAG) for number in range(5)]
    size = len(records[0])
    file = File(b"".join(records), bad=range(size, size + 4096))
    assert [header.sequence for _, header in Scan(file.read, 5 * size, TAG).surviving(0, 5 * size)][-2:] == [3, 4]
