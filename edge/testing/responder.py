"""A responder that remembers the answer, at the pace of a client that may be slow or leave."""

import asyncio
import sys

from edge.errors import DownstreamClosed
from edge.ports import Allowance, Piece, Source
from edge.semantics.messages import Response
from edge.testing.pauses import Pauses


class RecordingResponder:
    """The exchange's `Responder`.

    Attributes:
        takes: while it is cleared, the client takes no more content.
        leaves_after: octets of content after which the client is gone, None to stay.
        interims: the 1xx responses, in order.
        head: the final response head, None before it.
        length: the announced length.
        content: what the client got of the content.
        is_finished: whether the content came to a clean end.
        is_aborted: whether the transfer was broken.
        began: set with the first octet of content.
        sends: what the client sends behind a 101.
        room: how much is to be sent at once.
        allowance: what paces the receiving.
    """

    sends: Source
    room = sys.maxsize
    allowance: Allowance | None = None

    def __init__(self, *, leaves_after: int | None = None, pauses: Pauses | None = None) -> None:
        self.takes = asyncio.Event()
        self.takes.set()
        self.leaves_after = leaves_after
        self.interims: list[Response] = []
        self.head: Response | None = None
        self.length: int | None = None
        self.content = bytearray()
        self.is_finished = False
        self.is_aborted = False
        self.began = asyncio.Event()
        self._pauses = pauses or Pauses()

    def interim(self, response: Response) -> None:
        """Keep a 1xx response."""
        self._check()
        self.interims.append(response)

    def switch(self, response: Response) -> Source:
        """Keep the head of a 101, and return what the client sends."""
        self.start(response, None)
        return self.sends

    def start(self, response: Response, length: int | None) -> None:
        """Keep the head."""
        self._check()
        assert self.head is None, "a second head"  # noqa: S101 - what a fake is for
        self.head, self.length = response, length

    async def wait_room(self) -> None:
        """Wait for the client."""
        await self._pauses()
        self._check()

    async def send(self, data: Piece) -> None:
        """Keep a piece of content."""
        await self._pauses()
        await self.takes.wait()
        self._check()
        self.content += data
        self.began.set()

    def finish(self) -> None:
        """End the content, unless it is too short."""
        self._check()
        self.is_aborted = self._is_short()
        self.is_finished = not self.is_aborted

    def answer(self, response: Response, content: bytes) -> None:
        """Keep all of an answer."""
        self.start(response, len(content))
        self._check()
        self.content += content
        self.began.set()
        self.finish()

    def abort(self) -> None:
        """Break the transfer."""
        self.is_aborted = True

    def _is_short(self) -> bool:
        # The content of an answer to HEAD, or of a 304, is announced and not sent.
        return self.length is not None and 0 < len(self.content) < self.length

    def _check(self) -> None:
        if self.leaves_after is not None and len(self.content) >= self.leaves_after:
            raise DownstreamClosed
