"""The control plane of a node."""

import pytest

from tests.control.plane import plane


@pytest.fixture
async def node(tmp_path):
    async with plane(tmp_path) as running:
        yield running
