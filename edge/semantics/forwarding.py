"""What an intermediary may pass on: connection options, hop-by-hop fields, Via and CDN-Loop.

RFC 9110 §7.6 (forwarding), RFC 8586 (CDN-Loop).
"""

from functools import lru_cache

from edge.semantics.fields import FieldSection, list_members

#: RFC 9110 §7.6.1, and what never means anything on the next hop.
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization", b"http2-settings",
})  # fmt: skip
#: A Connection option naming one of these would take away what framing, routing, keys or loop detection stand on.
NEVER_CONNECTION_OPTIONS = frozenset({
    b"content-length", b"transfer-encoding", b"host", b"authorization", b"cookie", b"cache-control", b"cdn-loop",
    # RFC 8470 §5.1: it must reach the origin, or a replayed request looks like any other.
    b"early-data",
})  # fmt: skip
#: Request fields that steer origins behind the cache's back: not part of the key, so never taken from a client.
#: So are names with an underscore, which reach CGI-like origins as the ones with a hyphen.
UNTRUSTED = frozenset({
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port",
    b"x-forwarded-scheme", b"x-forwarded-server", b"x-forwarded-prefix", b"x-forwarded-ssl", b"x-forwarded",
    b"x-real-ip", b"x-host", b"x-original-host", b"x-original-url", b"x-original-uri", b"x-rewrite-url",
    b"x-http-method", b"x-http-method-override", b"x-method-override", b"true-client-ip", b"x-client-ip",
    b"x-cluster-client-ip", b"proxy", b"x-purge", b"x-cache-debug", b"surrogate-key", b"x-edge-auth",
})  # fmt: skip


_NO_OPTIONS: frozenset[bytes] = frozenset()
# What nearly every message says, and what names no field that is not dropped anyway.
_HARMLESS = frozenset({b"keep-alive", b"close"})


def connection_options(fields: FieldSection) -> frozenset[bytes]:
    """Return the lower-case connection options of a message."""
    values = fields.values(b"connection")
    return _options(tuple(values)) if values else _NO_OPTIONS


def may_be_dropped(options: frozenset[bytes]) -> bool:
    """Return whether connection options name no field that must never be dropped hop by hop."""
    return options.isdisjoint(NEVER_CONNECTION_OPTIONS)


def end_to_end(fields: FieldSection) -> FieldSection:
    """Return the fields that may go on to the next hop (RFC 9110 §7.6.1)."""
    options = connection_options(fields)
    dropped = HOP_BY_HOP if options <= _HARMLESS else HOP_BY_HOP | options
    return FieldSection([line for line in fields.lines if line[0] not in dropped])


def loop_count(fields: FieldSection, node: bytes) -> int:
    """Return how often a request has been through `node`, by CDN-Loop (RFC 8586) or by Via, whichever says more."""
    loops = sum(1 for member in fields.members(b"cdn-loop") if member.split(b";")[0].strip(b" \t") == node)
    vias = sum(1 for member in fields.members(b"via") if node in member.split()[1:2])
    return max(loops, vias)


@lru_cache(maxsize=256)
def _options(values: tuple[bytes, ...]) -> frozenset[bytes]:
    return frozenset(option.lower() for value in values for option in list_members(value))
