"""URI references against a target (RFC 3986 §5), as far as Location and Content-Location need them."""

import re
from dataclasses import replace

from edge.errors import ParseError
from edge.semantics.target import Target, parse_target

_scheme = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*):").match


def resolve(base: Target, reference: bytes) -> Target | None:
    """Return the target that `reference` names, None when it is malformed or of another scheme than http(s)."""
    reference = reference.partition(b"#")[0]
    if reference.startswith(b"//"):
        reference = base.scheme + b":" + reference
    if (match := _scheme(reference)) is not None:
        scheme = match[1].lower()
        named = _parsed(reference, None, scheme) if scheme in {b"http", b"https"} else None
        return named and replace(named, path=remove_dot_segments(named.path))
    path, question, query = reference.partition(b"?")
    if not path:
        return _parsed(base.path + question + query, base.authority, base.scheme) if question else base
    if not path.startswith(b"/"):
        path = base.path[: base.path.rfind(b"/") + 1] + path
    return _parsed(remove_dot_segments(path) + question + query, base.authority, base.scheme)


def remove_dot_segments(path: bytes) -> bytes:
    """Return an absolute path without its "." and ".." segments (RFC 3986 §5.2.4)."""
    segments = path.split(b"/")
    output: list[bytes] = []
    for segment in segments[1:]:
        if segment == b"..":
            if output:
                output.pop()
        elif segment != b".":
            output.append(segment)
    if segments[-1] in {b".", b".."}:
        output.append(b"")
    return b"/" + b"/".join(output)


def _parsed(raw: bytes, host: bytes | None, scheme: bytes) -> Target | None:
    try:
        return parse_target(b"GET", raw, host, scheme=scheme)
    except ParseError:
        return None
