"""A request as HTTP/1.1 bytes: our own Host and framing around fields that are ready to send (RFC 9112 §3, §6)."""

import re
from functools import lru_cache
from typing import Protocol

from edge.errors import InternalError
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request

#: The fields that this connection makes itself.
_OURS = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding"})
#: RFC 9110 §8.6: methods that define a meaning for content say so even when there is none.
_METHODS_WITH_CONTENT = frozenset({b"POST", b"PUT", b"PATCH"})
# Clients send the same fields with one request after another: how many sections are remembered, and how long ones.
_SECTIONS, _LONGEST = 1024, 2048
_known_rests: dict[tuple[bytes, FieldSection], bytes] = {}
_has_control = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search
_breaks_line = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


def request_head(request: Request, authority: bytes | None = None) -> bytes:
    """Return the head of `request`, with `authority` instead of the target's when given.

    Raises:
        InternalError: a part of the request would break out of its line.
    """
    target, fields = request.target, request.fields
    if authority is None:
        authority = target.authority
    line = b"%s %s" % (request.method, target.path if target.query is None else target.path_and_query)
    if _breaks_line(line) is not None:
        raise InternalError("a request line holds a control character")
    rest = _known_rests.get((authority, fields)) or _rest(authority, fields)
    if request.content_length is not None:
        return b"%s%s\r\nContent-Length: %d\r\n\r\n" % (line, rest, request.content_length)
    if request.has_content:
        return b"%s%s\r\nTransfer-Encoding: chunked\r\n\r\n" % (line, rest)
    if request.method in _METHODS_WITH_CONTENT:
        return b"%s%s\r\nContent-Length: 0\r\n\r\n" % (line, rest)
    return b"%s%s\r\n\r\n" % (line, rest)


def _rest(authority: bytes, fields: FieldSection) -> bytes:
    """Return the end of the request line, Host and the lines of a section; InternalError when one would be two."""
    if _breaks_line(authority) is not None:
        raise InternalError("an authority holds a control character")
    lines = [b"%s: %s" % (_written_name(name), value) for name, value in fields.lines if name not in _OURS]
    written = b"".join([b"\r\n" + line for line in lines])
    # Any other line break than ours was smuggled in by a value.
    if not written.count(b"\r") == written.count(b"\n") == len(lines) or _has_control(written):
        raise InternalError("a field holds a control character")
    rest = b" HTTP/1.1\r\nHost: %s%s%s" % (
        authority, written, b"\r\nConnection: Upgrade" if b"upgrade" in fields else b"",
    )  # fmt: skip
    if len(rest) <= _LONGEST:
        if len(_known_rests) >= _SECTIONS:
            # Begun anew rather than kept in order: what is frequent is back at once.
            _known_rests.clear()
        _known_rests[authority, fields] = rest
    return rest


class RequestContent(Protocol):
    """Request content that arrives piece by piece; what the exchange calls a source."""

    async def read(self) -> bytes:
        """Return the next piece, or b"" at the clean end; raises EdgeError when it ends early."""
        ...


class ContentFraming:
    """Request content as its head announced it: `length` octets, or chunked when that is None."""

    __slots__ = ("_left",)

    def __init__(self, length: int | None) -> None:
        self._left = length

    def piece(self, piece: bytes) -> bytes:
        """Return `piece`, which is not empty, as it is sent; InternalError if it goes beyond the length."""
        if self._left is None:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        self._left -= len(piece)
        if self._left < 0:
            raise InternalError("the request content is longer than announced")
        return piece

    def end(self) -> bytes:
        """Return what is sent after the last piece; InternalError if the content is not as long as announced."""
        if self._left is None:
            return b"0\r\n\r\n"
        if self._left:
            # The origin would take the next request for the rest of this one.
            raise InternalError("the request content is shorter than announced")
        return b""


@lru_cache(maxsize=1024)
def _written_name(name: bytes) -> bytes:
    return _IRREGULAR_NAMES.get(name) or name.title()


_IRREGULAR_NAMES = {
    written.lower(): written
    for written in (b"CDN-Loop", b"Content-MD5", b"DNT", b"ETag", b"Last-Event-ID", b"SOAPAction", b"TE",
                    b"WWW-Authenticate", b"X-Request-ID")
}  # fmt: skip
