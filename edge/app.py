"""The composition root: a configuration becomes the parts of a worker."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.caching.coding import CODINGS, CompressionRules
from edge.caching.freshness import FreshnessRules
from edge.certificates import Certificates, acme_folder, uses_acme
from edge.clock import Clock
from edge.config.model import Config
from edge.config.model import Listener as ListenerConfig
from edge.config.model import Origin as OriginConfig
from edge.config.model import Site as SiteConfig
from edge.control.tokens import reader
from edge.downstream.tls_contexts import TlsContexts
from edge.errors import ParseError
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.exchange.tunnel_limits import TunnelLimits
from edge.policy.chunking import ChunkRules
from edge.policy.key import KeyPolicy
from edge.policy.limits import Limits
from edge.policy.profile import PROFILES, Profile
from edge.ports import Codecs, Published, Purges, Ring, SharedEpoch, Store
from edge.purges.log import PurgeLog
from edge.purges.node import NodePurges
from edge.store.disk import Disk
from edge.store.partitions import Partitions, claim
from edge.store.settings import Settings
from edge.store.shared import Shared
from edge.store.volumes import Volumes
from edge.supervisor.faults import StartError
from edge.telemetry.access_log import AccessLog
from edge.telemetry.gauges import NO_STORE, OriginStats, StoreStats
from edge.telemetry.lines import formatter
from edge.telemetry.recorder import Recorder
from edge.upstream.origin import Origin
from edge.upstream.settings import Limits as OriginLimits
from edge.upstream.settings import OriginSettings, Timeouts

NodeStore = Disk | Volumes | Partitions

# Longer than anything lasts.
_DAY = 86_400.0
# A client may ask other workers for a hundred contents at a time and take none of them.  Of each, so many octets wait there
# to be read and as many to be sent, beside what is on its way.
_RELAYED_AT_ONCE = 64 << 10


def make_driver(  # noqa: PLR0913 - the parts of a worker that a driver works with
    config: Config,
    store: Store,
    origins: dict[str, Origin],
    recorder: Recorder,
    clock: Clock,
    purges: Purges,
    ring: Ring | None,
    *,
    codecs: Codecs,
    published: Published,
) -> Driver:
    """Return the driver for a configuration."""
    tunnels = TunnelLimits(config.limits.tunnels, config.limits.tunnel_idle)
    context = Context(
        store, origins, recorder, clock, config.node.encode("ascii"), purges, ring, tunnels, codecs,
        may_debug=reader(config.admin.token_file),
        published=published,
        challenges=acme_folder(config) if uses_acme(config) else None,
    )  # fmt: skip
    return Driver(make_sites(config), context)


def make_sites(config: Config) -> Sites:
    """Return the sites that the configuration describes."""
    secure = next((listener.address.port for listener in config.listeners if listener.tls is not None), None)
    return Sites(make_site(site, secure) for site in config.sites)


def make_site(site: SiteConfig, https_port: int | None = None) -> Site:
    """Return the site that the configuration describes; `https_port` is where clients are sent who must use TLS."""
    profile = PROFILES[site.profile]
    keep = () if site.key.query == "none" and not site.key.keep else site.key.keep or None
    return Site(
        name=site.name,
        hosts=tuple(host.encode("ascii") for host in site.hosts),
        origin=site.origin,
        profile=profile,
        freshness=FreshnessRules(
            targets=tuple(target.lower().encode("ascii") for target in site.targets),
            default=int(site.ttl.default) or None,
            heuristic=site.ttl.heuristic or profile.heuristic,
            stale_while_revalidate=int(site.ttl.stale_while_revalidate),
            stale_if_error=int(site.ttl.stale_if_error),
        ),
        key=KeyPolicy(
            keep=None if keep is None else tuple(name.encode() for name in keep),
            drop=tuple(name.encode() for name in site.key.drop),
            sort=site.key.sort,
            host=None if site.key.host else site.hosts[0].encode("ascii"),
        ),
        chunks=ChunkRules(site.range.chunk, site.range.parallel, site.range.read_ahead),
        collapse=site.collapse,
        collapse_wait=site.collapse_wait,
        max_request_content=site.max_request_content,
        strip_cookies=site.cookies == "strip",
        x_cache=site.x_cache,
        purge_from=site.purge_from,
        upgrade=frozenset(protocol.lower().encode("ascii") for protocol in site.upgrade),
        client_ca="" if site.client_ca is None else str(site.client_ca),
        https_port=https_port if site.https == "redirect" else None,
        compression=_compression(site, profile),
        hsts=b"max-age=%d" % site.hsts if site.hsts else b"",
    )


def _compression(site: SiteConfig, profile: Profile) -> CompressionRules | None:
    chosen = site.compression
    made = tuple(coding.encode("ascii") for coding in chosen.codings or ())
    codings = (CODINGS if profile.code else ()) if chosen.codings is None else made
    if not codings:
        return None
    return CompressionRules(
        codings=codings,
        min_size=chosen.min_size,
        types=chosen.types,
        origin=chosen.origin,
        max_decoded=chosen.max_decoded,
        hot=chosen.hot,
        strip_cookies=site.cookies == "strip",
    )


def origin_settings(name: str, origin: OriginConfig, workers: int) -> OriginSettings:
    """Return what an operator chose about the way to one origin, as the share of one of the workers."""
    url = origin.urls[0]
    return OriginSettings(
        name=name,
        scheme="https" if url.scheme == "https" else "http",
        host=url.host,
        port=url.port,
        authority=None if origin.host is None else origin.host.encode("ascii"),
        timeouts=Timeouts(origin.connect_timeout, origin.first_byte_timeout, origin.between_bytes_timeout),
        limits=OriginLimits(
            connections=-(-origin.max_connections // workers),
            queue=-(-origin.queue // workers),
            queue_seconds=origin.queue_timeout,
            idle_seconds=origin.idle_timeout,
        ),
        verify=origin.verify,
        ca_file=None if origin.ca_file is None else str(origin.ca_file),
        server_name=origin.server_name,
    )


def limits(config: Config) -> Limits:
    """Return what one client may send and hold."""
    limits = config.limits
    return Limits(
        request_line=limits.request_line,
        field=limits.field,
        field_section=limits.field_section,
        fields=limits.fields,
        header_timeout=limits.header_timeout,
        keepalive_timeout=limits.keepalive_timeout,
        body_timeout=limits.body_timeout,
        send_timeout=limits.send_timeout,
        requests_per_connection=limits.requests_per_connection,
        streams=limits.streams,
        streams_per_connection=limits.streams_per_connection,
        connections=limits.connections,
        handshakes=limits.handshakes,
        handshake_timeout=limits.handshake_timeout,
    )


def ring_limits(config: Config) -> Limits:
    """Return what other workers may send and hold: all that their clients may, for as long as they let them."""
    allowed = limits(config)
    return replace(
        allowed,
        field_section=allowed.field_section + 1024,
        fields=allowed.fields + 1,
        header_timeout=_DAY,
        keepalive_timeout=_DAY,
        send_timeout=_DAY,
        send_rate=0,
        requests_per_connection=1 << 40,
        connections=allowed.connections * config.workers,
        write_buffer=0,
        room=_RELAYED_AT_ONCE,
    )


def longest_answer(config: Config) -> float:
    """Return how long the owner of a key may take for the head of an answer, seconds: it may ask the origin twice."""
    origins = config.origins.values()
    asked = max(each.queue_timeout + each.connect_timeout + each.first_byte_timeout for each in origins)
    return (
        2 * asked
        + max(site.collapse_wait for site in config.sites)
        + max(each.between_bytes_timeout for each in origins)
    )


def tls(certificates: Certificates, listener: ListenerConfig) -> TlsContexts | None:
    """Return what TLS on a listener takes, None without; StartError if its certificates cannot be used."""
    try:
        return certificates.contexts(listener)
    except (OSError, ParseError) as error:
        raise StartError(f"no TLS on {listener.address}: {error}") from error


def open_purges(
    config: Config, clock: Clock, shared: SharedEpoch, changed: Callable[[], None] = lambda: None
) -> NodePurges:
    """Return what was purged on the node; StoreError if the log cannot be used."""
    # Without a log, nothing would tell what of it was purged.
    holds = any(config.cache.path.rglob("*.seg"))
    return NodePurges(PurgeLog(config.cache.path / "purges", shared, holds=holds, now=clock.now()), shared, changed)


async def open_store(config: Config, clock: Clock, index: int, shared: Shared) -> NodeStore:
    """Open what of the store is worker `index`'s; StoreError if it cannot be used."""
    cache, workers = config.cache, config.workers
    settings = Settings(
        quota=cache.max_size,
        memory=cache.memory,
        min_age=cache.min_age,
        pinned=cache.pinned,
        scrub_rate=cache.scrub_rate,
    )
    if workers > 1:
        return await Partitions.start(cache.path, settings, clock, index=index, workers=workers, shared=shared)
    quotas = {site.name: site.quota for site in config.sites if site.quota is not None}
    if not quotas:
        return await claim(cache.path, 0, 1, shared, lambda path: Disk.start(path, settings, clock, shared))
    sites = Sites(make_site(site) for site in config.sites)

    def site_of(host: bytes) -> str | None:
        site = sites.find(host)
        return None if site is None else site.name

    return await claim(
        cache.path, 0, 1, shared,
        lambda path: Volumes.start(path, settings, clock, quotas=quotas, site_of=site_of, shared=shared),
    )  # fmt: skip


