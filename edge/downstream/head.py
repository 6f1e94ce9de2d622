"""Request heads, strictly: llhttp's grammar for the fields, and a refusal of every ambiguity it leaves open (RFC 9112)."""

import re
from typing import NamedTuple

import httptools

from edge.errors import (
    BadRequest,
    ExpectationFailed,
    FieldsTooLarge,
    MethodRefused,
    MethodUnknown,
    ParseError,
    TargetTooLong,
    VersionRefused,
)
from edge.policy.limits import Limits
from edge.semantics.fields import FieldSection, Line
from edge.semantics.forwarding import connection_options, may_be_dropped
from edge.semantics.immutable import immutable
from edge.semantics.messages import Request
from edge.semantics.target import parse_target

#: Methods with a registered or a widely known meaning; which of them are served is not decided here.
METHODS = frozenset({
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"QUERY", b"TRACE",
    b"PROPFIND", b"PROPPATCH", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"SEARCH", b"REPORT", b"ACL",
    b"BIND", b"REBIND", b"UNBIND", b"CHECKOUT", b"MERGE", b"MKACTIVITY", b"MKCALENDAR", b"MKREDIRECTREF",
    b"TRACK", b"PURGE", b"BAN", b"INVALIDATE", b"LINK", b"UNLINK", b"PRI", b"SOURCE", b"M-SEARCH",
})  # fmt: skip
#: Fields of which a second line makes a request ambiguous (RFC 9110 §5.3).
SINGLETONS = frozenset({
    b"host", b"content-length", b"content-type", b"authorization", b"if-modified-since", b"if-unmodified-since",
    b"if-range", b"expect", b"content-range", b"user-agent", b"range", b"max-forwards",
})  # fmt: skip
_VERSIONS = {b"1.0": (1, 0), b"1.1": (1, 1)}
_HEAD_END = b"\r\n\r\n"
# RFC 9112 §3, with single spaces only; no method that is known is half as long.
_method = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}"
_request_line = re.compile(rb"(%s) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n" % _method).match
_begins_request_line = re.compile(rb"%s(?: (?:[!-~]+(?: [!-~]*\r?)?)?)?" % _method).fullmatch
_bare_line_break = re.compile(rb"(?<!\r)\n|\r[^\n]").search
# RFC 9110 §8.6; a length of more digits is beyond any content.
_is_content_length = re.compile(rb"[0-9]{1,18}").fullmatch
# What llhttp thinks of methods, targets and versions does not matter here, so it is given a request line it knows.
_ANY_LINE = b"POST / HTTP/1.1\r\n"
# Clients send the same fields with one request after another: how many sections are remembered, and how long ones.
_SECTIONS, _LONGEST = 1024, 2048


@immutable(frozen=True, slots=True)
class Head:
    """A request, and what its head says of the connection.

    Attributes:
        request: the request.
        wants_close: whether the connection ends with its response.
        expects_continue: whether the client waits for a 100 before it sends the content.
        may_switch: whether the connection may become another protocol's with its response, if that is a 101.
    """

    request: Request
    wants_close: bool
    expects_continue: bool
    may_switch: bool = False


def head_length(data: bytes, limits: Limits) -> int:
    """Return how many octets of `data` are the head that it begins with, 0 while that is not whole.

    Raises:
        DownstreamError: when it is too long, or, before it is whole, when it cannot become a request any more: who
            sends no empty line must not keep us waiting for it.
    """
    line = data.find(b"\n", 0, limits.request_line + 2) + 1
    if line == 0:
        if _begins_request_line(data, 0, limits.request_line) is None:
            raise BadRequest
        if len(data) >= limits.request_line + 2:
            raise TargetTooLong
        return 0
    end = data.find(_HEAD_END, line - 2)
    if (len(data) if end < 0 else end) - line > limits.field_section:
        raise FieldsTooLarge
    if end < 0:
        if _request_line(data) is None or _bare_line_break(data, line) is not None:
            raise BadRequest
        return 0
    return end + len(_HEAD_END)


