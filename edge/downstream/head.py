"""Request heads, strictly: llhttp's grammar, and a refusal of every ambiguity that it leaves open (RFC 9112)."""

import re

import httptools

from edge.errors import BadRequest, ExpectationFailed, FieldsTooLarge, MethodUnknown, ParseError, VersionRefused
from edge.policy.limits import Limits
from edge.semantics.fields import TOKEN, FieldSection, Line
from edge.semantics.forwarding import check_connection_options
from edge.semantics.messages import Request
from edge.semantics.target import parse_target

# RFC 9112 §3 with single spaces only; llhttp would take several.
_request_line = re.compile(rb"(%s) ([!-\"$-~]+) HTTP/([0-9]\.[0-9])\r\n" % TOKEN).match
_PARSED_VERSIONS = {b"1.0": (1, 0), b"1.1": (1, 1)}
#: Fields of which a second line makes a request ambiguous (RFC 9110 §5.3).
_SINGLETONS = frozenset({
    b"host", b"content-length", b"content-type", b"authorization", b"if-modified-since", b"if-unmodified-since",
    b"if-range", b"expect", b"content-range", b"user-agent", b"range", b"max-forwards",
})  # fmt: skip


class _Collector:
    """What llhttp calls back with."""

    __slots__ = ("chunk_headers", "fields", "is_complete", "pieces")

    def __init__(self) -> None:
        self.fields: list[Line] = []
        self.pieces: list[bytes] = []
        self.is_complete = False
        self.chunk_headers = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_chunk_header(self) -> None:
        self.chunk_headers += 1

    def on_message_complete(self) -> None:
        self.is_complete = True


class ParsedHead:
    """A request, and the parser that goes on with its chunked content if it has any."""

    __slots__ = ("collector", "expects_continue", "parser", "request", "wants_close")

    def __init__(self, raw: bytes, scheme: bytes, limits: Limits) -> None:
        """Parse `raw`, a head up to and with its empty line.

        Raises:
            DownstreamError: with the status that tells the client what is wrong.
        """
        line = _request_line(raw)
        if line is None:
            raise BadRequest
        version = _PARSED_VERSIONS.get(line[3])
        if version is None:
            raise VersionRefused
        self.collector = _Collector()
        self.parser = httptools.HttpRequestParser(self.collector)
        _feed(self.parser, raw)
        fields = FieldSection(self.collector.fields)
        self.collector.fields = []
        _check_sizes(fields, limits)
        _check_ambiguities(fields, version)
        try:
            check_connection_options(fields)
            target = parse_target(line[1], line[2], fields.get(b"host"), scheme=scheme)
        except ParseError as error:
            raise BadRequest from error
        is_chunked = b"transfer-encoding" in fields
        length = int(fields.get(b"content-length") or b"0")
        self.request = Request(
            line[1], target, fields, version, is_chunked or length > 0, None if is_chunked or length == 0 else length
        )
        options = {option.lower() for option in fields.members(b"connection")}
        # An upgrade is answered as an ordinary request; what follows it may be another protocol.
        self.wants_close = (
            b"close" in options
            or (version == (1, 0) and b"keep-alive" not in options)
            or (b"upgrade" in options and b"upgrade" in fields)
        )
        self.expects_continue = version == (1, 1) and b"expect" in fields and self.request.has_content


def _feed(parser: httptools.HttpRequestParser, raw: bytes) -> None:
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserInvalidMethodError as error:
        raise MethodUnknown from error
    except httptools.HttpParserError as error:
        raise BadRequest from error


def _check_sizes(fields: FieldSection, limits: Limits) -> None:
    if len(fields) > limits.fields or any(len(name) + len(value) + 2 > limits.field for name, value in fields):
        raise FieldsTooLarge


def _check_ambiguities(fields: FieldSection, version: tuple[int, int]) -> None:
    seen: set[bytes] = set()
    for name, _ in fields:
        if name in _SINGLETONS and name in seen:
            raise BadRequest
        seen.add(name)
    if b"transfer-encoding" in seen:
        codings = [coding.lower() for coding in fields.values(b"transfer-encoding")]
        if codings != [b"chunked"] or version == (1, 0) or b"content-length" in seen:
            raise BadRequest
    if b"expect" in seen and (fields.get(b"expect") or b"").lower() != b"100-continue":
        raise ExpectationFailed
