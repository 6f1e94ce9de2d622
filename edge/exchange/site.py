"""A site: the hosts it answers for, its origin, and every choice its operator makes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from edge.caching.coding import CompressionRules
from edge.caching.freshness import FreshnessRules
from edge.caching.reuse import ReuseRules
from edge.caching.storing import StoringRules
from edge.policy.chunking import ChunkRules
from edge.policy.key import KeyPolicy, apply_query, cache_key
from edge.policy.profile import SAFE, Profile
from edge.semantics.target import Target

# Beside the fields targeted at caches.
_DECIDING = frozenset({b"cache-control", b"connection", b"content-encoding", b"content-type", b"vary", b"via"})
# So many authorities are remembered with their sites.
_AUTHORITIES = 1024


@dataclass(frozen=True, slots=True)
class Site:
    """One site's choices.

    Attributes:
        name: first of its hosts, in logs and metrics.
        hosts: lower-case host names; "*.example.com" for all below one, "*" for every other.
        origin: name of the origin that is asked.
        profile: what the cache may do.
        freshness: targeted fields, default lifetime, stale windows, heuristic.
        key: which query arguments count.
        chunks: by which chunks ranges are fetched, and how far ahead.
        collapse: whether concurrent requests for one key share one forward request.
        collapse_wait: how long a request waits for another's response head before it goes alone, seconds.
        max_request_content: octets, None for no limit.
        strip_cookies: whether Cookie is dropped from requests and Set-Cookie from responses.
        x_cache: whether responses carry X-Cache.
        https_port: where requests by plain HTTP are redirected to, None to answer them.
        hsts: Strict-Transport-Security of responses over https, b"" for none (RFC 6797).
        client_ca: what signs the certificates of the clients, which alone are answered then; "" for all of them.
        upgrade: the protocols that connections may become, in lower case.
        compression: which content is coded for which clients, None for none.
        purge_from: the networks whose PURGE requests are obeyed.
        storing_rules, reuse_rules: the profile's part of these decisions, made of the above.
        deciding: the names of the response fields whose values, and not only whether they are there, decide.
    """

    name: str
    hosts: tuple[bytes, ...]
    origin: str
    profile: Profile = SAFE
    freshness: FreshnessRules = field(default_factory=FreshnessRules)
    key: KeyPolicy = field(default_factory=KeyPolicy)
    chunks: ChunkRules = field(default_factory=ChunkRules)
    collapse: bool = True
    collapse_wait: float = 5.0
    max_request_content: int | None = 1 << 20
    strip_cookies: bool = False
    x_cache: bool = True
    https_port: int | None = None
    hsts: bytes = b""
    client_ca: str = ""
    compression: CompressionRules | None = None
    purge_from: tuple[IPv4Network | IPv6Network, ...] = ()
    upgrade: frozenset[bytes] = frozenset({b"websocket"})

    storing_rules: StoringRules = field(init=False)
    reuse_rules: ReuseRules = field(init=False)
    deciding: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        profile = self.profile
        storing = StoringRules(
            self.freshness,
            strip_cookies=self.strip_cookies,
            store_set_cookie=profile.store_set_cookie,
            cookie_needs_explicit=profile.cookie_needs_explicit,
            store_server_errors=profile.store_server_errors,
            store_post=profile.store_post,
        )
        reuse = ReuseRules(
            self.freshness,
            honour_reload=profile.honour_reload,
            stale_when_disconnected=profile.stale_when_disconnected,
            s_maxage_forbids_stale=profile.s_maxage_forbids_stale,
        )
        object.__setattr__(self, "storing_rules", storing)
        object.__setattr__(self, "reuse_rules", reuse)
        object.__setattr__(self, "deciding", _DECIDING.union(self.freshness.targets))


#: A site, and a target and a key of it.
Placed = tuple[Site, Target, bytes]


class Sites:
    """The sites of a node by host."""

    __slots__ = ("_any", "_below", "_by_authority", "_exact", "_placed")

    def __init__(self, sites: Iterable[Site]) -> None:
        self._exact: dict[bytes, Site] = {}
        self._below: dict[bytes, Site] = {}
        self._any: Site | None = None
        self._by_authority: dict[bytes, Site] = {}
        self._placed: tuple[Target | None, Placed | None] = None, None
        for site in sites:
            for host in site.hosts:
                if host == b"*":
                    self._any = site
                elif host.startswith(b"*."):
                    self._below[host[1:]] = site
                else:
                    self._exact[host] = site

    def place(self, target: Target) -> Placed | None:
        """Return the site that answers for `target`, what of it is in the key and sent to the origin, and the key."""
        last, placed = self._placed
        if last is not target:
            # Those who answer at once are asked one after the other, about one request.
            site = self.of(target)
            if site is None:
                placed = None
            else:
                kept = target if target.query is None else apply_query(target, site.key)
                placed = site, kept, cache_key(kept, site.key)
            self._placed = target, placed
        return placed

    def of(self, target: Target) -> Site | None:
        """Return the site that answers for `target`."""
        site = self._by_authority.get(target.authority)
        if site is None and (site := self.find(target.host)) is not None:
            if len(self._by_authority) >= _AUTHORITIES:
                self._by_authority.clear()
            self._by_authority[target.authority] = site
        return site

    def find(self, host: bytes) -> Site | None:
        """Return the site for a lower-case host without port: exact, then the longest wildcard, then "*"."""
        site = self._exact.get(host)
        if site is not None:
            return site
        suffix = host
        while self._below and (dot := suffix.find(b".", 1)) >= 0:
            suffix = suffix[dot:]
            if (below := self._below.get(suffix)) is not None:
                return below
        return self._any
