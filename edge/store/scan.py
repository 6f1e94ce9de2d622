"""Scanning: records of a segment one after another, in few reads however short they are."""

from collections.abc import Callable, Iterator

from edge.errors import StoreDamaged
from edge.store.record import HEADER_SIZE, Header, check_body, decode_header

# What is read at once: some forty records of small contents, and little beside the content of a large one.
_WINDOW = 64 << 10


class Scan:
    """Reads records by going forwards, through a window.

    Args:
        read: returns some bytes of the segment; StoreDamaged if they cannot be had.
        size: the length of the segment.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size = read, size
        self._begin, self._window = 0, b""

    def headers(self, start: int, end: int) -> Iterator[tuple[int, Header]]:
        """Yield the place and header of the records from `start` to `end`; the first that is damaged ends it."""
        while start + HEADER_SIZE <= end:
            try:
                header = decode_header(self._bytes(start, HEADER_SIZE))
            except StoreDamaged:
                return
            if start + header.size > end:
                return
            yield start, header
            start += header.size

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
