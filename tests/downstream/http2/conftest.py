"""A place where listeners and their clients live and end."""

from collections.abc import AsyncIterator

import pytest

from tests.downstream.http2.speaking import Speaking


@pytest.fixture
async def speaking() -> AsyncIterator[Speaking]:
    speaking = Speaking()
    yield speaking
    await speaking.close()
