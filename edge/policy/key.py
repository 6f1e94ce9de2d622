"""Cache keys and the query that goes forward with them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.errors import ParseError
from edge.semantics.target import Target

# A length as `cache_key` writes it: one spelling for each, so that one key has one inverse.
_length = re.compile(rb"(0|[1-9][0-9]{0,8}):").match


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Which query arguments count.

    Attributes:
        keep: names kept, all others dropped; None keeps all.  A name ending in "*" is a prefix.
        drop: names dropped.
        sort: order the arguments by name and value.
        host: the authority that stands in the key for all of the site's hosts, None for each its own.

    What is dropped here is not sent to the origin either: an argument outside the key must not shape the answer.
    """

    keep: tuple[bytes, ...] | None = None
    drop: tuple[bytes, ...] = ()
    sort: bool = False
    host: bytes | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the query goes into the key as it came."""
        return self.keep is None and not self.drop and not self.sort


def apply_query(target: Target, policy: KeyPolicy) -> Target:
    """Return `target` with the query that is both part of the key and sent to the origin."""
    if policy.is_plain or target.query is None:
        return target
    arguments = [argument for argument in target.query.split(b"&") if argument]
    if policy.keep is not None:
        kept = _matcher(policy.keep)
        arguments = [argument for argument in arguments if kept(argument)]
    if policy.drop:
        dropped = _matcher(policy.drop)
        arguments = [argument for argument in arguments if not dropped(argument)]
    if policy.sort:
        arguments.sort()
    return replace(target, query=b"&".join(arguments) or None)


def cache_key(target: Target, policy: KeyPolicy) -> bytes:
    """Return the key of `target`: injective over (scheme, authority, path, query), each part with its length."""
    authority = policy.host or target.authority
    query = b"-" if target.query is None else b"?" + target.query
    scheme, path = target.scheme, target.path
    return b"%d:%s%d:%s%d:%s%d:%s" % (
        len(scheme), scheme, len(authority), authority, len(path), path, len(query), query,
    )  # fmt: skip


def parse_key(key: bytes) -> Target:
    """Return the target whose `cache_key` is `key`, its authority being the one in the key; ParseError if none is."""
    parts, at = [], 0
    for _ in range(4):
        match = _length(key, at)
        if match is None:
            raise ParseError("not a cache key")
        at = match.end() + int(match[1])
        parts.append(key[match.end() : at])
    scheme, authority, path, query = parts
    if at != len(key) or (query != b"-" and not query.startswith(b"?")):
        raise ParseError("not a cache key")
    return Target(scheme, authority, path, None if query == b"-" else query[1:])


def _matcher(names: tuple[bytes, ...]) -> Callable[[bytes], bool]:
    exact = frozenset(name for name in names if not name.endswith(b"*"))
    prefixes = tuple(name[:-1] for name in names if name.endswith(b"*"))

    def matches(argument: bytes) -> bool:
        name = argument.partition(b"=")[0]
        return name in exact or (bool(prefixes) and name.startswith(prefixes))

    return matches
