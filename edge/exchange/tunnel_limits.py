"""What an operator allows tunnels; apart from `tunnel`, which needs the context that holds it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TunnelLimits:
    """How many tunnels a worker may have at a time, and for how many seconds one may be silent."""

    most: int = 1000
    idle_seconds: float = 3600.0
