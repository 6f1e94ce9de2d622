"""What an intermediary may pass on: connection options, hop-by-hop fields, Via and CDN-Loop.

RFC 9110 §7.6 (forwarding), RFC 8586 (CDN-Loop).
"""

from edge.errors import ParseError
from edge.semantics.fields import FieldSection

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
UNTRUSTED = frozenset({
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port",
    b"x-forwarded-scheme", b"x-forwarded-server", b"x-forwarded-prefix", b"x-forwarded-ssl", b"x-forwarded",
    b"x-real-ip", b"x-host", b"x-original-host", b"x-original-url", b"x-original-uri", b"x-rewrite-url",
    b"x-http-method", b"x-http-method-override", b"x-method-override", b"true-client-ip", b"x-client-ip",
    b"x-cluster-client-ip", b"proxy", b"x-purge", b"x-cache-debug", b"surrogate-key", b"x-edge-auth",
})  # fmt: skip


def connection_options(fields: FieldSection) -> frozenset[bytes]:
    """Return the lower-case connection options of a message."""
    return frozenset(option.lower() for option in fields.members(b"connection"))


def check_connection_options(fields: FieldSection) -> None:
    """Raise ParseError when Connection names a field that must never be dropped hop by hop."""
    if connection_options(fields) & NEVER_CONNECTION_OPTIONS:
        raise ParseError("Connection names a field that is not hop-by-hop")


def end_to_end(fields: FieldSection) -> FieldSection:
    """Return the fields that may go on to the next hop (RFC 9110 §7.6.1)."""
    dropped = HOP_BY_HOP | connection_options(fields)
    return fields.filtered(lambda name: name not in dropped)


def without_untrusted(fields: FieldSection) -> FieldSection:
    """Return request fields without those that only a trusted proxy may set, or that many origins read as another.

    A name with an underscore reaches CGI-like origins as the one with a hyphen, so it is dropped.
    """
    return fields.filtered(lambda name: name not in UNTRUSTED and b"_" not in name)


def loop_count(fields: FieldSection, node: bytes) -> int:
    """Return how often a request has been through `node`, by CDN-Loop (RFC 8586) or by Via, whichever says more."""
    loops = sum(1 for member in fields.members(b"cdn-loop") if member.split(b";")[0].strip(b" \t") == node)
    vias = sum(1 for member in fields.members(b"via") if node in member.split()[1:2])
    return max(loops, vias)


def with_hop(fields: FieldSection, node: bytes, version: tuple[int, int]) -> FieldSection:
    """Return message fields with this hop added to Via (RFC 9110 §7.6.3), the received `version` in front."""
    received = fields.values(b"via")
    member = b"%d.%d %s" % (*version, node)
    return fields.replacing(b"via", b", ".join([*received, member]))
