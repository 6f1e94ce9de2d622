"""Scanning: records of a segment one after another, in few reads however short they are."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from edge.errors import StoreDamaged
from edge.store.record import HEADER_SIZE, PLAIN, Header, check_body, decode_header

# What is read at once: some forty records of small contents, and little beside the content of a large one.
_WINDOW = 64 << 10
# What is searched at once for a record behind damage.
_STEP = 1 << 20


class Scan:
    """Reads records by going forwards, through a window.

    Args:
        read: returns some bytes of the segment; StoreDamaged if they cannot be had.
        size: the length of the segment.
        tag: what its records are marked with.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, tag: bytes = PLAIN) -> None:
        self._read, self._size, self._tag = read, size, tag
        self._begin, self._window = 0, b""

    def headers(self, start: int, end: int) -> Iterator[tuple[int, Header]]:
        """Yield the place and header of the records from `start` to `end`; the first that is damaged ends it."""
        while start + HEADER_SIZE <= end:
            try:
                header = decode_header(self._bytes(start, HEADER_SIZE), self._tag)
            except StoreDamaged:
                return
            if start + header.size > end:
                return
            yield start, header
            start += header.size

    def surviving(self, start: int, end: int) -> Iterator[tuple[int, Header]]:
        """Yield the place and header of the records from `start` to `end`, those behind a damaged header as well."""
        while start < end:
            for place, header in self.headers(start, end):
                yield place, header
                start = place + header.size
            start = self.find(start + 1, end)

    def find(self, start: int, end: int) -> int:
        """Return where the first record from `start` on begins, `end` if none does before it."""
        # Without a tag, a content that is made for it could pass for a record.
        for at in range(start, end if self._tag != PLAIN else start, _STEP):
            try:
                raw = self._read(at, min(_STEP + HEADER_SIZE, end - at))
            except StoreDamaged:
                continue
            found = raw.find(self._tag[:4])
            while found >= 0:
                with suppress(StoreDamaged):
                    decode_header(raw[found : found + HEADER_SIZE], self._tag)
                    return at + found
                found = raw.find(self._tag[:4], found + 1)
        return end

    def body(self, offset: int, header: Header) -> bytes:
        """Return the body of the record at `offset`; StoreDamaged if it fails its checksum."""
        body = self._bytes(offset + HEADER_SIZE, header.length)
        check_body(header, body)
        return body

    def _bytes(self, offset: int, length: int) -> bytes:
        first = offset - self._begin
        if not 0 <= first <= len(self._window) - length:
            if length >= _WINDOW:
                return self._read(offset, length)
            try:
                self._window = self._read(offset, min(_WINDOW, self._size - offset))
            except StoreDamaged:
                # A bad block costs the record that it lies in, not those in front of it.
                return self._read(offset, length)
            self._begin, first = offset, 0
        return self._window[first : first + length]
