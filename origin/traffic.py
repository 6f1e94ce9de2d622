"""Light traffic for the demonstration: pages of the sample site, one after the other, while it is switched on."""

import asyncio
import os
import random
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp

KEY = "t"
#: What is asked for, the first most often; and how many seconds pass between two requests.
PATHS = ("/", "/hello", "/images/dawn.png", "/api/time", "/style.css", "/nowhere")
EVERY = 0.1


@asynccontextmanager
async def by_key(edge: str, say: Callable[[str], object]) -> AsyncIterator[None]:
    """Let `KEY`, pressed in the terminal, switch requests to `edge` on and off; does nothing without a terminal."""
    terminal = sys.stdin.fileno() if _is_ours() else None
    if terminal is None:
        yield
        return
    running: list[asyncio.Task[None]] = []

    def pressed() -> None:
        if KEY not in os.read(terminal, 64).decode("ascii", "replace"):
            return
        say(f"traffic is {'off' if running else 'on'}")
        if running:
            running.pop().cancel()
        else:
            running.append(loop.create_task(_ask(edge)))

    loop, before = asyncio.get_running_loop(), termios.tcgetattr(terminal)
    # A key at a time; Ctrl-C is still a signal.  What was typed before is not dropped.
    tty.setcbreak(terminal, termios.TCSADRAIN)
    loop.add_reader(terminal, pressed)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        for task in running:
            task.cancel()


def _is_ours() -> bool:
    """Return whether standard input is a terminal that this program may read from."""
    if not sys.stdin or not sys.stdin.isatty():
        return False
    with suppress(OSError):  # a terminal that is not the session's own has nobody in front of it
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    return True


async def _ask(edge: str) -> None:
    weights = [1 / rank for rank in range(1, len(PATHS) + 1)]
    async with aiohttp.ClientSession() as session:
        while True:
            (path,) = random.choices(PATHS, weights)  # noqa: S311 - nothing is secret
            with suppress(aiohttp.ClientError):
                async with session.get(f"{edge}{path}") as response:
                    await response.read()
            await asyncio.sleep(EVERY)
