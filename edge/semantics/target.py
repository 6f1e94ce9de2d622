"""Request targets and authorities (RFC 9112 §3.2, RFC 3986), as bytes; never through urllib.

A target is parsed once.  Its authority (lower case, without the scheme's default port) is the one identity used for
routing, for the key and for the Host field that is forwarded.
"""

import re
from functools import lru_cache

from edge.errors import ParseError
from edge.semantics.immutable import immutable

DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}

# RFC 3986 §3.3 path characters and §3.4 query characters; percent triples are left as they are, and a lone "%" is
# passed through because origins and browsers use it.  "|", "[" and "]" are not in the grammar but are sent by browsers
# inside queries.
_PATH = rb"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*"
_QUERY = rb"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?|\[\]]*"
_origin_form = re.compile(rb"(%s)(?:\?(%s))?" % (_PATH, _QUERY)).fullmatch
_absolute_form = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)(%s)?(?:\?(%s))?" % (_PATH, _QUERY)).fullmatch
# RFC 3986 §3.2.2 reg-name, with labels that are not empty; one dot may end it (RFC 1034 §3.1).
_label = rb"[A-Za-z0-9\-_~!$&'()*+,;=%]+"
_reg_name = rb"%s(?:\.%s)*\.?" % (_label, _label)
_ipv6 = rb"\[[0-9A-Fa-f:.]{2,45}\]"
_authority = re.compile(rb"(%s|%s)(?::([0-9]{0,5}))?" % (_reg_name, _ipv6)).fullmatch


@immutable(frozen=True, slots=True)
class Target:
    """A target URI in parts; `query` is None when there is no "?", and may be empty when there is one."""

    scheme: bytes
    authority: bytes
    path: bytes
    query: bytes | None = None

    @property
    def path_and_query(self) -> bytes:
        """The origin-form of the target."""
        return self.path if self.query is None else b"%s?%s" % (self.path, self.query)

    @property
    def uri(self) -> bytes:
        """The absolute URI."""
        return b"%s://%s%s" % (self.scheme, self.authority, self.path_and_query)

    @property
    def host(self) -> bytes:
        """The authority without its port."""
        return split_authority(self.authority)[0]


def parse_target(method: bytes, raw: bytes, host: bytes | None, *, scheme: bytes) -> Target:
    """Return the target URI of a request line's `raw` target and its Host field (RFC 9112 §3.3).

    Raises:
        ParseError: for any other form than origin-form, absolute-form of the listener's own scheme, or `*` with
            OPTIONS; for a missing or malformed Host; for an absolute-form whose authority is not Host's.
    """
    authority = parse_authority(host, scheme) if host is not None else None
    if raw == b"*" and method == b"OPTIONS" and authority is not None:
        return Target(scheme, authority, b"*")
    if (match := _origin_form(raw)) is not None:
        if authority is None:
            raise ParseError("a request needs a Host field")
        return Target(scheme, authority, match[1], match[2])
    if (match := _absolute_form(raw)) is None or match[1].lower() != scheme:
        raise ParseError("malformed request target")
    named = parse_authority(match[2], scheme)
    # RFC 9112 §3.2.2 lets the target win; one identity that both sides agree on closes the class of mix-ups.
    if authority is not None and authority != named:
        raise ParseError("the request target and Host name different authorities")
    return Target(scheme, named, match[3] or b"/", match[4])


def parse_uri(raw: bytes) -> Target:
    """Return the target of an absolute http or https URI, without its fragment; ParseError if it is none."""
    scheme = raw.partition(b":")[0].lower()
    if scheme not in DEFAULT_PORTS:
        raise ParseError("not an http or https URI")
    return parse_target(b"GET", raw.partition(b"#")[0], None, scheme=scheme)


# The names of the sites, over and over.
@lru_cache(maxsize=1024)
def parse_authority(raw: bytes, scheme: bytes) -> bytes:
    """Return `raw` in lower case and without the default port of `scheme`; ParseError if it is not host[:port]."""
    match = _authority(raw)
    if match is None or (match[2] and int(match[2]) > 65535):
        raise ParseError("malformed authority")
    host, port = match[1].lower(), int(match[2]) if match[2] else None
    return host if port is None or b"%d" % port == DEFAULT_PORTS.get(scheme) else b"%s:%d" % (host, port)


def split_authority(authority: bytes) -> tuple[bytes, int | None]:
    """Return host and port (None when it is the default) of an authority made by `parse_authority`."""
    host, colon, port = authority.rpartition(b":")
    if colon and b"]" not in port:
        return host, int(port)
    return authority, None


def secure_target(target: Target, port: int) -> Target:
    """Return the same target by https, at `port`."""
    authority = target.host if b"%d" % port == DEFAULT_PORTS[b"https"] else b"%s:%d" % (target.host, port)
    return Target(b"https", authority, target.path, target.query)
