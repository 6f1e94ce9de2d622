"""Both event loops, and a place where listeners and their clients live and end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.downstream.talking import Talking


def pytest_asyncio_loop_factories(config, item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def talking() -> AsyncIterator[Talking]:
    talking = Talking()
    yield talking
    await talking.close()
