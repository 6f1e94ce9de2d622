"""What every part of the exchange works with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.clock import Clock
from edge.exchange.published import NothingPublished
from edge.exchange.tunnel_limits import TunnelLimits
from edge.exchange.unwritten import UnwrittenPurges
from edge.ports import Published, Purges, Ring, Store, Telemetry, Upstream


@dataclass(frozen=True, slots=True)
class Context:
    """The ports of a node, and its name as it stands in Via, Cache-Status and CDN-Loop; no ring for a lone worker."""

    store: Store
    origins: Mapping[str, Upstream]
    telemetry: Telemetry
    clock: Clock
    node: bytes
    purges: Purges = field(default_factory=UnwrittenPurges)
    ring: Ring | None = None
    tunnels: TunnelLimits = field(default_factory=TunnelLimits)
    published: Published = field(default_factory=NothingPublished)
