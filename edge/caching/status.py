"""The Cache-Status field (RFC 9211)."""

from dataclasses import dataclass
from functools import lru_cache

from edge.caching.reuse import Fwd


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """What this cache did with one request; `fwd` is None for a hit (RFC 9211 §2)."""

    fwd: Fwd | None
    fwd_status: int | None = None
    ttl: int | None = None
    stored: bool = False
    collapsed: bool = False
    detail: str = ""

    def encoded(self, node: bytes) -> bytes:
        """Return the list member for the cache called `node`, an RFC 9110 token."""
        # RFC 9651 §3.3.4: not every such token is a Token; RFC 9211 §2 lets a String stand for it.
        name = node if node[:1].isalpha() or node[:1] == b"*" else b'"%s"' % node
        parts = [name, b"hit" if self.fwd is None else b"fwd=" + self.fwd.encode("ascii")]
        if self.fwd_status is not None:
            parts.append(b"fwd-status=%d" % self.fwd_status)
        if self.ttl is not None:
            parts.append(b"ttl=%d" % self.ttl)
        if self.stored:
            parts.append(b"stored")
        if self.collapsed:
            parts.append(b"collapsed")
        if self.detail:
            parts.append(b"detail=" + self.detail.encode("ascii"))
        return b"; ".join(parts)


@lru_cache(4096)
def hit_status(node: bytes, ttl: int) -> bytes:
    """Return the member of the cache called `node` for a hit that is fresh for `ttl` more seconds, encoded."""
    return CacheStatus(None, ttl=ttl).encoded(node)
