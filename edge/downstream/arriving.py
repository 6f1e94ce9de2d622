"""Request content as it arrives, handed on at the pace of whoever reads it; how it is framed is not known here."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Any

from edge.errors import DownstreamError, DownstreamTimeout
from edge.policy.limits import Limits

#: What waits where nothing does, which is mostly: one for each would take 760 octets.  It holds nothing, whatever is put in.
NOTHING: deque[Any] = deque(maxlen=0)


class Arriving(ABC):
    """The content of one request, as an exchange `Source`.

    Attributes:
        is_complete: whether all of it has arrived.
        expects_continue: whether the client still waits for a 100 before it sends any.
    """

    __slots__ = (
        "_arrived", "_arrived_at", "_error", "_limits", "_loop", "_measured_from", "_measured_since", "_pieces",
        "_size", "_waiter", "_waiting_since", "expects_continue", "is_complete",
    )  # fmt: skip

    def __init__(self, limits: Limits, *, expects_continue: bool, is_complete: bool) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._pieces = NOTHING if is_complete else deque[bytes]()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: DownstreamError | None = None
        self._arrived = 0
        self._arrived_at = self._waiting_since = 0.0
        self._measured_since: float | None = None
        self._measured_from = 0
        self.is_complete = is_complete
        self.expects_continue = expects_continue

    @abstractmethod
    def _go_on(self) -> None:
        """Send a 100 to a client that waits for it."""

    @abstractmethod
    def _took(self, size: int) -> None:
        """Act on so many octets being read."""

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end; DownstreamError when it will not come whole."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.is_complete:
                return b""
            if self.expects_continue:
                self.expects_continue = False
                if not self._arrived:
                    self._go_on()
            await self._more()
        return self._pop()

    def fail(self, error: DownstreamError) -> None:
        """Let the reader have `error` once it has read what arrived before; does nothing when all has arrived."""
        if not self.is_complete and self._error is None:
            self._error = error
            self._wake()

    def check(self, now: float) -> None:
        """Fail when the client keeps a reader waiting for too long, or sends too little meanwhile."""
        if self._waiter is None or self._measured_since is None:
            return
        limits = self._limits
        seconds = now - self._measured_since
        is_slow = seconds >= limits.body_grace and self._arrived - self._measured_from < limits.body_rate * seconds
        if is_slow or now - max(self._waiting_since, self._arrived_at) >= limits.body_timeout:
            self.fail(DownstreamTimeout())

    def _add(self, piece: bytes) -> None:
        """Take a piece, which may be empty, and note that it came, or that `is_complete` has changed."""
        self._arrived += len(piece)
        self._arrived_at = self._loop.time()
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
        if piece or self.is_complete:
            self._wake()

    def _pop(self) -> bytes:
        piece = self._pieces.popleft()
        self._size -= len(piece)
        self._took(len(piece))
        return piece

    async def _more(self) -> None:
        self._waiting_since = self._loop.time()
        if self._measured_since is None:
            self._measured_since, self._measured_from = self._waiting_since, self._arrived
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
