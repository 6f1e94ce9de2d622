from collections.abc import AsyncIterator

import pytest

from edge.tasks import cancel_all
from tests.exchange.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.settle()
    world.assert_idle()


@pytest.fixture(autouse=True)
async def no_tasks_left() -> AsyncIterator[None]:
    yield
    await cancel_all()
