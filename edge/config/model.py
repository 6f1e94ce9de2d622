"""The configuration as the program uses it: typed, complete, immutable.

Every attribute, `places` apart, is a setting of `schema.py`, in the unit the reference names (seconds, octets); nothing
has a default here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeVar

from edge.config.address import Address, OriginUrl, UnixAddress
from edge.config.kinds import CertificateFiles, Network, Value
from edge.config.lines import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where clients are accepted, and what they may speak there."""

    address: Address
    tls: Literal["internal", "acme"] | tuple[CertificateFiles, ...] | None
    client_ca: Path | None
    proxy_protocol: tuple[Network, ...]
    h2c: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Where stored responses are kept, in octets and seconds."""

    path: Path
    max_size: int
    memory: int
    pinned: int | None
    min_age: float
    scrub_rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """The authority that certificates come from."""

    directory: str
    contact: tuple[str, ...]
    terms_agreed: bool
    ca_file: Path | None
    challenges: tuple[Literal["http-01", "tls-alpn-01"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The admin plane; no address means that there is none."""

    address: Address | UnixAddress | None
    token_file: Path | None
    cert_file: Path | None
    key_file: Path | None
    compatible: tuple[str, ...]

    @property
    def certificate(self) -> CertificateFiles | None:
        """What is shown to clients; None when they are spoken to in plain HTTP."""
        if self.cert_file is None or self.key_file is None:
            return None
        return CertificateFiles(self.cert_file, self.key_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What may be pushed to the node; no path means nothing."""

    path: Path | None
    max_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One origin and the way to it, in seconds."""

    urls: tuple[OriginUrl, ...]
    host: str | None
    keepalive: int
    max_connections: int
    queue: int
    queue_timeout: float
    connect_timeout: float
    first_byte_timeout: float
    between_bytes_timeout: float
    idle_timeout: float
    verify: bool
    ca_file: Path | None
    server_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKey:
    """What makes two requests of a site the same for the cache."""

    query: Literal["all", "none"]
    keep: tuple[str, ...]
    drop: tuple[str, ...]
    sort: bool
    host: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTtl:
    """Lifetimes where the origin does not state them, in seconds."""

    default: float
    stale_while_revalidate: float
    stale_if_error: float
    heuristic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRange:
    """How the ranges of large responses are fetched, in octets."""

    chunk: int
    parallel: int
    read_ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCompression:
    """In which codings content goes to clients and comes from the origin; sizes in octets."""

    codings: tuple[Literal["zstd", "br", "gzip"], ...] | None
    min_size: int
    types: tuple[str, ...]
    origin: bool
    max_decoded: int
    hot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A set of hosts, and how their responses are cached."""

    hosts: tuple[str, ...]
    origin: str
    profile: Literal["safe", "strict-rfc"]
    max_request_content: int
    quota: int | None
    collapse: bool
    collapse_wait: float
    cookies: Literal["pass", "strip"]
    https: Literal["allow", "redirect"]
    client_ca: Path | None
    hsts: float
    purge_from: tuple[Network, ...]
    upgrade: tuple[str, ...]
    x_cache: bool
    targets: tuple[str, ...]
    key: SiteKey
    ttl: SiteTtl
    range: SiteRange
    compression: SiteCompression

    @property
    def name(self) -> str:
        """What the log and the metrics call the site: its first host, which no other site has."""
        return self.hosts[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may do, in octets and seconds."""

    request_line: int
    field: int
    field_section: int
    fields: int
    header_timeout: float
    keepalive_timeout: float
    body_timeout: float
    send_timeout: float
    requests_per_connection: int
    streams: int
    streams_per_connection: int
    connections: int
    tunnels: int
    tunnel_idle: float
    handshakes: int
    handshake_timeout: float
    drain_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog:
    """What is done about an event loop that does not turn, in seconds."""

    stall: float
    kill: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The access log; path "-" is standard output."""

    format: Literal["json", "text", "combined", "off"]
    path: str
    query: Literal["keep", "redact", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the operator decided."""

    node: str
    zone: str | None
    loop: Literal["auto", "uvloop", "asyncio"]
    workers: int
    listeners: tuple[Listener, ...]
    cache: Cache
    acme: Acme
    admin: Admin
    push: Push
    origins: Mapping[str, Origin]
    sites: tuple[Site, ...]
    limits: Limits
    watchdog: Watchdog
    log: Log
    #: Where each setting was written that was, by its name as the operator writes it.
    places: Mapping[str, str] = field(compare=False)


#: The attributes that hold a table in a table.
NESTED: dict[str, type] = {"key": SiteKey, "ttl": SiteTtl, "range": SiteRange, "compression": SiteCompression}
Table = TypeVar("Table")


def build(values: Mapping[Keys, Value], places: Mapping[str, str]) -> Config:
    """Return the configuration of `values`, which hold every setting of every table there is."""
    return Config(
        places=places,
        **{name: values[name,] for name in ("node", "zone", "loop", "workers")},  # type: ignore[arg-type]
        listeners=tuple(_made(Listener, values, ("listen", index)) for index in _members(values, "listen")),
        cache=_made(Cache, values, ("cache",)),
        acme=_made(Acme, values, ("acme",)),
        admin=_made(Admin, values, ("admin",)),
        push=_made(Push, values, ("push",)),
        origins={str(name): _made(Origin, values, ("origins", name)) for name in _members(values, "origins")},
        sites=tuple(_made(Site, values, ("site", index)) for index in _members(values, "site")),
        limits=_made(Limits, values, ("limits",)),
        watchdog=_made(Watchdog, values, ("watchdog",)),
        log=_made(Log, values, ("log",)),
    )


def _members(values: Mapping[Keys, Value], table: str) -> list[str | int]:
    """Return the names or indexes of the tables in `table`, each once, in order."""
    return list(dict.fromkeys(keys[1] for keys in values if keys[0] == table))


def _made(table: type[Table], values: Mapping[Keys, Value], keys: Keys) -> Table:
    arguments: dict[str, object] = {}
    for attribute in fields(table):  # type: ignore[arg-type]  # every table is a dataclass
        inner = (*keys, attribute.name)
        nested = NESTED.get(attribute.name)
        arguments[attribute.name] = values[inner] if nested is None else _made(nested, values, inner)
    return table(**arguments)
