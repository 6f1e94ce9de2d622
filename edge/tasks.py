"""Background tasks that are named, referenced and counted: the only place that may make one outside a TaskGroup."""

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger("edge.tasks")
_alive: set[asyncio.Task[None]] = set()


def spawn(work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
    """Start `work` in the running loop, keep it alive, and log what it raises."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _alive.add(task)
    task.add_done_callback(_ended)
    return task


def alive() -> int:
    """Return how many spawned tasks have not ended."""
    return len(_alive)


async def cancel_all() -> None:
    """Cancel every spawned task of this loop and wait until they have ended."""
    loop = asyncio.get_running_loop()
    mine = [task for task in _alive if task.get_loop() is loop and task is not asyncio.current_task()]
    for task in mine:
        task.cancel()
    if mine:
        await asyncio.wait(mine)


def _ended(task: asyncio.Task[None]) -> None:
    _alive.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task %s failed", task.get_name(), exc_info=error)