def parse_head(raw: bytes, scheme: bytes, limits: Limits) -> Head:
    """Return the head that `raw` is, up to and with its empty line.

    Raises:
        DownstreamError: with the status that tells the client what is wrong.
    """
    match = _request_line(raw)
    if match is None:
        raise BadRequest
    version = _VERSIONS.get(match[3])
    if version is None:
        raise VersionRefused
    section = _read_section(raw[match.end() :], version, limits)
    method, fields = match[1], section.fields
    if method == b"CONNECT":
        # Its target has a form of its own, so it is refused before that is read (RFC 9110 §9.3.6).
        raise MethodRefused
    if method not in METHODS:
        raise MethodUnknown
    if not section.is_sound:
        raise BadRequest
    try:
        target = parse_target(method, match[2], section.host, scheme=scheme)
    except ParseError as error:
        raise BadRequest from error
    length = section.length
    has_content = length is None or length > 0
    request = Request(method, target, fields, version, has_content, length or None)
    return Head(
        request,
        wants_close=section.is_last or (version == (1, 0) and b"keep-alive" not in section.options),
        expects_continue=has_content and version == (1, 1) and section.expects,
        may_switch=section.asks_to_switch and method == b"GET" and version == (1, 1) and not has_content,
    )


class _Section(NamedTuple):
    """What a field section says, whatever the request line.

    Attributes:
        version: of the request that it was read for.
        limits: the ones it was held to.
        fields: its lines.
        options: the connection options.
        is_sound: whether they name no field that must not be dropped.
        host: the value of Host.
        length: of the content, None when that is chunked.
        is_last: whether no other request can follow.
        expects: whether it has an expectation.
        asks_to_switch: whether it asks for another protocol.
    """

    version: tuple[int, int]
    limits: Limits
    fields: FieldSection
    options: frozenset[bytes]
    is_sound: bool
    host: bytes | None
    length: int | None
    is_last: bool
    expects: bool
    asks_to_switch: bool


_known_sections: dict[bytes, _Section] = {}


def _read_section(raw: bytes, version: tuple[int, int], limits: Limits) -> _Section:
    known = _known_sections.get(raw)
    if known is not None and known.limits is limits and known.version == version:
        return known
    fields = _parse_fields(raw, limits)
    check_ambiguities(fields, version)
    options = connection_options(fields)
    asks_to_switch = b"upgrade" in options and b"upgrade" in fields
    section = _Section(
        version,
        limits,
        fields,
        options,
        may_be_dropped(options),
        fields.get(b"host"),
        None if b"transfer-encoding" in fields else int(fields.get(b"content-length") or b"0"),
        # What follows an upgrade may be another protocol, also where it is answered as an ordinary request.
        is_last=b"close" in options or asks_to_switch,
        expects=b"expect" in fields,
        asks_to_switch=asks_to_switch,
    )
    if len(raw) <= _LONGEST:
        if len(_known_sections) >= _SECTIONS:
            # Begun anew rather than kept in order: what is frequent is back at once.
            _known_sections.clear()
        _known_sections[raw] = section
    return section


class _Collector:
    """What llhttp calls back with."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.lower(), value.strip(b" \t")))


def _parse_fields(section: bytes, limits: Limits) -> FieldSection:
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(_ANY_LINE + section)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadRequest from error
    lines = collector.lines
    if len(lines) > limits.fields or any(len(name) + len(value) + 2 > limits.field for name, value in lines):
        raise FieldsTooLarge
    return FieldSection(lines)


def check_ambiguities(fields: FieldSection, version: tuple[int, int]) -> None:
    """Raise what makes a field section ambiguous: a field too often, or framing that two readers could read apart."""
    seen: set[bytes] = set()
    for name, value in fields:
        if name in seen and name in SINGLETONS:
            raise BadRequest
        if name == b"content-length" and not _is_content_length(value):
            raise BadRequest
        seen.add(name)
    if b"transfer-encoding" in seen:
        # RFC 9112 §6.1: only chunked, only once, and never beside a length or for a client that cannot know it.
        codings = [coding.lower() for coding in fields.values(b"transfer-encoding")]
        if codings != [b"chunked"] or version == (1, 0) or b"content-length" in seen:
            raise BadRequest
    if b"expect" in seen and (fields.get(b"expect") or b"").lower() != b"100-continue":
        raise ExpectationFailed
