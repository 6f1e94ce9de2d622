"""The composition root: a configuration becomes a running node."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.caching.freshness import FreshnessRules
from edge.certificates import Certificates
from edge.clock import Clock, SystemClock
from edge.config.address import Address
from edge.config.model import Config
from edge.config.model import Listener as ListenerConfig
from edge.config.model import Origin as OriginConfig
from edge.config.model import Site as SiteConfig
from edge.downstream.listener import Listener, bind
from edge.downstream.ready import ReadyTable
from edge.downstream.tls_contexts import TlsContexts
from edge.errors import EdgeError, ParseError
from edge.exchange.context import Context
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.policy.chunking import ChunkRules
from edge.policy.key import KeyPolicy
from edge.policy.limits import Limits
from edge.policy.profile import PROFILES
from edge.ports import Purges, Store
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch, NodePurges
from edge.store.disk import Disk
from edge.store.settings import Settings
from edge.store.volumes import Volumes
from edge.tasks import cancel_all, spawn
from edge.telemetry.access_log import AccessLog
from edge.telemetry.gauges import Gauges, OriginStats, StoreStats
from edge.telemetry.lines import formatter
from edge.telemetry.recorder import Recorder
from edge.upstream.origin import Origin
from edge.upstream.settings import Limits as OriginLimits
from edge.upstream.settings import OriginSettings, Timeouts

if TYPE_CHECKING:
    from edge.control.server import Control

log = logging.getLogger("edge")
NodeStore = Disk | Volumes


class StartError(EdgeError):
    """The node cannot start: an address is taken, a directory cannot be used."""

    detail = "start"


class Node:
    """One node in one process."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._is_ready = False
        self._listeners: list[Listener] = []
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, ready: Callable[[Sequence[str]], None]) -> None:
        """Serve until SIGTERM or SIGINT; `ready` is given the URLs once clients are accepted.

        Raises:
            StartError: with a sentence that says what is in the way.
        """
        config = self._config
        sockets = _bind_all([listener.address for listener in config.listeners])
        try:
            disk, purges = await _open(config, self._clock)
        except EdgeError as error:
            for bound in sockets:
                bound.close()
            raise StartError(str(error)) from error
        origins = {name: Origin(_origin_settings(name, origin), self._clock) for name, origin in config.origins.items()}
        recorder = Recorder(self._clock, [site.name for site in config.sites], _access_log(config))
        try:
            await self._serve(sockets, disk, purges, origins, recorder, ready)
        finally:
            for origin in origins.values():
                origin.close()
            await cancel_all()
            await disk.close()
            purges.close()
            if recorder.access_log is not None:
                recorder.access_log.close()

    async def _serve(
        self,
        sockets: Sequence[socket.socket],
        disk: NodeStore,
        purges: NodePurges,
        origins: dict[str, Origin],
        recorder: Recorder,
        ready: Callable[[Sequence[str]], None],
    ) -> None:
        driver = make_driver(self._config, disk, origins, recorder, self._clock, purges)
        limits = _limits(self._config)
        certificates = Certificates(self._config, self._clock)
        self._listeners = [
            Listener(
                driver.handle,
                driver.refuse_unparsed,
                limits,
                self._clock,
                begin=driver.begin,
                ready=ReadyTable(driver.prepared.find, recorder.answered, self._clock, swept=driver.prepared.sweep),
                tls=_tls(certificates, listener),
                announcing=listener.proxy_protocol,
                count=recorder.count,
                h2c=listener.h2c,
            )
            for listener in self._config.listeners
        ]
        gauges = Gauges(
            in_flight=lambda: driver.in_flight,
            connections=lambda: sum(listener.connections for listener in self._listeners),
            store=lambda: _store_stats(disk, self._config),
            origins=lambda: [_origin_stats(name, origin) for name, origin in origins.items()],
            certificates=certificates.expiries,
        )
        self._upkeep = spawn(certificates.keep_up(), name="certificates")
        self._handle_signals(recorder)
        control: Control | None = None
        try:
            for listener, bound in zip(self._listeners, sockets, strict=True):
                await listener.start(bound)
            control = await self._start_control(recorder, gauges, disk, purges)
            self._is_ready = True
            ready([_url(listener, bound) for listener, bound in zip(self._listeners, sockets, strict=True)])
            await self._stopping.wait()
            self._is_ready = False
            await self._drain()
        finally:
            if control is not None:
                await control.stop()

    async def _start_control(
        self, recorder: Recorder, gauges: Gauges, disk: NodeStore, purges: NodePurges
    ) -> "Control | None":
        address = self._config.admin.address
        if address is None:
            return None
        try:
            control = await asyncio.to_thread(self._make_control, recorder, gauges, disk, purges)
            url = await control.start(address.host, address.port)
        except EdgeError as error:
            raise StartError(str(error)) from error
        except OSError as error:
            raise StartError(f"the admin plane cannot listen on {address}: {error.strerror}") from error
        log.info("admin plane on %s", url)
        return control

    def _make_control(self, recorder: Recorder, gauges: Gauges, disk: NodeStore, purges: NodePurges) -> "Control":
        # Here, while clients are served already: importing this takes longer than all the rest of the start.
        from edge.administration import make_control, make_purging  # noqa: PLC0415

        config = self._config
        purging = make_purging(
            config, _sites(config), purges, clock=self._clock, flush=disk.flush, count=recorder.count
        )
        return make_control(config, recorder, gauges, purging, lambda: self._not_ready(disk))

    def _not_ready(self, disk: NodeStore) -> list[str]:
        reasons = []
        if self._stopping.is_set():
            reasons.append("draining")
        elif not self._is_ready:
            reasons.append("starting")
        if not disk.stats().is_storing:
            reasons.append("the store takes nothing at present")
        return reasons

    def _handle_signals(self, recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if recorder.access_log is not None:
            loop.add_signal_handler(signal.SIGUSR1, recorder.access_log.reopen)
        loop.add_signal_handler(signal.SIGHUP, log.warning, "a new configuration needs a restart")

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def _drain(self) -> None:
        """Let the requests in progress end; a second signal, or the time, cuts them short."""
        for listener in self._listeners:
            listener.drain()
        drained = spawn(self._drained(), name="drained")
        hurried = spawn(self._hurried(), name="hurried")
        await asyncio.wait(
            [drained, hurried], timeout=self._config.limits.drain_timeout, return_when=asyncio.FIRST_COMPLETED
        )
        for listener in self._listeners:
            listener.cut()

    async def _drained(self) -> None:
        for listener in self._listeners:
            await listener.drained()

    async def _hurried(self) -> None:
        await self._hurry.wait()


def make_driver(
    config: Config, store: Store, origins: dict[str, Origin], recorder: Recorder, clock: Clock, purges: Purges
) -> Driver:
    """Return the driver for a configuration."""
    context = Context(store, origins, recorder, clock, config.node.encode("ascii"), purges)
    return Driver(_sites(config), context)


def _sites(config: Config) -> Sites:
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
        https_port=https_port if site.https == "redirect" else None,
        hsts=b"max-age=%d" % site.hsts if site.hsts else b"",
    )


