"""Requests out of field lines: pseudo-header fields, and what makes a request malformed (RFC 9113 §8)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.downstream.head import METHODS, Head, check_ambiguities
from edge.downstream.http2.faults import malformed
from edge.downstream.http2.priority import DEFAULT, Priority, parse_priority
from edge.errors import BadRequest, FieldsTooLarge, MethodRefused, MethodUnknown, ParseError, TargetTooLong
from edge.policy.limits import Limits
from edge.semantics.fields import FieldSection, Line, is_field_value, is_token
from edge.semantics.messages import Request
from edge.semantics.target import parse_authority, parse_target

_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
# RFC 9113 §8.2.2, and HTTP2-Settings, which RFC 7540 §3.2.1 has beside Upgrade alone.
_CONNECTION_SPECIFIC = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip
_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_is_content_length = re.compile(rb"[0-9]{1,18}").fullmatch
# RFC 9113 §6.5.2: what a field line counts for beside its octets.
_LINE_OVERHEAD = 32
# Longer requests are not remembered.
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Asked:
    """What a header block asks for.

    Attributes:
        head: the request.
        priority: of the response.
        octets: the same for the same request and for no other, b"" when it is too long to be remembered.
    """

    head: Head
    priority: Priority
    octets: bytes


def read_request(lines: Sequence[Line], *, ends: bool, scheme: bytes, limits: Limits) -> Asked:
    """Return the request that `lines` are; `ends` if there is no content.

    Raises:
        StreamFault: it is malformed.
        DownstreamError: it is to be answered with an error.
    """
    pseudo, rest = _split(lines)
    _check_sizes(lines, limits)
    method = pseudo.get(b":method")
    if method is None or not is_token(method):
        raise malformed()
    fields = _fields(rest, pseudo.get(b":authority"), scheme)
    length = _content_length(fields, ends=ends)
    if method == b"CONNECT":
        if b":scheme" in pseudo or b":path" in pseudo:
            raise malformed()
        raise MethodRefused
    path = pseudo.get(b":path", b"")
    if b":scheme" not in pseudo or not (path.startswith(b"/") or path == b"*"):
        raise malformed()
    if pseudo[b":scheme"] != scheme:
        raise BadRequest
    if len(path) > limits.request_line:
        raise TargetTooLong
    if method not in METHODS:
        raise MethodUnknown
    check_ambiguities(fields, (2, 0))
    try:
        target = parse_target(method, path, fields.get(b"host"), scheme=scheme)
    except ParseError as error:
        raise BadRequest from error
    has_content = not ends and length != 0
    request = Request(method, target, fields, (2, 0), has_content, length if has_content else None)
    head = Head(request, wants_close=False, expects_continue=has_content and b"expect" in fields)
    priority = fields.get(b"priority")
    return Asked(head, DEFAULT if priority is None else parse_priority(priority), _octets(method, path, fields))


def check_trailers(lines: Sequence[Line], limits: Limits) -> None:
    """Raise what is wrong with a trailer section; trailers are dropped (RFC 9110 §6.5.1 allows it).

    Raises:
        StreamFault: it is malformed.
        FieldsTooLarge: it is over the limits of a field section.
    """
    pseudo, rest = _split(lines)
    if pseudo or any(name in _CONNECTION_SPECIFIC for name, _ in rest):
        raise malformed()
    _check_sizes(lines, limits)


def _split(lines: Sequence[Line]) -> tuple[dict[bytes, bytes], list[Line]]:
    """Return pseudo-header fields and fields; StreamFault for what neither may be."""
    pseudo: dict[bytes, bytes] = {}
    rest: list[Line] = []
    for name, value in lines:
        if not is_field_value(value):
            raise malformed()
        if name.startswith(b":"):
            # RFC 9113 §8.3: each once, none behind a field, and no others.
            if rest or name in pseudo or name not in _PSEUDO:
                raise malformed()
            pseudo[name] = value
        elif _is_name(name):
            rest.append((name, value))
        else:
            raise malformed()
    return pseudo, rest


def _check_sizes(lines: Sequence[Line], limits: Limits) -> None:
    sizes = [len(name) + len(value) for name, value in lines]
    is_large = sum(sizes) + len(sizes) * _LINE_OVERHEAD > limits.field_section
    # :path has a limit of its own.
    largest = max((size for size, line in zip(sizes, lines, strict=True) if line[0] != b":path"), default=0)
    if is_large or len(lines) > limits.fields + len(_PSEUDO) or largest + 2 > limits.field:
        raise FieldsTooLarge


def _fields(rest: list[Line], authority: bytes | None, scheme: bytes) -> FieldSection:
    """Return the fields with one Host and one Cookie; StreamFault if there is one that HTTP/2 does not allow."""
    crumbs: list[bytes] = []
    host: bytes | None = None
    lines: list[Line] = []
    for name, value in rest:
        if name in _CONNECTION_SPECIFIC or (name == b"te" and value.lower() != b"trailers"):
            raise malformed()
        if name == b"cookie":
            crumbs.append(value)
        elif name == b"host":
            if host is not None:
                raise malformed()
            host = value
        else:
            lines.append((name, value))
    if authority is not None and host is not None and not _are_same(authority, host, scheme):
        raise malformed()
    authority = host if authority is None else authority
    if authority is not None:
        lines.insert(0, (b"host", authority))
    if crumbs:
        # RFC 9113 §8.2.3.
        lines.append((b"cookie", b"; ".join(crumbs)))
    return FieldSection(lines)


def _are_same(authority: bytes, host: bytes, scheme: bytes) -> bool:
    try:
        return parse_authority(authority, scheme) == parse_authority(host, scheme)
    except ParseError:
        return False


def _content_length(fields: FieldSection, *, ends: bool) -> int | None:
    """Return the announced length; StreamFault if it is none, or if the content has ended before it."""
    values = fields.values(b"content-length")
    if not values:
        return None
    if len(values) > 1 or not _is_content_length(values[0]) or (ends and int(values[0])):
        raise malformed()
    return int(values[0])


def _octets(method: bytes, path: bytes, fields: FieldSection) -> bytes:
    # No part can contain a line break, and no name a colon.
    octets = b"\n".join([method, path, *[b"%s:%s" % line for line in fields]])
    return octets if len(octets) <= _LONGEST else b""
