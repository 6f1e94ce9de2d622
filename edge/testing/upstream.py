"""An origin that answers by a script."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from edge.clock import Clock
from edge.errors import EdgeError, UpstreamClosed
from edge.ports import Allowance, Source
from edge.semantics.fields import FieldSection, Line
from edge.semantics.messages import Request, Response
from edge.tasks import spawn
from edge.testing.pauses import Pauses

#: What content is made of: octets, an error that breaks it off, an event that is waited for.
Piece = bytes | EdgeError | asyncio.Event


@dataclass(frozen=True)
class Answer:
    """One scripted answer.

    Attributes:
        status: of the final response.
        fields: its fields.
        content: its pieces.
        is_chunked: whether the length is not known beforehand; otherwise it is that of the octets in `content`.
        length: the announced length, where it is not that.
        interims: 1xx responses sent before.
        head_after: waited for before the final head.
        error: raised in place of a final head.
    """

    status: int = 200
    fields: Sequence[Line] = ()
    content: Sequence[Piece] = ()
    is_chunked: bool = False
    length: int | None = None
    interims: Sequence[Response] = ()
    head_after: asyncio.Event | None = None
    error: EdgeError | None = None

    @property
    def content_length(self) -> int | None:
        """The announced length, None when there is none."""
        if self.is_chunked:
            return None
        return (
            sum(len(piece) for piece in self.content if isinstance(piece, bytes))
            if self.length is None
            else self.length
        )


Script = Callable[[Request], Answer]


@dataclass
class ScriptedUpstream:
    """The exchange's `Upstream`: `script` gives the answer to each request.

    Attributes:
        requests: what was asked, in order.
        is_at_hand: whether requests can be sent without waiting.
        contents: the request contents, in the same order.
        open: responses that are neither read to their end nor closed.
    """

    clock: Clock
    script: Script
    pauses: Pauses = field(default_factory=Pauses)
    is_at_hand: bool = True
    requests: list[Request] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    open: set["ScriptedResponse"] = field(default_factory=set)

    def answers(self, *answers: Answer) -> None:
        """Give these answers, in order."""
        self.script = in_turn(answers)

    async def send(
        self,
        request: Request,
        content: Source | None,
        interim: Callable[[Response], None] | None,
        allowance: Allowance | None = None,
    ) -> "ScriptedResponse":
        """Give the answer that the script has for `request`."""
        request_time = self.clock.now()
        self.requests.append(request)
        received = bytearray()
        while content is not None and (piece := await content.read()):
            received += piece
        self.contents.append(bytes(received))
        answer = self.script(request)
        await self.pauses()
        if interim is not None:
            for response in answer.interims:
                interim(response)
        if answer.head_after is not None:
            await answer.head_after.wait()
        if answer.error is not None:
            raise answer.error
        return ScriptedResponse(self, answer, request_time, is_paced=allowance is not None)

    async def switch(self, request: Request, interim: Callable[[Response], None] | None) -> "ScriptedResponse":
        """Give the answer that the script has for `request`."""
        return await self.send(request, None, interim)

    def send_nowait(
        self,
        request: Request,
        interim: Callable[[Response], None] | None,
        answered: Callable[["ScriptedResponse | EdgeError"], None],
    ) -> bool:
        """Give the answer that the script has for `request`, a turn of the loop later, where it may wait longer."""
        if not self.is_at_hand:
            return False

        async def send() -> None:
            try:
                response = await self.send(request, None, interim)
            except EdgeError as error:
                answered(error)
            else:
                answered(response)

        _ = spawn(send(), name="scripted")
        return True


class ScriptedResponse:
    """The exchange's `UpstreamResponse`; `is_paced` tells whether it is received as its client has room for it."""

    def __init__(self, upstream: ScriptedUpstream, answer: Answer, request_time: float, *, is_paced: bool) -> None:
        fields = FieldSection(answer.fields)
        length = answer.content_length
        if length is not None and b"content-length" not in fields:
            fields = fields.with_lines((b"content-length", b"%d" % length))
        self.head = Response(answer.status, fields)
        self.content_length = length
        self.request_time = request_time
        self.response_time = upstream.clock.now()
        self._upstream = upstream
        self._pieces = list(answer.content)
        self._has_arrived = self.has_ended = False
        self.is_paced = is_paced
        self.written = b""
        upstream.open.add(self)

    def whole(self) -> bytes | None:
        """Return the content if all of it is there."""
        content = b"".join(piece for piece in self._pieces if isinstance(piece, bytes))
        if not all(isinstance(piece, bytes) for piece in self._pieces) or len(content) != self.content_length:
            return None
        # Nothing is held any more, and all of it can still be read.
        self._has_arrived = True
        self.close()
        return content

    async def read(self) -> bytes:
        """Return the next octets of the script."""
        await self._upstream.pauses()
        while self._pieces:
            if self not in self._upstream.open and not self._has_arrived:
                raise UpstreamClosed
            piece = self._pieces[0]
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            self._pieces.pop(0)
            if isinstance(piece, bytes):
                return piece
            if isinstance(piece, EdgeError):
                self.close()
                raise piece
        self.close()
        return b""

    async def write(self, data: bytes | memoryview) -> None:
        """Keep what is sent behind a 101."""
        if self not in self._upstream.open:
            raise UpstreamClosed
        self.written += data

    def end_writing(self) -> None:
        """Note that no more comes."""
        self.has_ended = True

    def hasten(self) -> None:
        """Note that it is not for one client alone."""
        self.is_paced = False

    def close(self) -> None:
        """Drop the rest."""
        self._upstream.open.discard(self)


def in_turn(answers: Iterable[Answer]) -> Script:
    """Return the script that gives `answers` one after the other."""
    left = iter(list(answers))

    def script(request: Request) -> Answer:
        answer = next(left, None)
        assert answer is not None, f"one request too many: {request}"  # noqa: S101 - what a fake is for
        return answer

    return script
