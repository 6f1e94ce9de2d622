import asyncio
from collections.abc import Callable

import pytest

from edge.errors import UpstreamTimeout
from edge.exchange.flight import Flight, Outcome

CASES: list = [
    pytest.param(Flight.stands_in, Outcome.STALE, id="a stale response stands in"),
    pytest.param(Flight.released, Outcome.RELEASED, id="the response is not for others"),
    pytest.param(Flight.lost, Outcome.LOST, id="the lead is lost"),
    pytest.param(lambda flight: flight.failed(UpstreamTimeout()), Outcome.FAILED, id="the origin failed"),
    pytest.param(lambda flight: flight.freshened(None), Outcome.FRESHENED, id="the stored response holds"),
]


@pytest.mark.parametrize(("tell", "outcome"), CASES)
async def test_all_are_told_once_and_nothing_is_left_to_follow(
    tell: Callable[[Flight], None], outcome: Outcome
) -> None:
    landed: list[int] = []
    flight = Flight(landed=lambda _: landed.append(1))
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(flight.wait(60)) for _ in range(3)]
        await asyncio.sleep(0)
        tell(flight)
        flight.released()
        flight.failed(UpstreamTimeout())
    assert [task.result() for task in waiting] == [outcome] * 3
    assert await flight.wait(0) is outcome
    assert landed == [1]


async def test_whoever_waits_too_long_is_told_nothing() -> None:
    assert await Flight().wait(0) is None


async def test_what_comes_too_late_changes_nothing() -> None:
    flight = Flight()
    flight.released()
    flight.failed(UpstreamTimeout())
    flight.freshened(None)  # type: ignore[arg-type]
    assert (flight.outcome, flight.error, flight.stored) == (Outcome.RELEASED, None, None)
