"""A response that arrives in one piece: most do, and for them looking lines up is cheaper than parsing.

Lines come again and again, so each is taken apart once, by a grammar within that of `parser`: what does not match it, and
every framing but one Content-Length, is left to the parser, which decides alone what is malformed.
"""

import re
from functools import lru_cache

from edge.errors import UpstreamClosed
from edge.ports import Piece
from edge.semantics.fields import FieldSection, Line, list_members
from edge.semantics.messages import Response, may_have_content

# RFC 9112 §5, without empty values and without folding.
_field_line = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)[ \t]*"
).fullmatch
_status_line = re.compile(rb"HTTP/1\.1 ([2-9][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)").fullmatch
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch
_idle_timeout = re.compile(rb"timeout=([0-9]{1,9})", re.IGNORECASE).fullmatch

# Fields that say something of the connection; of these, only the first three do not need the parser.
_OF_CONNECTION = frozenset({
    b"content-length", b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"proxy-connection",
})  # fmt: skip
# How many lines are remembered, and how long they may be.
_LINES, _LONGEST = 4096, 256
_status_lines: dict[bytes, tuple[int, bytes]] = {}


class _Lines(dict[bytes, Line]):
    """Field lines, each taken apart when it is first asked for; KeyError for what the grammar does not have."""

    def __missing__(self, raw: bytes) -> Line:
        if (match := _field_line(raw)) is None:
            raise KeyError(raw)
        line = match[1].lower(), match[2]
        if len(raw) <= _LONGEST:
            if len(self) >= _LINES:
                # Begun anew rather than kept in order: what is frequent is back at once.
                self.clear()
            self[raw] = line
        return line


_lines = _Lines()


#: A final response, all of its content, whether its connection can be used again, and for how many seconds it is kept.
Whole = tuple[Response, bytes, bool, int | None]


class WholeResponse:
    """A response that has arrived; implements the exchange's `UpstreamResponse`."""

    __slots__ = ("_content", "content_length", "head", "request_time", "response_time")

    def __init__(self, head: Response, content: bytes, request_time: float, response_time: float) -> None:
        self.head, self._content = head, content
        # A 304 that states one is the parser's.
        self.content_length: int | None = None if head.status == 304 else len(content)
        self.request_time, self.response_time = request_time, response_time

    async def read(self) -> bytes:
        """Return all of the content, then b""."""
        content, self._content = self._content, b""
        return content

    def whole(self) -> bytes:
        """Return all of the content, none of which may have been read."""
        return self._content

    def hasten(self) -> None:
        """Do nothing: all of it is here."""

    def close(self) -> None:
        """Drop what was not read."""
        self._content = b""

    async def write(self, data: Piece) -> None:
        """Raise UpstreamClosed: its protocol was never switched."""
        raise UpstreamClosed("the origin has ended the exchange")

    def end_writing(self) -> None:
        """Do nothing."""


def whole_response(method: bytes, data: bytes, *, lines: int, octets: int) -> Whole | None:
    """Return the response that `data` is to its last octet, with so many field lines and octets in its head at most.

    None when it is not that, or when the parser must say what it is.
    """
    end = data.find(b"\r\n\r\n")
    if not 0 <= end <= octets - 4:
        return None
    status_line, *raw = data[:end].split(b"\r\n")
    status = _status_lines.get(status_line) or _read_status_line(status_line)
    if status is None or len(raw) > lines:
        return None
    try:
        section = [_lines[line] for line in raw]
    except KeyError:
        return None
    length, options = -1, []
    for name, value in section:
        if name in _OF_CONNECTION:
            if name == b"content-length" and length < 0 and _is_length(value):
                length = int(value)
            elif name in {b"connection", b"keep-alive"}:
                options.append(value)
            else:
                return None
    if status[0] == 304:
        # RFC 9110 §15.4.5: it has no content, and seldom a length.
        if method != b"GET" or length >= 0 or len(data) != end + 4:
            return None
    elif len(data) - end - 4 != length or not may_have_content(method, status[0]):
        return None
    is_reusable, idle_timeout = connection_options(tuple(options)) if options else (True, None)
    return Response(status[0], FieldSection(section), status[1]), data[end + 4 :], is_reusable, idle_timeout


# The few things that origins say.
@lru_cache(maxsize=256)
def connection_options(values: tuple[bytes, ...]) -> tuple[bool, int | None]:
    """Return whether Connection and Keep-Alive let a connection live, and for how many seconds if they say."""
    is_reusable, idle_timeout = True, None
    for value in values:
        for option in list_members(value):
            if option.lower() == b"close":
                is_reusable = False
            elif (match := _idle_timeout(option)) is not None:
                idle_timeout = int(match[1])
    return is_reusable, idle_timeout


def _read_status_line(raw: bytes) -> tuple[int, bytes] | None:
    if (match := _status_line(raw)) is None:
        return None
    status = int(match[1]), match[2]
    if len(_status_lines) < _LINES and len(raw) <= _LONGEST:
        _status_lines[raw] = status
    return status
