"""Chunked request content, decoded strictly (RFC 9112 §7.1)."""

import re

from edge.errors import BadRequest, FieldsTooLarge
from edge.policy.limits import Limits
from edge.semantics.fields import QUOTED_STRING, TOKEN

_MOST_LINE = 256
# Chunk extensions mean nothing here; this many octets of them are put up with in all the content of a request.
_MOST_EXTENSIONS = 16 << 10
_BREAK = b"\r\n"
# RFC 9112 §7.1, without the white space that §7.1.1 lets only recipients take; 15 digits are beyond any content.
_extension = rb";%s(?:=(?:%s|%s))?" % (TOKEN, TOKEN, QUOTED_STRING)
_size_line = re.compile(rb"([0-9A-Fa-f]{1,15})((?:%s)*)\r\n" % _extension).fullmatch
_plain_size_line = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n").match
_trailer_line = re.compile(rb"%s:[\t \x21-\x7e\x80-\xff]*\r\n" % TOKEN).fullmatch


class Chunked:
    """The decoder of one request's content; trailers are dropped (RFC 9110 §6.5.1 allows it)."""

    __slots__ = ("_extensions", "_in_trailers", "_left", "_limits", "_needs_break", "_rest", "_trailers", "is_complete")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rest = b""
        self._left = 0
        self._needs_break = False
        self._in_trailers = False
        self._trailers = self._extensions = 0
        self.is_complete = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the content in `data`, and what lies behind its end.

        Raises:
            BadRequest: the framing is broken.
            FieldsTooLarge: the trailer section is over the limits of a field section.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        pieces: list[bytes] = []
        at = 0
        while not self.is_complete and at < len(data):
            if self._left:
                pieces.append(data[at : at + self._left])
                at += len(pieces[-1])
                self._left -= len(pieces[-1])
                self._needs_break = self._left == 0
                continue
            if not (self._needs_break or self._in_trailers):
                at = _take_plain_chunks(data, at, pieces)
            taken = self._take_break(data, at) if self._needs_break else self._take_line(data, at)
            if not taken:
                self._rest = data[at:]
                return b"".join(pieces), b""
            at += taken
        return b"".join(pieces), data[at:]

    def _take_break(self, data: bytes, at: int) -> int:
        """Return the length of the line break at `at`, 0 when it is not all there."""
        found = data[at : at + len(_BREAK)]
        if found == _BREAK:
            self._needs_break = False
            return len(_BREAK)
        if found == _BREAK[:1]:
            return 0
        raise BadRequest

    def _take_line(self, data: bytes, at: int) -> int:
        """Read the chunk size or the trailer line at `at` and return its length, 0 when it is not all there."""
        most = self._limits.field if self._in_trailers else _MOST_LINE
        end = data.find(b"\n", at, at + most) + 1
        if end == 0:
            if len(data) - at >= most:
                raise FieldsTooLarge if self._in_trailers else BadRequest
            return 0
        if self._in_trailers:
            self._read_trailer(data[at:end])
        else:
            self._read_size(data[at:end])
        return end - at

    def _read_size(self, line: bytes) -> None:
        match = _size_line(line)
        if match is None:
            raise BadRequest
        self._extensions += len(match[2])
        if self._extensions > _MOST_EXTENSIONS:
            raise BadRequest
        self._left = int(match[1], 16)
        self._in_trailers = self._left == 0

    def _read_trailer(self, line: bytes) -> None:
        if line == _BREAK:
            self.is_complete = True
            return
        self._trailers += len(line)
        if self._trailers > self._limits.field_section:
            raise FieldsTooLarge
        if not _trailer_line(line):
            raise BadRequest


def _take_plain_chunks(data: bytes, at: int, pieces: list[bytes]) -> int:
    """Add the content of chunks that are all there and have no extensions to `pieces`; return where they end.

    Most content is made of them, and the smallest cost as much as the largest.
    """
    while (line := _plain_size_line(data, at)) is not None:
        start = line.end()
        end = start + int(line[1], 16)
        if start == end or data[end : end + len(_BREAK)] != _BREAK:
            break
        pieces.append(data[start:end])
        at = end + len(_BREAK)
    return at
