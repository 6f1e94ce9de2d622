"""The moments at which fakes let others run, any one of which can be made to last for ever."""

import asyncio


class Pauses:
    """Called by fakes wherever a real part could wait; `reached` is set when the one to hang at is reached."""

    def __init__(self, hang_at: int | None = None) -> None:
        """Let the pause number `hang_at`, counted from 1, never end."""
        self.count = 0
        self.reached = asyncio.Event()
        self._hang_at = hang_at

    async def __call__(self) -> None:
        """Let others run."""
        self.count += 1
        if self.count == self._hang_at:
            self.reached.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
