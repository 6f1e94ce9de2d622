"""The response to one request as its bytes arrive: interim heads, final head, content, and the end (RFC 9112 §6).

It is for what `whole` does not take.  llhttp takes field lines and chunks apart and is strict about both.  Where a head ends, how content is framed and what
lies behind its end is decided here, because llhttp does not know the request's method and does not say where it stopped.
"""

import re
from enum import Enum, auto
from typing import Any

import httptools

from edge.errors import UpstreamProtocolError
from edge.semantics.fields import FieldSection, Line, is_token, list_members
from edge.semantics.messages import Response, may_have_content
from edge.upstream.whole import connection_options

# RFC 9112 §7: content in one of these would be given on still coded.
_CODINGS = frozenset({b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"})

HEAD_LIMIT = 64 * 1024
LINES_LIMIT = 256
INTERIM_LIMIT = 10

# RFC 9112 §4; a missing reason phrase may lose its space too, as many origins do it.
_status_line = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t \x21-\x7e\x80-\xff]*))?\r\n").match


class Framing(Enum):
    """How the end of the content is found (RFC 9112 §6.3)."""

    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


class _Findings:
    """What llhttp found in the bytes it was fed; apart from the parser so that no reference cycle holds a response."""

    __slots__ = ("is_complete", "is_followed", "lines", "pieces")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.pieces: list[bytes] = []
        self.is_complete = False
        self.is_followed = False

    def on_message_begin(self) -> None:
        """Take the first byte of a message; of another one, if one is complete."""
        self.is_followed = self.is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field line or a trailer line."""
        self.lines.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, data: bytes) -> None:
        """Take content of a chunk; behind the end it belongs to no request."""
        if not self.is_complete:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        """Take the end of chunked content; for other framings llhttp is not asked."""
        self.is_complete = True


class ResponseParser:
    """Takes the bytes of one connection apart, from the request's end to the response's.

    Attributes:
        interim: 1xx responses to pass on; whoever passes them on clears the list.
        head: the final head, once it is whole.
        content_length: what its Content-Length says (also where there is no content to follow, as for HEAD), or None.
        pieces: content to hand on; whoever does clears the list.
        is_complete: whether the end was seen.
        is_reusable: whether the connection may serve another request after this response.
        idle_timeout: seconds the origin says it keeps the connection, None if it does not say.
        has_switched: whether what follows the head is of another protocol.
    """

    __slots__ = (
        "_excess", "_found", "_framing", "_interim_seen", "_left", "_llhttp", "_may_switch", "_method", "_raw", "_tail",
        "content_length", "has_switched", "head", "idle_timeout", "interim", "is_complete", "is_reusable", "pieces",
    )  # fmt: skip

    def __init__(self, method: bytes, *, may_switch: bool = False) -> None:
        """Take the response to a request with `method`, which `may_switch` the protocol."""
        self._may_switch = may_switch
        self.has_switched = False
        self.interim: list[Response] = []
        self.head: Response | None = None
        self.content_length: int | None = None
        self.pieces: list[bytes] = []
        self.is_complete = False
        self.is_reusable = False
        self.idle_timeout: int | None = None
        self._method = method
        self._framing = Framing.UNTIL_CLOSE
        self._interim_seen = 0
        self._left = 0
        self._excess = 0
        self._tail = b""
        self._expect_head()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection.

        Raises:
            UpstreamProtocolError: they are not a valid response, or break a limit.
        """
        while self.head is None:
            if not data:
                return
            data = self._feed_head(data)
        if self.is_complete:
            self._end(surplus=bool(data))
        elif data:
            self._feed_content(data)

    def feed_eof(self) -> None:
        """Take the clean end of the connection, which ends content that has no other end."""
        if self.head is not None and self._framing is Framing.UNTIL_CLOSE:
            self._end(surplus=False)

    def _expect_head(self) -> None:
        self._raw = b""
        self._found = _Findings()
        self._llhttp: Any = httptools.HttpResponseParser(self._found)

    def _feed_head(self, data: bytes) -> bytes:
        """Take the bytes up to the end of a head and return the others."""
        seen = len(self._raw)
        self._raw += data
        end = self._raw.find(b"\r\n\r\n", max(0, seen - 3)) + 4
        is_whole = end >= 4
        if not is_whole:
            end = len(self._raw)
        if end > HEAD_LIMIT:
            raise UpstreamProtocolError("the head is over its limit")
        self._feed_llhttp(data[: end - seen])
        if len(self._found.lines) > LINES_LIMIT:
            raise UpstreamProtocolError("the head has too many field lines")
        if is_whole:
            self._read_head()
            # It may be the first of the content as well, which the whole response would hold on to.
            self._raw = b""
        return data[end - seen :]

    def _feed_llhttp(self, data: bytes) -> None:
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            if not self._may_switch:
                raise UpstreamProtocolError("an upgrade that nobody asked for") from error
        except httptools.HttpParserError as error:
            raise UpstreamProtocolError(f"malformed response: {error}") from error

    def _read_head(self) -> None:
        match = _status_line(self._raw)
        if match is None:
            raise UpstreamProtocolError("malformed status line")
        response = Response(int(match[2]), FieldSection(self._found.lines), match[3] or b"")
        if response.status >= 200:
            self._start(response, is_http_1_1=match[1] == b"1")
            return
        if response.status == 101 and self._may_switch:
            self.head, self.has_switched = response, True
            return
        self._interim_seen += 1
        # RFC 9110 §15.2.2: no Upgrade was sent, so nothing can have been switched.
        if response.status == 101 or self._interim_seen > INTERIM_LIMIT:
            raise UpstreamProtocolError("unsolicited 101 or too many interim responses")
        if response.status != 100:
            self.interim.append(response)
        self._expect_head()

    def _start(self, head: Response, *, is_http_1_1: bool) -> None:
        """Find the framing of the content; llhttp has refused a doubtful Content-Length, and one beside a coding."""
        is_coded = is_chunked = False
        options = []
        for name, value in head.fields.lines:
            if name == b"content-length":
                self.content_length = int(value)
            elif name == b"transfer-encoding":
                is_chunked = value.lower() == b"chunked"
                # RFC 9112 §6.1, §6.3: any other framing is in doubt, and so is the peer that sends it.
                if is_coded or not is_http_1_1 or not (is_chunked or _is_unknown(value)):
                    raise UpstreamProtocolError("transfer coding other than chunked")
                is_coded = True
            elif name in {b"connection", b"keep-alive"}:
                options.append(value)
        may_stay, self.idle_timeout = connection_options(tuple(options))
        self.is_reusable = is_http_1_1 and may_stay
        self.head = head
        if not may_have_content(self._method, head.status) or self.content_length == 0:
            self._end(surplus=False)
        elif is_chunked:
            self._framing = Framing.CHUNKED
            self._found.lines.clear()
        elif self.content_length is not None:
            self._framing, self._left = Framing.LENGTH, self.content_length
        else:
            self.is_reusable = False

    def _feed_content(self, data: bytes) -> None:
        match self._framing:
            case Framing.LENGTH:
                left = self._left
                self._left -= len(data)
                if self._left > 0:
                    self.pieces.append(data)
                else:
                    self.pieces.append(data[:left])
                    self._end(surplus=self._left < 0)
            case Framing.CHUNKED:
                self._feed_chunks(data)
            case Framing.UNTIL_CLOSE:
                self.pieces.append(data)

    def _feed_chunks(self, data: bytes) -> None:
        found = self._found
        try:
            self._feed_llhttp(data)
        except UpstreamProtocolError:
            # What cannot be parsed behind the end is surplus, not an error of this response.
            if not found.is_complete:
                raise
            found.is_followed = True
        self._bound_overhead(len(data))
        self.pieces += found.pieces
        found.pieces.clear()
        self._tail = (data if len(data) >= 6 else self._tail + data)[-6:]
        if found.is_complete:
            # llhttp skips line breaks behind the end without a word; a message ends with exactly two of them.
            is_exact = self._tail.endswith(b"\r\n\r\n") and self._tail != b"\r\n\r\n\r\n"
            self._end(surplus=found.is_followed or not is_exact)

    def _bound_overhead(self, fed: int) -> None:
        """Refuse chunk extensions and trailers, which are dropped, when they go on for ever.

        Sixteen bytes for each byte of content are far more than honest framing needs.
        """
        content = sum(map(len, self._found.pieces))
        self._excess = max(0, self._excess + fed - 16 * content)
        if self._excess > HEAD_LIMIT or len(self._found.lines) > LINES_LIMIT:
            raise UpstreamProtocolError("chunk extensions or trailers are over their limit")

    def _end(self, *, surplus: bool) -> None:
        self.is_complete = True
        if surplus:
            self.is_reusable = False


def _is_unknown(value: bytes) -> bool:
    """Return whether nobody can know what `value` does to the content, which then ends with the connection."""
    codings = [member.partition(b";")[0].rstrip(b" \t").lower() for member in list_members(value)]
    return all(map(is_token, codings)) and bool(codings) and _CODINGS.isdisjoint(codings)
