"""The requests of a connection and their answers, each on its stream."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from edge.downstream.head import Head
from edge.downstream.http2.budgets import Budgets, Kind
from edge.downstream.http2.content import StreamContent
from edge.downstream.http2.faults import StreamFault
from edge.downstream.http2.frames import ErrorCode, rst_stream
from edge.downstream.http2.inflow import Inflow
from edge.downstream.http2.priority import DEFAULT, Priority
from edge.downstream.http2.request import Asked
from edge.downstream.http2.responder import Http2Responder
from edge.downstream.http2.sending import Sender
from edge.downstream.http2.stream import Stream
from edge.downstream.http2.streams import Streams
from edge.errors import DownstreamClosed, DownstreamError
from edge.ports import Piece
from edge.semantics.messages import Request
from edge.tasks import spawn

if TYPE_CHECKING:
    from edge.downstream.listener import Handle, Listener

# The requests in progress on a connection have so many octets of fields and paths: a hundred with 6 KiB each.
_MOST_FIELDS = 640 << 10


class Answering:
    """Answers requests: at once where the answer is ready, and by a task of its own where it is not."""

    __slots__ = (
        "_budgets", "_client", "_handle", "_inflow", "_listener", "_loop", "_progressed", "_sender", "_streams",
    )  # fmt: skip

    def __init__(
        self,
        listener: "Listener",
        client: str,
        handle: "Handle",
        streams: Streams,
        sender: Sender,
        inflow: Inflow,
        budgets: Budgets,
        progressed: Callable[[], None],
    ) -> None:
        """Answer on `streams`; `progressed` is called when a stream has begun or ended."""
        self._listener = listener
        self._client = client
        self._handle = handle
        self._streams = streams
        self._sender = sender
        self._inflow = inflow
        self._budgets = budgets
        self._progressed = progressed
        self._loop = asyncio.get_running_loop()

    def ask(self, stream: int, asked: Asked | DownstreamError, *, ends: bool) -> None:
        """Answer a request, or what should have been one; `ends` if no content follows."""
        early = self._streams.early.pop(stream, None) if self._streams.early else None
        if isinstance(asked, DownstreamError):
            self._spawn(self._opened(stream, early or DEFAULT), asked, ends=ends)
            return
        if ends and asked.octets and self._sender.has_room:
            listener, client = self._listener, self._client
            pieces = listener.by_octets(asked.octets, client, listener.date) or listener.by_request(
                asked.octets, asked.head, client
            )
            if pieces is not None:
                block, body = pieces
                self._send_ready(stream, early or asked.priority, bytes(block), body)
                self._progressed()
                return
        held = _octets(asked.head.request)
        if self._streams.fields + held > _MOST_FIELDS:
            # RFC 9113 §8.7: it may be asked again.
            raise StreamFault(ErrorCode.REFUSED_STREAM, "fields-held")
        self._streams.fields += held
        self._spawn(self._opened(stream, early or asked.priority), asked, ends=ends, held=held)

    def leave(self, stream: Stream) -> None:
        """Forget a stream whose content has ended, if its answer has too."""
        if stream.content.is_complete:
            self.ended(stream)

    def ended(self, stream: Stream) -> None:
        """Forget a stream whose answer has ended; a client that still sends content for it is told that it need not."""
        if stream.is_gone or not (stream.is_answered and stream.has_ended):
            return
        if not stream.content.is_complete:
            # RFC 9113 §8.1.
            self._reset(stream, ErrorCode.NO_ERROR)
            return
        self._streams.end(stream)
        self._progressed()

    def reset(self, stream: int, fault: StreamFault) -> None:
        """End a stream, open or not, by the fault of the client; ConnectionFault when that happens too often."""
        self._listener.count(f"http2-{fault.token}")
        self._budgets.spend(Kind.RESET, self._loop.time())
        found = self._streams.open.get(stream)
        if found is not None:
            self._reset(found, fault.code)
        else:
            self._streams.note_reset(stream, by_us=True)
            self._sender.frame(rst_stream(stream, fault.code))

    def _reset(self, stream: Stream, code: ErrorCode) -> None:
        if not stream.is_gone:
            self._streams.note_reset(stream.id, by_us=True)
            self._sender.frame(rst_stream(stream.id, code))
            self._streams.end(stream)
            self._progressed()

    def _send_ready(self, number: int, priority: Priority, block: bytes, body: Piece) -> None:
        """Send a ready answer: at once, or as the client has room for it."""
        if self._sender.whole(number, block, body):
            return
        stream = self._opened(number, priority)
        stream.content = self._content(stream, None, lambda: None, is_complete=True)
        stream.is_answered = True
        # What was read for this answer alone is a view of what was read.
        stream.is_kept_anyway = isinstance(body, bytes)
        self._sender.head(stream, block)
        self._sender.content(stream, body, ends=True)

    def _spawn(self, stream: Stream, asked: Asked | DownstreamError, *, ends: bool, held: int = 0) -> None:
        head = None if isinstance(asked, DownstreamError) else asked.head
        method = b"GET" if head is None else head.request.method
        responder = Http2Responder(stream, self._sender, method, date=self._listener.date, reset=self._reset)
        stream.content = self._content(stream, head, responder.go_on, is_complete=ends)
        _ = spawn(self._answer(stream, asked, responder, held), name="http2")

    async def _answer(
        self, stream: Stream, asked: Asked | DownstreamError, responder: Http2Responder, held: int
    ) -> None:
        listener = self._listener
        try:
            if isinstance(asked, DownstreamError):
                await listener.refuse(asked, responder, self._client)
            else:
                await self._handle(asked.head.request, stream.content, responder, self._client)
        except DownstreamClosed:
            pass
        finally:
            stream.is_answered = True
            self._streams.fields -= held
            if stream.is_gone:
                self._streams.orphans -= 1
            elif responder.is_finished:
                self.ended(stream)
            else:
                # The handler failed, or was cancelled.
                self._reset(stream, ErrorCode.INTERNAL_ERROR)

    def _opened(self, number: int, priority: Priority) -> Stream:
        stream = Stream(number, self._sender.initial_window, priority, self._listener.limits)
        self._streams.open[number] = stream
        return stream

    def _content(
        self, stream: Stream, head: Head | None, go_on: Callable[[], None], *, is_complete: bool
    ) -> StreamContent:
        took = partial(self._inflow.took, stream)
        return StreamContent(head, self._listener.limits, go_on=go_on, took=took, is_complete=is_complete)


def _octets(request: Request) -> int:
    """Return how much a request takes as long as it is not answered."""
    target = request.target
    return len(target.path) + len(target.query or b"") + sum(len(name) + len(value) for name, value in request.fields)
