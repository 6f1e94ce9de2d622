"""Every setting there is: one record each, from which validation, defaults, reference and examples come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.config import kinds
from edge.config.kinds import (
    ADDRESS,
    ADDRESS_OR_OFF,
    AUTHORITY,
    BOOLEAN,
    DURATION,
    HOSTS,
    HTTPS_URL,
    INTEGER,
    MEDIA_TYPES,
    NETWORKS,
    PATH,
    SIZE,
    STRINGS,
    TOKEN,
    TOKENS,
    URLS,
    Kind,
    Unlike,
    Value,
    many_of,
    one_of,
)
from edge.config.lines import Keys
from edge.config.tls import TLS

#: Media types whose content becomes smaller when it is coded.
TYPES = (
    "text/*", "*+xml", "*+json", "application/json", "application/javascript", "application/xml", "application/wasm",
    "font/ttf", "font/otf", "image/bmp", "image/x-icon",
)  # fmt: skip

Bounds = tuple[str | int, str | int]

REQUIRED: Final = object()
UNSET: Final = None
ON: Final = True
OFF: Final = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        path: its place, `site[]` for each of a list of tables and `origins.NAME` for each table of a name.
        kind: the type of its value.
        default: as it would be written in the file; REQUIRED if it must be, UNSET if there is no value then.
        sentence: what it decides.
        bounds: lowest and highest value allowed, written like the default; for a list, its number of items.
    """

    path: str
    kind: Kind
    default: object
    sentence: str
    bounds: Bounds | None = None

    @property
    def allowed(self) -> str:
        """The bounds in words, "" without any."""
        if self.bounds is None:
            return ""
        low, high = self.bounds
        return str(low) if low == high else f"{low} to {high}"

    def check(self, value: Value) -> Value:
        """Return `value`; Unlike if it is out of bounds."""
        if self.bounds is None or value is None:
            return value
        low, high = (self._bound(bound) for bound in self.bounds)
        measured = len(value) if isinstance(value, tuple) else value
        if not isinstance(measured, int | float) or low <= measured <= high:
            return value
        raise Unlike(
            f"has {measured} items, not {self.allowed}" if isinstance(value, tuple) else f"is not {self.allowed}"
        )

    def _bound(self, bound: str | int) -> float:
        return bound if isinstance(bound, int) else float(str(self.kind.parse(bound)))


def read(setting: Setting, raw: object, *, text: bool) -> Value:
    """Return the value of `raw` under `setting`; ValueError, with a predicate as its text, if it cannot be used."""
    value = setting.kind.read_text(raw) if text and isinstance(raw, str) else setting.kind.read(raw)
    return setting.check(value)


_SECONDS: Bounds = ("10ms", "1h")
_TTL: Bounds = ("0s", "3650d")
_FIELD: Bounds = ("256B", "1MiB")
_COUNT: Bounds = (1, 1_000_000)

