"""What the other shells are asked for at the moment of a scrape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The store at one moment, in responses and octets; what it refused, evicted or found damaged since the start."""

    objects: int
    disk_bytes: int
    disk_capacity: int
    index_bytes: int
    memory_bytes: int
    memory_capacity: int
    waiting_bytes: int
    pinned_bytes: int
    pinned_capacity: int
    refusals: int
    evictions: int
    damaged: int
    scrubbed_bytes: int
    write_errors: int
    is_storing: bool


#: Of a store that is not open.
NO_STORE = StoreStats(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, is_storing=True)


@dataclass(frozen=True, slots=True)
class OriginStats:
    """The connections to one origin at one moment, and the requests waiting for one."""

    name: str
    active: int
    idle: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where to ask; each answers at once and without raising."""

    in_flight: Callable[[], int]
    connections: Callable[[], int]
    store: Callable[[], StoreStats]
    origins: Callable[[], Sequence[OriginStats]]
    #: The first name of each certificate that clients are shown, and when it expires, in seconds.
    certificates: Callable[[], Sequence[tuple[str, float]]] = tuple
