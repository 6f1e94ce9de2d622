"""From what an operator writes to what responses are compared with: normalised as a request for it would be."""

import re
from collections.abc import Callable

from edge.errors import ParseError
from edge.policy.key import KeyPolicy, apply_query, cache_key
from edge.policy.purging import Kind, Selector
from edge.semantics.target import DEFAULT_PORTS, parse_authority, parse_target, split_authority

#: Returns the key policy of the site that answers for a lower-case host without port, None when no site does.
PolicyOf = Callable[[bytes], KeyPolicy | None]
#: Octets in a tag; longer ones cannot be in any field.
LONGEST_TAG = 1024

_url = re.compile(rb"(?:([A-Za-z]+):)?//([^/?#]*)([^#]*)").fullmatch
_prefix = re.compile(rb"(?:([A-Za-z]+)://)?([^/?#]+)(/[^?#*]*)?").fullmatch
_is_tag = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?").fullmatch


def url(text: str, policy_of: PolicyOf) -> Selector:
    """Return the selector of every variant of an absolute URL; ParseError, with a sentence, if it is none of ours."""
    match = _url(_ascii(text))
    if match is None or match[1] is None or match[1].lower() not in DEFAULT_PORTS:
        raise ParseError("a URL begins with http:// or https:// and has no fragment")
    scheme = match[1].lower()
    authority, policy = _site(match[2], scheme, policy_of)
    rest = match[3] if match[3].startswith(b"/") else b"/" + match[3]
    try:
        target = parse_target(b"GET", rest, authority, scheme=scheme)
    except ParseError:
        raise ParseError("its path or query has characters that a URL cannot hold") from None
    return Selector(Kind.URL, cache_key(apply_query(target, policy), policy))


def prefix(text: str, policy_of: PolicyOf) -> Selector:
    """Return the selector of a path and all below it, of one scheme or, without one, of both; ParseError if malformed.

    It ends where a segment ends: "a.example/blog" is /blog, /blog/ and /blog/1, and not /blogger.
    """
    match = _prefix(_ascii(text))
    if match is None or (match[1] is not None and match[1].lower() not in DEFAULT_PORTS):
        raise ParseError('a prefix is such as "a.example/blog" or "https://a.example/blog", without a query or a "*"')
    scheme = b"" if match[1] is None else match[1].lower()
    authority, policy = _site(match[2], scheme, policy_of)
    path = (match[3] or b"").removesuffix(b"/")
    return Selector(Kind.PREFIX, b"%s//%s%s" % (scheme and scheme + b":", policy.host or authority, path))


def host(text: str, policy_of: PolicyOf) -> Selector:
    """Return the selector of a host on every port or, with one, of that port alone; ParseError if malformed."""
    authority, policy = _site(_ascii(text), b"", policy_of)
    return Selector(Kind.HOST, policy.host or authority)


def tag(text: str) -> Selector:
    """Return the selector of a tag or cache group, of whatever site; ParseError if no field can hold it."""
    raw = _ascii(text)
    if _is_tag(raw) is None or len(raw) > LONGEST_TAG:
        raise ParseError(f"a tag has 1 to {LONGEST_TAG} visible characters")
    return Selector(Kind.TAG, raw)


def group(scheme: bytes, authority: bytes, name: bytes) -> Selector:
    """Return the selector of a cache group, which is one of its origin alone (RFC 9875 §2)."""
    return Selector(Kind.GROUP, b"%s://%s %s" % (scheme, authority, name))


def _site(raw: bytes, scheme: bytes, policy_of: PolicyOf) -> tuple[bytes, KeyPolicy]:
    try:
        # Without a scheme, the default port of either is no port.
        authority = parse_authority(raw, scheme or b"http")
        authority = parse_authority(authority, scheme or b"https")
    except ParseError:
        raise ParseError("its host is not one") from None
    policy = policy_of(split_authority(authority)[0])
    if policy is None:
        raise ParseError("no site answers for its host")
    return authority, policy


def _ascii(text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise ParseError("it has to be written in ASCII, as a request would: xn-- for names, %XX elsewhere") from None