SETTINGS: tuple[Setting, ...] = (
    Setting("node", TOKEN, "foreland", "Name of this node in Via, Cache-Status and CDN-Loop."),
    Setting("zone", TOKEN, UNSET, "Zone this node belongs to; part of each log record."),
    Setting("loop", one_of("auto", "uvloop", "asyncio"), "auto", "Event loop; auto takes uvloop where it is installed."),
    Setting("workers", INTEGER, 1, "Worker processes; each has its share of the quotas and of the origins' connections.", (1, 64)),
    Setting("listen[].address", ADDRESS, REQUIRED, "Address to accept clients on; no host means every interface."),
    Setting(
        "listen[].tls", TLS, UNSET,
        "How TLS is spoken here: with certificates from files, the first for clients that send no server name, with one "
        "of this node's own authority (internal), or with those of a public one (acme); unset speaks plain HTTP.",
    ),
    Setting(
        "listen[].client_ca", PATH, UNSET,
        "Certificates that sign those of the clients, each of which then needs one (mutual TLS).",
    ),
    Setting(
        "listen[].proxy_protocol", NETWORKS, [],
        "Balancers that say by the PROXY protocol who the client is; all other peers are refused then.", (0, 1000),
    ),
    Setting("listen[].h2c", BOOLEAN, OFF, "Whether clients may begin with HTTP/2 without TLS (h2c)."),
    Setting("cache.path", PATH, "/var/cache/foreland", "Directory of the disk tier; safe to delete while stopped."),
    Setting("cache.max_size", SIZE, "20GiB", "Quota of the disk tier, never exceeded.", ("16MiB", "1024TiB")),
    Setting("cache.memory", SIZE, "512MiB", "Quota of the memory tier.", ("1MiB", "64TiB")),
    Setting(
        "cache.pinned", SIZE, UNSET,
        "Quota in cache.max_size for pinned responses, which are never reclaimed; unset is a quarter.", ("0B", "512TiB"),
    ),
    Setting(
        "cache.min_age", DURATION, "4h",
        "Content over 32KiB is stored on its second request while all would be written over sooner; 0s stores it at once.",
        _TTL,
    ),
    Setting(
        "cache.scrub_rate", SIZE, "4MiB",
        "What is read of the disk each second to find damage before a client asks; 0B turns that off.", ("0B", "1GiB"),
    ),
    Setting(
        "acme.directory", HTTPS_URL, "https://acme-v02.api.letsencrypt.org/directory",
        'Where the authority is that certificates of tls = "acme" come from (RFC 8555).',
    ),
    Setting("acme.contact", STRINGS, [], "Mail addresses that the authority may write to.", (0, 10)),
    Setting("acme.terms_agreed", BOOLEAN, OFF, "Whether you agree to the terms of service of the authority."),
    Setting("acme.ca_file", PATH, UNSET, "Certificates to trust for the authority itself; unset trusts the system's."),
    Setting(
        "acme.challenges", many_of("http-01", "tls-alpn-01"), ["http-01", "tls-alpn-01"],
        "How to show the authority that the hosts are ours, the preferred way first: http-01 is asked for on port 80, "
        "tls-alpn-01 on port 443.", (1, 2),
    ),
    Setting(
        "admin.address", ADDRESS_OR_OFF, "127.0.0.1:8901",
        "Address of the admin plane: one of this machine alone, "
        "unix:/PATH for a Unix socket that its owner alone can use, or another one, which needs TLS and admin.token_file.",
    ),
    Setting(
        "admin.token_file", PATH, UNSET,
        "File with the hashes of the tokens that admin requests need; made, with one token, if it is not there.",
    ),
    Setting("admin.cert_file", PATH, UNSET, "Certificate of the admin plane with its chain, PEM; then it speaks https only."),
    Setting("admin.key_file", PATH, UNSET, "The key of that certificate, PEM."),
    Setting(
        "admin.compatible", many_of("fastly", "cloudflare"), [],
        "Whose purge APIs are answered beside our own: fastly, cloudflare.", (0, 2),
    ),
    Setting(
        "push.path", PATH, UNSET,
        "Directory of what is pushed to this node, such as /var/lib/foreland; unset takes nothing. It cannot be had again.",
    ),
    Setting("push.max_size", SIZE, "10GiB", "Quota of pushed content, apart from the cache.", ("1MiB", "1024TiB")),
    Setting("origins.NAME.urls", URLS, REQUIRED, "Where the origin is; this version takes exactly one.", (1, 1)),
    Setting("origins.NAME.host", AUTHORITY, UNSET, "Host field sent to the origin; unset sends the client's."),
    Setting("origins.NAME.keepalive", INTEGER, 64, "Idle connections kept open.", (0, 65_535)),
    Setting("origins.NAME.max_connections", INTEGER, 256, "Connections open at once.", (1, 65_535)),
    Setting("origins.NAME.queue", INTEGER, 1000, "Requests that may wait for a connection.", (0, 1_000_000)),
    Setting("origins.NAME.queue_timeout", DURATION, "5s", "Longest wait for a connection, then 503.", _SECONDS),
    Setting("origins.NAME.connect_timeout", DURATION, "3s", "Longest time to connect, TLS included.", _SECONDS),
    Setting("origins.NAME.first_byte_timeout", DURATION, "30s", "Longest wait for the response head.", _SECONDS),
    Setting("origins.NAME.between_bytes_timeout", DURATION, "30s", "Longest pause inside a response.", _SECONDS),
    Setting("origins.NAME.idle_timeout", DURATION, "60s", "Age at which an idle connection is closed.", _SECONDS),
    Setting("origins.NAME.verify", BOOLEAN, ON, "Whether the origin's certificate is verified."),
    Setting("origins.NAME.ca_file", PATH, UNSET, "Certificates to trust for this origin; unset trusts the system's."),
    Setting("origins.NAME.server_name", AUTHORITY, UNSET, "TLS server name; unset takes the URL's host."),
    Setting(
        "site[].hosts", HOSTS, REQUIRED, 'Hosts the site answers for: names, "*.example.com", or "*" for all others.',
        (1, 10_000),
    ),
    Setting("site[].origin", TOKEN, REQUIRED, "Name of the origin that the site's requests are forwarded to."),
    Setting(
        "site[].profile", one_of("safe", "strict-rfc"), "safe",
        "How to read RFC 9111 where it leaves a choice: on the safe side, or to the letter.",
    ),
    Setting("site[].max_request_content", SIZE, "1MiB", "Largest request content, then 413.", ("0B", "1024GiB")),
    Setting(
        "site[].quota", SIZE, UNSET,
        "Part of cache.max_size that is this site's and nobody else's; unset shares the rest.", ("16MiB", "1024TiB"),
    ),
    Setting("site[].collapse", BOOLEAN, ON, "Whether simultaneous requests for one response share one forward."),
    Setting("site[].collapse_wait", DURATION, "5s", "Longest wait for a shared forward, then go alone.", ("0s", "1h")),
    Setting(
        "site[].cookies", one_of("pass", "strip"), "pass",
        "Whether request cookies are passed to the origin, or stripped so that responses can be stored.",
    ),
    Setting(
        "site[].https", one_of("allow", "redirect"), "allow",
        "Whether plain HTTP is answered, or redirected to the first listener with tls.",
    ),
    Setting(
        "site[].client_ca", PATH, UNSET,
        "Certificates that sign those of the site's clients; who shows none of theirs is not answered (mutual TLS).",
    ),
    Setting(
        "site[].hsts", DURATION, "0s",
        "How long browsers are to come by https only (Strict-Transport-Security, RFC 6797); 0s says nothing.", _TTL,
    ),
    Setting(
        "site[].purge_from", NETWORKS, [],
        "Networks whose PURGE requests are obeyed, without a token; empty refuses them all.", (0, 1000),
    ),
    Setting(
        "site[].upgrade", TOKENS, ["websocket"],
        "Protocols that a client's connection may become (RFC 9110 §7.8); all others are ignored.", (0, 16),
    ),
    Setting("site[].x_cache", BOOLEAN, ON, "Whether responses carry X-Cache beside Cache-Status."),
    Setting(
        "site[].targets", TOKENS, ["Foreland-Cache-Control", "CDN-Cache-Control"],
        "Targeted fields obeyed before Cache-Control, the most specific first (RFC 9213).", (0, 16),
    ),
    Setting("site[].key.query", one_of("all", "none"), "all", "Which of the query belongs to the cache key."),
    Setting("site[].key.keep", STRINGS, [], "Query parameters that belong to the key; empty means all.", (0, 1000)),
    Setting("site[].key.drop", STRINGS, [], "Query parameters that do not belong to the key.", (0, 1000)),
    Setting("site[].key.sort", BOOLEAN, OFF, "Whether the order of query parameters is ignored by the key."),
    Setting("site[].key.host", BOOLEAN, ON, "Whether each host has its own responses; false shares them."),
    Setting(
        "site[].ttl.default", DURATION, "0s",
        "Freshness lifetime of responses without an explicit one; 0s means none.", _TTL,
    ),
    Setting(
        "site[].ttl.stale_while_revalidate", DURATION, "0s",
        "How long a stale response may be used while it is validated, if it does not say (RFC 5861).", _TTL,
    ),
    Setting(
        "site[].ttl.stale_if_error", DURATION, "0s",
        "How long a stale response may be used while the origin fails, if it does not say (RFC 5861).", _TTL,
    ),
    Setting("site[].ttl.heuristic", BOOLEAN, OFF, "Whether Last-Modified gives a lifetime; strict-rfc always does."),
    Setting("site[].range.chunk", SIZE, "1MiB", "Unit by which ranges are fetched and shared.", ("64KiB", "16MiB")),
    Setting(
        "site[].range.parallel", INTEGER, 4,
        "Chunks of one response fetched at a time; 0 asks the origin for each range as the client does.", (0, 64),
    ),
    Setting(
        "site[].range.read_ahead", SIZE, "8MiB",
        "Most that is fetched ahead of a client that reads on; a seek begins with none.", ("0B", "1GiB"),
    ),
    Setting(
        "site[].compression.codings", many_of("zstd", "br", "gzip"), UNSET,
        "Content codings made here, the first of those that a client likes equally; empty leaves all content as it is. "
        "Unset is zstd, br, gzip in the safe profile and none in strict-rfc.", (0, 3),
    ),
    Setting("site[].compression.min_size", SIZE, "1400B", "Content smaller than this is not coded.", ("1B", "1GiB")),
    Setting(
        "site[].compression.types", MEDIA_TYPES, list(TYPES),
        'Media types that are coded: by name, "text/*" for all below one, "*+xml" for all with a suffix.', (0, 100),
    ),
    Setting(
        "site[].compression.origin", BOOLEAN, ON,
        "Whether the origin is asked for coded content whatever a client takes; it is decoded for those that cannot.",
    ),
    Setting(
        "site[].compression.max_decoded", SIZE, "1GiB",
        "Largest content that is decoded; 1000 times what came in is the limit as well.", ("1MiB", "1024GiB"),
    ),
    Setting(
        "site[].compression.hot", INTEGER, 20,
        "Uses of a coded content, counted once a second, before it is made again as small as it gets; 0 for never.",
        (0, 1_000_000),
    ),
    Setting("limits.request_line", SIZE, "8KiB", "Longest request line, then 414.", _FIELD),
    Setting("limits.field", SIZE, "8KiB", "Longest field line, then 431.", _FIELD),
    Setting("limits.field_section", SIZE, "32KiB", "Longest field section, then 431.", _FIELD),
    Setting("limits.fields", INTEGER, 100, "Most field lines in a request, then 431.", (8, 10_000)),
    Setting("limits.header_timeout", DURATION, "10s", "Longest time for a whole request head, then 408.", _SECONDS),
    Setting("limits.keepalive_timeout", DURATION, "60s", "How long an idle client connection is kept.", _SECONDS),
    Setting("limits.body_timeout", DURATION, "20s", "Longest pause inside request content, then 408.", _SECONDS),
    Setting("limits.send_timeout", DURATION, "30s", "Longest time a client may take nothing, then closed.", _SECONDS),
    Setting("limits.requests_per_connection", INTEGER, 1000, "Requests on one client connection.", _COUNT),
    Setting("limits.streams", INTEGER, 100, "Requests in progress on one HTTP/2 connection.", (1, 1000)),
    Setting("limits.streams_per_connection", INTEGER, 10_000, "Requests on one HTTP/2 connection.", _COUNT),
    Setting("limits.connections", INTEGER, 10_000, "Client connections at once, of each worker.", _COUNT),
    Setting("limits.tunnels", INTEGER, 1000, "Upgraded connections (WebSocket) at once, for each worker.", _COUNT),
    Setting("limits.tunnel_idle", DURATION, "1h", "How long both sides of one may be silent.", _SECONDS),
    Setting("limits.handshakes", INTEGER, 1000, "TLS handshakes at once; the oldest gives way to one more.", _COUNT),
    Setting("limits.handshake_timeout", DURATION, "10s", "Longest time for a TLS handshake.", _SECONDS),
    Setting("limits.drain_timeout", DURATION, "30s", "How long a stopping node lets exchanges end.", ("0s", "1h")),
    Setting("watchdog.stall", DURATION, "1s", "Stall of an event loop after which its stack is logged.", _SECONDS),
    Setting("watchdog.kill", DURATION, "10s", "Time without a sign of life after which a worker is ended.", ("2s", "1h")),
    Setting(
        "log.format", one_of("json", "text", "combined", "off"), "json",
        "Form of the access log: JSON lines, one line to read, Apache's combined format, or none.",
    ),
    Setting("log.path", kinds.STRING, "-", "File of the access log; - is standard output."),
    Setting(
        "log.query", one_of("keep", "redact", "drop"), "redact",
        "What the access log tells of a query: everything, its names with * for values, or nothing.",
    ),
)  # fmt: skip

