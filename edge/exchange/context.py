"""What every part of the exchange works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge.clock import Clock
from edge.exchange.making import Making
from edge.exchange.published import NothingPublished
from edge.exchange.tunnel_limits import TunnelLimits
from edge.exchange.unwritten import UnwrittenPurges
from edge.exchange.variants import Variants
from edge.ports import Challenges, Codecs, Published, Purges, Ring, Store, Telemetry, Upstream


@dataclass(frozen=True, slots=True)
class Context:
    """The ports of a node, and its name as it stands in Via, Cache-Status and CDN-Loop.

    There is no ring for a lone worker.  Without codecs, all goes out as it came.  `may_debug` tells whether a value of
    Edge-Debug is a token that may read.
    """

    store: Store
    origins: Mapping[str, Upstream]
    telemetry: Telemetry
    clock: Clock
    node: bytes
    purges: Purges = field(default_factory=UnwrittenPurges)
    ring: Ring | None = None
    tunnels: TunnelLimits = field(default_factory=TunnelLimits)
    codecs: Codecs | None = None
    may_debug: Callable[[bytes], bool] = lambda _token: False
    challenges: Challenges | None = None
    published: Published = field(default_factory=NothingPublished)

    variants: Variants = field(init=False)

    def __post_init__(self) -> None:
        making = None if self.codecs is None else Making(self.store, self.codecs, self.telemetry)
        object.__setattr__(self, "variants", Variants(self.store, making, self.ring))
