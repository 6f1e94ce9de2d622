"""What the other shells are asked for at the moment of a scrape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The store at one moment, in responses and octets."""

    objects: int
    disk_bytes: int
    disk_capacity: int
    memory_bytes: int
    memory_capacity: int
    evictions: int


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
