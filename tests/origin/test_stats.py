import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from origin.server import application
from origin.settings import Settings
from origin.stats import Stats


@pytest.mark.parametrize(
    ("force_close", "connections"), [pytest.param(False, 1, id="reused"), pytest.param(True, 3, id="closed")]
)
async def test_connections_are_counted_once(force_close: bool, connections: int) -> None:
    async with TestServer(application(Settings())) as server:
        connector = aiohttp.TCPConnector(force_close=force_close)
        async with aiohttp.ClientSession(server.make_url("/"), connector=connector) as session:
            for _ in range(3):
                async with session.get("/robots.txt") as response:
                    await response.read()
            async with session.get("/_origin/stats") as response:
                assert (await response.json())["connections"] == connections


def test_nothing_has_arrived_at_first() -> None:
    assert Stats().snapshot() == {"requests": 0, "connections": 0, "paths": {}, "statuses": {}}
