"""One answer on its way to the client: an exchange `Responder` over a stream (RFC 9113 §8.1)."""

from collections.abc import Callable
from functools import partial

from edge.downstream.http2.encoding import encode_response, final_block
from edge.downstream.http2.frames import LARGEST_WINDOW, ErrorCode
from edge.downstream.http2.priority import parse_priority
from edge.downstream.http2.sending import Sender
from edge.downstream.http2.stream import Stream
from edge.errors import DownstreamClosed, InternalError
from edge.ports import Allowance, Piece, Source
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response, may_have_content

# RFC 9113 §8.6: there is no 101.  Whether the client may go on is between it and this connection, as is 100.
_NOT_FORWARDED = frozenset({100, 101})
_NO_FIELDS = FieldSection()


class Http2Responder:
    """The response to one request."""

    __slots__ = ("_date", "_left", "_method", "_reset", "_sender", "_sends_content", "_stream", "is_finished")

    def __init__(
        self,
        stream: Stream,
        sender: Sender,
        method: bytes,
        *,
        date: Callable[[], bytes],
        reset: Callable[[Stream, ErrorCode], None],
    ) -> None:
        """Answer a request with `method` on `stream`, which `reset` breaks off."""
        self._stream = stream
        self._sender = sender
        self._method = method
        self._date = date
        self._reset = reset
        self._left: int | None = None
        self._sends_content = False
        self.is_finished = False

    def interim(self, response: Response) -> None:
        """Send a 1xx response; dropped for a client that does not read."""
        self._stream.check()
        # RFC 9110 §15.2 has proxies forward them.  This is a gateway, and who is so far behind has no use for a hint.
        if response.status not in _NOT_FORWARDED and not self._sender.is_paused:
            self._sender.head(self._stream, encode_response(response.status, response.fields))

    def switch(self, response: Response) -> Source:
        """Raise InternalError: no request of HTTP/2 asks for another protocol (RFC 9113 §8.6)."""
        raise InternalError

    def go_on(self) -> None:
        """Send a 100."""
        if not self._stream.is_gone:
            self._sender.head(self._stream, encode_response(100, _NO_FIELDS))

    def start(self, response: Response, length: int | None) -> None:
        """Send the head, which leaves together with the content that is there by then."""
        self._stream.check()
        said = response.fields.get(b"priority")
        if said is not None:
            # RFC 9218 §8: the origin knows better what it sends.
            self._stream.priority = parse_priority(said, self._stream.priority)
        self._sends_content = length != 0 and may_have_content(self._method, response.status)
        self._left = length if self._sends_content else 0
        self._sender.head(self._stream, final_block(response, length, self._date), ends=not self._sends_content)

    @property
    def room(self) -> int:
        """How much may be sent at once."""
        return self._sender.room(self._stream) if self._sends_content else LARGEST_WINDOW

    @property
    def allowance(self) -> Allowance:
        """What paces the receiving of content that is passed on."""
        return partial(self._sender.allow, self._stream)

    async def wait_room(self) -> None:
        """Wait until it is time for more."""
        if self._sends_content:
            await self._sender.drained(self._stream)

    async def send(self, data: Piece) -> None:
        """Send content and wait while the client is slow; content of a response that has none is dropped."""
        if not data or not self._sends_content:
            return
        self._stream.check()
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.abort()
                raise DownstreamClosed
        # The end leaves with the last octet that was announced.
        self._sender.content(self._stream, data, ends=self._left == 0)
        del data
        await self._sender.drained(self._stream)

    def finish(self) -> None:
        """End the response; too little content resets the stream and raises DownstreamClosed (RFC 9113 §8.1.1)."""
        if self._left:
            self.abort()
        if self._sends_content:
            self._stream.check()
            if self._left is None:
                self._sender.content(self._stream, b"", ends=True)
        self.is_finished = True

    def abort(self) -> None:
        """Break the transfer: the stream never comes to its end."""
        self._reset(self._stream, ErrorCode.INTERNAL_ERROR)
