"""What an operator may choose about the way to an origin."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the origin may keep us waiting, in seconds.

    Attributes:
        connect: for name resolution, TCP and TLS together.
        first_byte: from the end of the request to the end of the final response's head.
        between_bytes: between two pieces of content, in either direction.
    """

    connect: float = 3.0
    first_byte: float = 30.0
    between_bytes: float = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is asked of the origin at once.

    Attributes:
        connections: open at the same time, those being opened included.
        queue: exchanges that may wait for a connection.
        queue_seconds: how long each of them may wait.
        idle_seconds: how long an unused connection is kept.
        age_seconds: how long a connection is reused at all.
    """

    connections: int = 256
    queue: int = 1000
    queue_seconds: float = 5.0
    idle_seconds: float = 60.0
    age_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """One origin.

    Attributes:
        name: what logs and metrics call it.
        scheme: whether connections are encrypted.
        host: a name or an address, an IPv6 one with or without brackets.
        port: the TCP port.
        authority: sent as Host instead of the request's own authority.
        timeouts: how long it may keep us waiting.
        limits: how much is asked of it at once.
        verify: whether its certificate must be valid for `server_name`.
        ca_file: certificates to trust instead of the system's.
        server_name: the name asked for and verified in TLS, `host` when None.
        path: the address of a Unix socket to connect to instead of host and port.
    """

    name: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    authority: bytes | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: Limits = field(default_factory=Limits)
    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = None
    path: str | None = None