BY_PATH: dict[str, Setting] = {setting.path: setting for setting in SETTINGS}


def _tables() -> dict[str, tuple[Setting, ...]]:
    parents: dict[str, tuple[Setting, ...]] = {}
    for setting in SETTINGS:
        parent = setting.path.rpartition(".")[0]
        parents[parent] = (*parents.get(parent, ()), setting)
    return parents


#: The pattern of each table, in the order of the schema, with the settings directly in it; "" is the top level.
TABLES: dict[str, tuple[Setting, ...]] = _tables()
#: What each top-level table is for.
SENTENCES: dict[str, str] = {
    "": "The node itself; written before the first table.",
    "listen[]": "One table for each address that accepts clients.",
    "cache": "Where stored responses are kept.",
    "acme": 'Certificates from an authority, for listeners with tls = "acme".',
    "admin": "The admin plane: health, metrics and dashboard.",
    "push": "Content that is pushed to this node, and served without the origin.",
    "origins.NAME": "One table for each origin, under a name of your choice.",
    "site[]": "One table for each site: a set of hosts, and how their responses are cached.",
    "site[].key": "What makes two requests of a site the same for the cache.",
    "site[].ttl": "Lifetimes, where the origin does not state them.",
    "site[].range": "How the ranges of large responses are fetched; needs collapse.",
    "site[].compression": "In which codings content goes to clients and comes from the origin.",
    "limits": "What a client may do.",
    "watchdog": "What is done about an event loop that does not turn.",
    "log": "The access log.",
}


def pattern(path: Keys) -> str:
    """Return the schema's name for `path`: ("site", 0, "ttl") is site[].ttl."""
    words = ["NAME" if path[0] == "origins" and index == 1 else part for index, part in enumerate(path)]
    return _joined(words, lambda _index: "[]")


def written(path: Keys) -> str:
    """Return `path` as it is shown to the operator: ("site", 0, "ttl") is site[0].ttl."""
    return _joined(path, lambda index: f"[{index}]")


def _joined(path: Sequence[str | int], indexed: Callable[[int], str]) -> str:
    text = "".join(indexed(part) if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
