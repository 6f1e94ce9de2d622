"""What is asked of the contestants, each case for a property that somebody chooses a cache by."""

from dataclasses import dataclass
from enum import Enum, auto


class Load(Enum):
    """How it is asked."""

    PEAK = auto()  # as fast as it is answered
    HALF = auto()  # at a fixed rate, half of Foreland's peak in the same case
    BURST = auto()  # all connections at once, for what nobody has asked for before
    IDLE = auto()  # beside connections that ask for nothing
    HANDSHAKE = auto()  # by a new TLS connection for each request
    ZIPF = auto()  # at a fixed rate whatever is answered, some things more often than others


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Attributes:
        name: what the table calls it.
        path: what is asked for.
        load: how.
        connections: by how many connections.
        is_unique: whether each request is for a path of its own below `path`.
        paths: how many paths below `path` are asked for in turn; 0 for `path` itself.
        validates: whether the client has the response already and asks whether it is still good.
        is_tls: whether by TLS.
        streams: how many requests a connection has under way by HTTP/2, which TLS chose; 0 for HTTP/1.1.
        is_disk: whether the contestants are started so that memory cannot hold what is asked for.
    """

    name: str
    path: str
    load: Load = Load.PEAK
    connections: int = 64
    is_unique: bool = False
    paths: int = 0
    validates: bool = False
    is_tls: bool = False
    streams: int = 0
    is_disk: bool = False


CASES = [
    Case("hit-1k", "/hit/1k"),
    Case("hit-10k", "/hit/10k"),
    Case("hit-100k", "/hit/100k"),
    Case("hit-10m", "/hit/10m", connections=8),
    Case("hit-1k-half", "/hit/1k", Load.HALF),
    # As many as nginx can keep open files for where a process may have 20,000.
    Case("hit-disk-1k", "/hit/1k", paths=8_000, is_disk=True),
    Case("not-modified", "/hit/1k", validates=True),
    Case("miss-1k", "/miss/1k", is_unique=True),
    Case("pass-1k", "/pass/1k", is_unique=True),
    # So many that each is stale, after a second, when its turn comes again.
    Case("revalidate-1k", "/valid/1k", paths=200_000),
    Case("burst-100k", "/slow/100k", Load.BURST, connections=500),
    # The same active connections, alone and beside the idle ones.
    Case("hit-1k-2000", "/hit/1k", connections=2_000),
    Case("idle-10000", "/hit/1k", Load.IDLE, connections=2_000),
    Case("tls-hit-1k", "/hit/1k", is_tls=True),
    Case("tls-hit-100k", "/hit/100k", is_tls=True),
    Case("tls-hit-10m", "/hit/10m", connections=8, is_tls=True),
    Case("tls-handshakes", "/hit/1k", Load.HANDSHAKE, is_tls=True),
    Case("h2-hit-1k", "/hit/1k", connections=32, is_tls=True, streams=10),
    Case("h2-hit-1m", "/hit/1m", connections=32, is_tls=True, streams=10),
    Case("zipf", "/hit", Load.ZIPF, connections=256),
]
QUICK = ("hit-1k", "hit-100k", "hit-10m", "miss-1k", "pass-1k")
