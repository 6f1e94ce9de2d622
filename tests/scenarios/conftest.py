"""A whole edge in this process, on real sockets on both sides, and what its parts remember."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from edge.upstream.settings import Timeouts
from tests.scenarios.origin_fixture import RawOrigin, RealNode, Script, Start
from tests.scenarios.staging import Stage


def pytest_asyncio_loop_factories(config, item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every scenario on the event loop of the product."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.close()


@pytest.fixture
def edge_with(stage):
    """Return what starts an edge in front of an origin; its sites answer for every host unless told otherwise."""
    return stage.edge_with


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return what starts a node in front of an origin that answers by a script."""
    started: list[RealNode] = []

    async def start(script: Script, **settings) -> RealNode:
        origin = RawOrigin(script)
        await origin.start()
        node = RealNode(origin, **({"timeouts": Timeouts()} | settings))
        await node.start()
        started.append(node)
        return node

    yield start
    for node in started:
        await node.stop()
        await node.raw.stop()
