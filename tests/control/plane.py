"""A control plane with a store and purges behind it, all real."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import aiohttp

from edge.clock import SystemClock
from edge.control import compatible, event_endpoints, purge_endpoints
from edge.control.events import Events
from edge.control.idempotency import Idempotency
from edge.control.purging import Purging
from edge.control.routes import Sources
from edge.control.server import Control
from edge.control.tokens import Tokens
from edge.policy.key import KeyPolicy
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch, NodePurges
from edge.store.disk import Disk
from edge.store.settings import Settings

#: Tokens, by the scopes they have.
ALL, READ = "all-scopes", "read-only"
PURGER = {"Authorization": f"Bearer {ALL}"}


async def nothing() -> list[str]:
    return []


@dataclass
class Plane:
    """What a test needs of it."""

    session: aiohttp.ClientSession
    purges: NodePurges
    disk: Disk
    path: Path
    url: str
    happenings: Events
    events: list[str] = field(default_factory=list)

    async def purge(self, *, headers=PURGER, path: str = "/v1/purge", **members) -> tuple[int, dict]:
        async with self.session.post(path, json=members, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def plane(path: Path, *, has_tokens: bool = True, shapes: tuple[str, ...] = ()) -> AsyncIterator[Plane]:
    """Start it in the directory `path`, and stop it."""
    clock, shared = SystemClock(), LocalEpoch()
    disk = await Disk.start(path / "store", Settings(quota=16 << 20, memory=1 << 20), clock)
    purges = NodePurges(PurgeLog(path / "store" / "purges", shared, holds=False, now=clock.now()), shared)
    lines = (f"all read,purge,push,config {digest(ALL)}\n", f"reader read {digest(READ)}\n")
    tokens_path = path / "tokens"
    tokens_path.write_text("".join(lines))
    tokens_path.chmod(0o600)
    events, happenings = list[str](), Events(clock)
    purging = Purging(
        purges,
        {b"a.example": KeyPolicy()}.get,
        clock=clock,
        node="n1",
        stores=[path / "store"],
        flush=disk.flush,
        count=events.append,
        tell=happenings.add,
    )

    async def stats():
        return {}

    async def metrics(_):
        return b"", "text/plain"

    sources = Sources(node="n1", version="9.9", stats=stats, metrics=metrics, unready=nothing)
    more = [
        *purge_endpoints.endpoints(purging, Idempotency(path / "kept")),
        *compatible.endpoints(purging, shapes),
        *event_endpoints.endpoints(happenings),
    ]
    control = Control(sources, more=more, tokens=Tokens(tokens_path) if has_tokens else None)
    url = await control.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(url) as session:
            yield Plane(session, purges, disk, path, url, happenings, events)
    finally:
        happenings.end()
        await control.stop()
        purges.close()
        await disk.close()


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
