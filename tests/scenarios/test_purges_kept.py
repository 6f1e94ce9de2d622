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
from tests.store.keeping import MIB
from tests.store.mounting import CAN_MOUNT, an_ext4

CUTS = int(os.environ.get("FORELAND_CUTS", "3"))
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


@pytest.mark.slow
@pytest.mark.skipif(not CAN_MOUNT, reason="only root can mount")
@pytest.mark.timeout(60 + 20 * CUTS)
async def test_no_acknowledged_purge_is_forgotten_when_the_power_is_cut(tmp_path):
    """Contents are on the disk for certain; of purges, only what the node itself saw to is."""
    paths = [f"/bytes/{number}?_size=100" for number in range(PAGES)]
    with an_ext4(tmp_path, 400 * MIB) as disk:
        async with demo_origin("--rule", "/bytes/**=public, max-age=86400") as origin:
            for cut in range(CUTS):
                async with (
                    administered(origin.url, disk.path) as (process, admin, headers),
                    aiohttp.ClientSession(headers={"Host": "site.test"}) as session,
                    aiohttp.ClientSession(headers=headers) as operator,
                ):
                    for path in paths:
                        async with session.get(f"{process.url}{path}&cut={cut}") as response:
                            await response.read()
                    content = {"everything": True, "dry_run": True}
                    async with operator.post(f"{admin}/v1/purge", json=content) as response:
                        assert (await response.json())["count"] >= PAGES
                    disk.sync()
                    for path in paths[::2]:
                        content = {"urls": [f"http://site.test{path}&cut={cut}"], "mode": "hard"}
                        async with operator.post(f"{admin}/v1/purge", json=content) as response:
                            assert response.status == 200
                    disk.cut_power()
                    async with operator.post(f"{admin}/v1/purge", json={"everything": True}) as response:
                        assert response.status in {503, 507}
                    await process.stop(signal.SIGKILL)
                disk.power_up()
                async with (
                    administered(origin.url, disk.path) as (process, _, _),
                    aiohttp.ClientSession(headers={"Host": "site.test", "Cache-Control": "only-if-cached"}) as session,
                ):
                    for number, path in enumerate(paths):
                        async with session.get(f"{process.url}{path}&cut={cut}") as response:
                            assert response.status == (200 if number % 2 else 504), path
