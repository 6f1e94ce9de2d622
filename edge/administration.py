"""The admin plane as the configuration wants it: apart from `app`, since importing all of this takes its time."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from edge.clock import Clock
from edge.config.model import Config
from edge.control import (
    compatible,
    event_endpoints,
    inquiry_endpoints,
    preload_endpoints,
    publish_endpoints,
    purge_endpoints,
    push_endpoints,
    tokens,
)
from edge.control.events import Events
from edge.control.idempotency import Idempotency
from edge.control.inquiries import Inquiries
from edge.control.publishing import Publishing
from edge.control.purging import Purging
from edge.control.pushing import Pushing, forget_spool
from edge.control.rewarming import Rewarming
from edge.control.routes import Sources
from edge.control.server import Control
from edge.exchange.site import Sites
from edge.policy.key import KeyPolicy
from edge.policy.ring import owners, stripe_of
from edge.preloading.fetching import Fetcher
from edge.preloading.kept import Kept
from edge.preloading.preloads import Preloads
from edge.published.blobs import Blobs
from edge.published.versions import Versions
from edge.purges.node import NodePurges
from edge.store.partitions import partition
from edge.store.record import key_hash
from edge.store.volumes import FOLDER
from edge.supervisor.paths import CONTROL_FOLDER

log = logging.getLogger("edge")


def make_control(
    config: Config,
    sources: Sources,
    purging: Purging,
    pushing: Pushing,
    publishing: Publishing,
    inquiries: Inquiries,
    events: Events,
    preloads: Preloads,
) -> Control:  # fmt: skip
    """Return the admin plane; TokenError if its tokens cannot be used."""
    idempotency = Idempotency(config.cache.path / "admin")
    shapes = compatible.endpoints(purging, config.admin.compatible)
    more = [
        *purge_endpoints.endpoints(purging, idempotency, _rewarming(config, inquiries, preloads)),
        *push_endpoints.endpoints(pushing),
        *publish_endpoints.endpoints(publishing),
        *inquiry_endpoints.endpoints(inquiries),
        *preload_endpoints.endpoints(preloads, idempotency),
        *event_endpoints.endpoints(events),
        *shapes,
    ]  # fmt: skip
    return Control(sources, more=more, tokens=_open_tokens(config))


def make_purging(
    config: Config,
    sites: Sites,
    purges: NodePurges,
    *,
    clock: Clock,
    flush: Callable[[], Awaitable[None]],
    count: Callable[[str], None],
    tell: Callable[[str, str], None],
) -> Purging:
    """Return what the admin plane purges with."""
    path = config.cache.path
    stores = [
        path,
        *(partition(path, index) for index in range(1, config.workers)),
        *(path / FOLDER / site.name for site in config.sites if site.quota is not None),
    ]
    return Purging(
        purges, partial(_policy_of, sites), clock=clock, node=config.node, stores=stores, flush=flush, count=count,
        tell=tell,
    )  # fmt: skip


def _rewarming(config: Config, inquiries: Inquiries, preloads: Preloads) -> Rewarming:
    """Return what fetches anew what was purged."""
    schemes = {"http" if listener.tls is None else "https" for listener in config.listeners}
    return Rewarming(inquiries, preloads, sorted(schemes))


def make_pushing(config: Config, sites: Sites, inquiries: Inquiries) -> Pushing:
    """Return what the admin plane takes pushed content with."""
    spool = config.cache.path / "admin" / "spool"
    forget_spool(spool)
    by_stripe = owners(config.workers)
    return Pushing(
        partial(_policy_of, sites),
        lambda key: by_stripe[stripe_of(key_hash(key))],
        folder=config.cache.path / CONTROL_FOLDER,
        spool=spool,
        quota=config.cache.pinned or config.cache.max_size // 4,
        inquiries=inquiries,
    )


def make_preloads(
    config: Config,
    sites: Sites,
    *,
    clock: Clock,
    flush: Callable[[], Awaitable[None]],
    tell: Callable[[str, str], None],
) -> Preloads:
    """Return what the admin plane preloads with."""
    by_stripe = owners(config.workers)
    fetcher = Fetcher(
        partial(_policy_of, sites),
        lambda key: by_stripe[stripe_of(key_hash(key))],
        folder=config.cache.path / CONTROL_FOLDER,
    )
    return Preloads(fetcher, Kept(config.cache.path / "admin" / "preloads"), clock, flush=flush, tell=tell)


def make_publishing(config: Config, purges: NodePurges, *, clock: Clock) -> Publishing:
    """Return what the admin plane publishes with; StoreError if its directory cannot be used."""
    path = config.push.path
    versions = None if path is None else Versions(path, Blobs(path, config.push.max_size))
    return Publishing(versions, [site.name for site in config.sites], purges, clock=clock)


def _policy_of(sites: Sites, host: bytes) -> KeyPolicy | None:
    site = sites.find(host)
    return None if site is None else site.key


def _open_tokens(config: Config) -> tokens.Tokens | None:
    path = config.admin.token_file
    if path is None:
        return None
    made = tokens.make(path)
    if made is not None:
        log.info("made the admin token %s, with every scope; move it to where it is used, as in", made)
        log.info("  origin purge --token-file %s --node URL-OF-THE-ADMIN-PLANE --everything", made)
    return tokens.Tokens(path)