def _origin_settings(name: str, origin: OriginConfig) -> OriginSettings:
    url = origin.urls[0]
    return OriginSettings(
        name=name,
        scheme="https" if url.scheme == "https" else "http",
        host=url.host,
        port=url.port,
        authority=None if origin.host is None else origin.host.encode("ascii"),
        timeouts=Timeouts(origin.connect_timeout, origin.first_byte_timeout, origin.between_bytes_timeout),
        limits=OriginLimits(
            connections=origin.max_connections,
            queue=origin.queue,
            queue_seconds=origin.queue_timeout,
            idle_seconds=origin.idle_timeout,
        ),
        verify=origin.verify,
        ca_file=None if origin.ca_file is None else str(origin.ca_file),
        server_name=origin.server_name,
    )


def _limits(config: Config) -> Limits:
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


def _tls(certificates: Certificates, listener: ListenerConfig) -> TlsContexts | None:
    try:
        return certificates.contexts(listener)
    except (OSError, ParseError) as error:
        raise StartError(f"no TLS on {listener.address}: {error}") from error


async def _open(config: Config, clock: Clock) -> tuple[NodeStore, NodePurges]:
    """Return the store and the purges of what is in it; StoreError if either cannot be used."""
    disk = await _open_store(config, clock)
    try:
        return disk, await asyncio.to_thread(_open_purges, config, clock, holds=disk.stats().objects > 0)
    except EdgeError:
        await disk.close()
        raise


def _open_purges(config: Config, clock: Clock, *, holds: bool) -> NodePurges:
    shared = LocalEpoch()
    return NodePurges(PurgeLog(config.cache.path / "purges", shared, holds=holds, now=clock.now()), shared)


async def _open_store(config: Config, clock: Clock) -> NodeStore:
    cache = config.cache
    settings = Settings(
        quota=cache.max_size,
        memory=cache.memory,
        min_age=cache.min_age,
        pinned=cache.pinned,
        scrub_rate=cache.scrub_rate,
    )
    quotas = {site.name: site.quota for site in config.sites if site.quota is not None}
    if not quotas:
        return await Disk.start(cache.path, settings, clock)
    sites = Sites(make_site(site) for site in config.sites)

    def site_of(host: bytes) -> str | None:
        site = sites.find(host)
        return None if site is None else site.name

    return await Volumes.start(cache.path, settings, clock, quotas=quotas, site_of=site_of)


def _access_log(config: Config) -> AccessLog | None:
    settings = config.log
    if settings.format == "off":
        return None
    path = None if settings.path == "-" else Path(settings.path)
    line = formatter(settings.format, settings.query, node=config.node, zone=config.zone or "")
    return AccessLog(path, line)


def _bind_all(addresses: Sequence[Address]) -> list[socket.socket]:
    bound: list[socket.socket] = []
    for address in addresses:
        try:
            bound.append(bind(address.host or "0.0.0.0", address.port))  # noqa: S104 - what ":8080" asks for
        except OSError as error:
            for other in bound:
                other.close()
            raise StartError(f"cannot listen on {address}: {error.strerror}") from error
    return bound


def _url(listener: Listener, bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"{listener.scheme.decode()}://{f'[{host}]' if ':' in host else host}:{port}"


def _store_stats(disk: NodeStore, config: Config) -> StoreStats:
    stats = disk.stats()
    return StoreStats(
        objects=stats.objects,
        disk_bytes=stats.disk_bytes,
        disk_capacity=stats.quota,
        index_bytes=stats.index_bytes,
        memory_bytes=stats.memory_bytes,
        memory_capacity=config.cache.memory,
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


def _origin_stats(name: str, origin: Origin) -> OriginStats:
    pool = origin.statistics()
    return OriginStats(name, pool.active, pool.idle, pool.queued)
