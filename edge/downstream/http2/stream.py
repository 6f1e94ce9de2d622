"""One request and its answer on a connection (RFC 9113 §5.1)."""

import asyncio
from collections import deque
from typing import NamedTuple

from edge.downstream.arriving import NOTHING
from edge.downstream.http2.content import StreamContent
from edge.downstream.http2.frames import WINDOW
from edge.downstream.http2.priority import Priority
from edge.downstream.pace import SendingPace
from edge.errors import DownstreamClosed
from edge.policy.limits import Limits
from edge.ports import Piece

#: A stream whose turn has come and that has no more than this waiting to be sent is given the next piece.
ENOUGH = 64 << 10


class Turn(NamedTuple):
    """A place in the order in which streams are sent: the lowest comes first."""

    urgency: int
    after: int
    stream: int


class Stream:
    """One stream.

    Attributes:
        content: of the request; given by whoever opens the stream.
        window: octets of content that the client takes at present; can be negative (RFC 9113 §6.9.2).
        receive_window: octets of content that it may send.
        credit: octets that were read and not yet given back to it.
        unsent: octets of the answer that wait.
        ahead: octets of it that were received from the origin and do not wait here yet.
        is_kept_anyway: whether they are in memory for others too, so that it is not this one that holds them.
        wants: whether there is more for it that waits for room.
        is_next: whether its turn has come; while it has not, what waits is all that is read for it.
        turn: its place among the streams to be sent, None while it has none.
        is_ending: whether the answer is at its end, once what waits is sent.
        has_ended: whether the end has been sent.
        is_answered: whether nobody works on the answer any more.
        is_gone: whether nothing can be sent on it any more.
    """

    __slots__ = (
        "_pieces", "_waiter", "ahead", "content", "credit", "has_ended", "id", "is_answered", "is_ending", "is_gone",
        "is_kept_anyway", "is_next", "pace", "priority", "receive_window", "turn", "unsent", "wants", "window",
    )  # fmt: skip

    content: StreamContent

    def __init__(self, number: int, window: int, priority: Priority, limits: Limits) -> None:
        self.id = number
        self.priority = priority
        self.window = window
        self.receive_window = WINDOW
        self.credit = 0
        self.unsent = self.ahead = 0
        self.turn: Turn | None = None
        self.is_ending = self.has_ended = self.is_answered = self.is_gone = self.is_next = False
        self.is_kept_anyway = self.wants = False
        self.pace = SendingPace(limits)
        self._pieces: deque[Piece] = NOTHING
        self._waiter: asyncio.Future[None] | None = None

    @property
    def can_send(self) -> bool:
        """Whether there is content to send for which the client has room on this stream."""
        return self.unsent > 0 and self.window > 0

    @property
    def has_enough(self) -> bool:
        """Whether so much waits that there is time for more."""
        return self.unsent > (ENOUGH if self.is_next or self.is_ending else 0)

    def put(self, data: Piece) -> None:
        """Let `data` wait to be sent."""
        if self._pieces is NOTHING:
            self._pieces = deque()
        self._pieces.append(data)
        self.unsent += len(data)
        self.pace.written += len(data)

    def take(self, most: int) -> list[memoryview]:
        """Return the first `most` octets of what waits."""
        taken = []
        pieces = self._pieces
        self.unsent -= most
        self.window -= most
        while most:
            piece = memoryview(pieces.popleft())
            if len(piece) > most:
                rest = piece[most:]
                # A client that takes no more may leave it at that for long: what was sent is not kept for it.
                pieces.appendleft(bytes(rest) if self.window <= 0 and not self.is_kept_anyway else rest)
                piece = piece[:most]
            taken.append(piece)
            most -= len(piece)
        if not pieces:
            self._pieces = NOTHING
        self.come()
        return taken

    def come(self) -> None:
        """Let its turn have come: whoever has more for it may go on."""
        self.is_next = True
        if self.unsent <= ENOUGH:
            self._wake()

    def drop(self) -> None:
        """Let go of everything: nothing is sent or received any more."""
        self.is_gone = True
        self._pieces = NOTHING
        self.unsent = 0
        self.content.drop()
        self._wake()

    async def coming(self) -> None:
        """Wait until its turn has come; DownstreamClosed when the client is gone."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        self.check()

    def check(self) -> None:
        """Raise DownstreamClosed when the client is gone."""
        if self.is_gone:
            raise DownstreamClosed

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
