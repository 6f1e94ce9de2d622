"""A node that is killed keeps every purge that it acknowledged."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from edge.tasks import spawn
from tests.real.node import Running, demo_origin, edge

KILLS = int(os.environ.get("FORELAND_KILLS", "5"))
PAGES = 30


@asynccontextmanager
async def administered(origin: str, folder: Path) -> AsyncIterator[tuple[Running, str, dict[str, str]]]:
    """Run an edge; yield it, the URL of its admin plane, and what authorises."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = ("--admin", address, "--admin-token-file", str(folder / "tokens"))
    async with edge(origin, folder / "cache", *options) as process:
        token = (folder / "tokens.secret").read_text().strip()
        yield process, f"http://{address}", {"Authorization": f"Bearer {token}"}


@pytest.mark.slow
@pytest.mark.timeout(60 + 20 * KILLS)
async def test_no_acknowledged_purge_is_forgotten_by_a_node_that_is_killed(tmp_path):
    purged: dict[str, int] = {}
    async with demo_origin("--rule", "/bytes/**=public, max-age=86400") as origin:
        for life in range(KILLS):
            async with (
                administered(origin.url, tmp_path) as (process, admin, headers),
                aiohttp.ClientSession(headers={"Host": "site.test"}) as session,
                aiohttp.ClientSession(headers=headers) as operator,
            ):
                for path in list(purged):
                    async with session.get(process.url + path, headers={"Cache-Control": "only-if-cached"}) as response:
                        assert response.status == 504, f"{path} was purged by {purged[path]}"
                paths = [f"/bytes/{life}-{number}?_size=100" for number in range(PAGES)]
                for path in paths:
                    async with session.get(process.url + path) as response:
                        await response.read()
                # On the disk, so that only the purge can be why it is not found.
                async with operator.post(f"{admin}/v1/purge", json={"everything": True, "dry_run": True}) as response:
                    assert (await response.json())["count"] >= PAGES

                async def purge(paths=paths, operator=operator, admin=admin):
                    with suppress(aiohttp.ClientError):
                        for path in paths:
                            content = {"urls": [f"http://site.test{path}"], "mode": "hard"}
                            async with operator.post(f"{admin}/v1/purge", json=content) as response:
                                purged[path] = (await response.json())["id"]

                before = len(purged)
                purging = spawn(purge(), name="purge")
                while len(purged) < before + 10:
                    await asyncio.sleep(0)
                await process.stop(signal.SIGKILL)
                await purging
    assert len(set(purged.values())) == len(purged) >= 10 * KILLS