def access_log(config: Config) -> AccessLog | None:
    """Open the access log, None if there is none; StoreError if it cannot be opened."""
    settings = config.log
    if settings.format == "off":
        return None
    path = None if settings.path == "-" else Path(settings.path)
    line = formatter(settings.format, settings.query, node=config.node, zone=config.zone or "")
    return AccessLog(path, line)


def store_stats(store: NodeStore | None, config: Config) -> StoreStats:
    """Return the store in numbers, all of them 0 before it is open."""
    if store is None:
        return NO_STORE
    stats = store.stats()
    return StoreStats(
        objects=stats.objects,
        disk_bytes=stats.disk_bytes,
        disk_capacity=stats.quota,
        index_bytes=stats.index_bytes,
        memory_bytes=stats.memory_bytes,
        memory_capacity=config.cache.memory // config.workers,
        waiting_bytes=stats.waiting_bytes,
        pinned_bytes=stats.pinned_bytes,
        pinned_capacity=stats.pinned_quota,
        refusals=stats.refusals,
        evictions=stats.evictions,
        damaged=stats.damaged,
        scrubbed_bytes=stats.scrubbed_bytes,
        write_errors=stats.write_errors,
        is_storing=stats.is_storing,
    )


def origin_stats(name: str, origin: Origin) -> OriginStats:
    """Return how the connections to one origin are used."""
    pool = origin.statistics()
    return OriginStats(name, pool.active, pool.idle, pool.queued)
