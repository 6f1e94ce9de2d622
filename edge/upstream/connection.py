"""One connection to an origin: an asyncio protocol that carries one exchange at a time.

It is reused only after an exchange of which both sides ended exactly where their framing said.  Everything else,
an origin that talks without being asked included, costs the connection: bytes never pass from one exchange to the next.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from edge.clock import Clock
from edge.errors import EdgeError, InternalError, UpstreamClosed, UpstreamClosedEarly, UpstreamTimeout
from edge.outbox import Outbox
from edge.ports import Allowance, Piece
from edge.semantics.messages import Request, Response
from edge.tasks import spawn
from edge.upstream.deadline import Deadline
from edge.upstream.pacing import PacedProtocol
from edge.upstream.parser import HEAD_LIMIT, LINES_LIMIT, ResponseParser
from edge.upstream.request import ContentFraming, RequestContent
from edge.upstream.response import HIGH_WATER, OriginResponse
from edge.upstream.settings import Timeouts
from edge.upstream.whole import Whole, WholeResponse, whole_response

Interim = Callable[[Response], None]
#: A response as it comes, or one that has.
Received = OriginResponse | WholeResponse
#: Told once of the response, or of why there is none.
Answered = Callable[[Received | EdgeError], None]


class Keeper(Protocol):
    """Who is told when a connection can be reused, or never again: the pool."""

    def release(self, connection: "Connection") -> None:
        """Take back a connection that is ready for another exchange."""
        ...

    def discard(self, connection: "Connection") -> None:
        """Forget a connection; called once."""
        ...


class Connection(asyncio.Protocol):
    """A connection that carries one exchange after another.

    Attributes:
        keeper: who is told what becomes of it; without one it is closed after its first exchange.
        opened: when it was made, on the monotonic clock.
        idle_since, idle_until: when the keeper last put it by, and when it takes it for given up.
        idle_timeout: how many seconds the origin said it keeps it idle, None if it did not say.
        is_reused: whether an exchange has ended on it.
    """

    def __init__(self, clock: Clock, timeouts: Timeouts, outbox: Outbox | None = None) -> None:
        self._outbox = outbox or Outbox()
        self.keeper: Keeper | None = None
        self.opened = self.idle_since = self.idle_until = clock.monotonic()
        self.idle_timeout: int | None = None
        self.is_reused = False
        self._clock = clock
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._timed_out)
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self._allowance: Allowance | None = None
        self._drained: asyncio.Future[None] | None = None
        # Of a request whose response has not begun: its method, and whether it may switch the protocol.
        self._awaited: tuple[bytes, bool] | None = None
        self._parser: ResponseParser | None = None
        self._response: OriginResponse | None = None
        self._waiter: asyncio.Future[Received] | None = None
        self._answered: Answered | None = None
        self._again: Callable[[], None] | None = None
        self._interim: Interim | None = None
        self._request_time = 0.0
        self._is_sent = True

    @property
    def is_usable(self) -> bool:
        """Whether another exchange may begin."""
        return (
            self._awaited is None
            and self._parser is None
            and self._transport is not None
            and not self._transport.is_closing()
        )

    async def exchange(
        self,
        request: Request,
        head: bytes,
        content: RequestContent | None,
        interim: Interim | None,
        allowance: Allowance | None = None,
    ) -> Received:
        """Send `request`, whose `head` is ready to send, and return its response once the final head has arrived.

        The connection must be usable.  A final head that arrives before all of `content` was sent stops the sending.
        With an `allowance`, no more is received at once than it says, but for a little, without which nothing would begin.

        Raises:
            UpstreamClosedEarly: the connection had been used before and died without a byte of the response.
            UpstreamClosed: it died otherwise.
            UpstreamTimeout: the origin was too slow to take the request or to answer it.
            UpstreamProtocolError: what came is not a valid response.
            DownstreamError: reading `content` or calling `interim` raised it.
        """
        self._awaited = request.method, b"upgrade" in request.fields
        self._interim = interim
        if allowance is not None:
            self._allowance = allowance
            self._receive_by(PacedProtocol(self))
        waiter: asyncio.Future[Received] = self._loop.create_future()
        self._waiter = waiter
        self._is_sent = content is None
        self._request_time = self._clock.now()
        self._write(head)
        sending = None
        if content is None:
            self._deadline.set(self._timeouts.first_byte)
        else:
            sending = spawn(self._send_content(content, request.content_length), name="upstream-content")
        try:
            try:
                return await waiter
            finally:
                # Nobody else may read `content` before this has stopped to.
                if sending is not None and not sending.done():
                    sending.cancel()
                    await asyncio.wait([sending])
        except asyncio.CancelledError:
            if waiter.cancelled():
                self.abort()
            elif waiter.exception() is None:
                waiter.result().close()
            raise

    def begin(
        self, method: bytes, head: bytes, interim: Interim | None, answered: Answered, again: Callable[[], None] | None
    ) -> None:
        """Send a request without content, whose `head` is ready to send, and have `answered` told what `exchange` returns.

        The connection must be usable.  A response that arrives in one piece is whole when it is told.  `again`, if given,
        is called instead of telling UpstreamClosedEarly.
        """
        self._awaited = method, False
        self._interim = interim
        self._answered, self._again = answered, again
        self._is_sent = True
        self._request_time = self._clock.now()
        if self._transport is not None:
            # Nothing else is sent on it before the response.
            self._outbox.put(self._transport, head)
        self._deadline.set(self._timeouts.first_byte)

    async def send(self, data: Piece) -> None:
        """Send octets of the protocol that was switched to; UpstreamClosed once the connection is gone."""
        if self._transport is None:
            raise UpstreamClosed("the connection is gone")
        self._transport.write(data)
        if (drained := self._drained) is not None:
            await drained

    def end_sending(self) -> None:
        """Send no more; does nothing once it is gone."""
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()
        self._gone()

    def abort(self) -> None:
        """Give the connection up, and the exchange on it; does nothing once it is gone."""
        self._fail(UpstreamClosed("the exchange was given up"))

    def pause(self) -> None:
        """Receive nothing more for now; the origin is not to blame for what it cannot send."""
        self._is_paused = True
        self._deadline.clear()
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Receive again."""
        self._is_paused = False
        if self._parser is None or not self._parser.has_switched:
            self._deadline.set(self._timeouts.between_bytes)
        if self._transport is not None:
            self._transport.resume_reading()

    def allowed(self) -> int:
        """Return how many octets may be received at once."""
        unread = 0 if self._response is None else self._response.unread
        return HIGH_WATER if self._allowance is None else self._allowance(unread)

    def hasten(self) -> None:
        """Receive whatever there is at once, whatever the allowance."""
        if self._allowance is not None:
            self._allowance = None
            self._receive_by(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the response; without a request there can be none."""
        parser = self._parser
        if parser is None:
            if self._awaited is None:
                self.abort()
                return
            (method, may_switch), self._awaited = self._awaited, None
            whole = whole_response(method, data, lines=LINES_LIMIT, octets=HEAD_LIMIT)
            if whole is not None:
                self._take_whole(whole)
                return
            parser = self._parser = ResponseParser(method, may_switch=may_switch)
        try:
            parser.feed(data)
            self._pass_interim(parser)
        except EdgeError as error:
            self._fail(error)
            return
        if parser.head is not None:
            self._pass_content(parser, parser.head)

    def eof_received(self) -> bool:
        """Take the end of the connection, which is the end of content that has no other."""
        parser, response = self._parser, self._response
        if parser is not None and response is not None and self._is_eof_meant():
            parser.feed_eof()
            if parser.is_complete:
                response.end()
                self._finish(is_reusable=parser.is_reusable, idle_timeout=parser.idle_timeout)
        self._fail(self._closed_by_origin())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what was under way."""
        error = self._closed_by_origin()
        error.__cause__ = exc
        self._fail(error)

    def pause_writing(self) -> None:
        """Make `_send_content` wait."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let `_send_content` go on."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _receive_by(self, protocol: asyncio.BaseProtocol) -> None:
        if (transport := self._transport) is not None:
            # uvloop looks at what the protocol is only when reading begins.
            transport.pause_reading()
            transport.set_protocol(protocol)
            if not self._is_paused:
                transport.resume_reading()

    async def _send_content(self, content: RequestContent, length: int | None) -> None:
        """Send all of `content`, chunked when `length` is None; what goes wrong fails the exchange."""
        framing = ContentFraming(length)
        try:
            while piece := await content.read():
                self._write(framing.piece(piece))
                await self._drain()
            self._write(framing.end())
        except EdgeError as error:
            self._fail(error)
        except Exception:
            self._fail(InternalError("reading the request content failed"))
            raise
        else:
            self._is_sent = True
            if self._awaited is not None or self._parser is not None:
                self._deadline.set(self._timeouts.first_byte)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def _drain(self) -> None:
        if (drained := self._drained) is not None:
            self._deadline.set(self._timeouts.between_bytes)
            await drained
            self._deadline.clear()

    def _take_whole(self, whole: Whole) -> None:
        waiter, answered = self._waiter, self._answered
        if answered is None and (waiter is None or waiter.done()):
            # Nobody waits for it any more.
            self.abort()
            return
        head, content, is_reusable, idle_timeout = whole
        request_time, response_time = self._request_time, self._clock.now()
        response: Received
        if self._allowance is None:
            response = WholeResponse(head, content, request_time, response_time)
        else:
            response = OriginResponse(
                head,
                len(content),
                request_time=request_time,
                response_time=response_time,
                whole=content,
                allowance=self._allowance,
            )
        self._finish(is_reusable=is_reusable, idle_timeout=idle_timeout)
        if answered is not None:
            answered(response)
        elif waiter is not None:
            waiter.set_result(response)

    def _pass_interim(self, parser: ResponseParser) -> None:
        if parser.interim:
            if self._interim is not None:
                for response in parser.interim:
                    self._interim(response)
            parser.interim.clear()

    def _pass_content(self, parser: ResponseParser, head: Response) -> None:
        response, waiter, answered = self._response, self._waiter, self._answered
        is_new = response is None
        if response is None:
            if answered is None and (waiter is None or waiter.done()):
                # Nobody waits for it any more.
                self.abort()
                return
            response = self._response = self._new_response(parser, head)
        if parser.pieces:
            response.put(parser.pieces)
            parser.pieces.clear()
        if parser.is_complete:
            response.end()
            self._finish(is_reusable=parser.is_reusable, idle_timeout=parser.idle_timeout)
        elif parser.has_switched:
            # Whoever has asked for the other protocol knows how long it may be silent.
            self._deadline.clear()
        elif not self._is_paused:
            self._deadline.set(self._timeouts.between_bytes)
        if is_new:
            self._waiter = self._answered = None
            if answered is not None:
                answered(response)
            elif waiter is not None:
                waiter.set_result(response)

    def _new_response(self, parser: ResponseParser, head: Response) -> OriginResponse:
        return OriginResponse(
            head,
            parser.content_length,
            request_time=self._request_time,
            response_time=self._clock.now(),
            flow=self,
            allowance=self._allowance,
        )

    def _finish(self, *, is_reusable: bool, idle_timeout: int | None) -> None:
        """End the exchange cleanly; hand the connection back, or close it when it cannot be used again."""
        self._forget_exchange()
        if self.keeper is None or not (is_reusable and self._is_sent):
            self.abort()
            return
        if self._is_paused:
            self.resume()
        self.hasten()
        self._deadline.clear()
        self.is_reused = True
        self.idle_timeout = idle_timeout
        self.keeper.release(self)

    def _is_eof_meant(self) -> bool:
        """Whether the origin itself ended the stream: in TLS it says so, and whoever cuts the line cannot."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        if tls is None:
            return True
        try:
            # RFC 9112 §9.8: without close_notify, content that ends with the connection is incomplete.
            return cast("ssl.SSLObject", tls).read(1) == b""
        except ssl.SSLError:
            return False

    def _closed_by_origin(self) -> UpstreamClosed:
        if self.is_reused and self._awaited is not None:
            return UpstreamClosedEarly("the origin closed the connection when it was to be reused")
        return UpstreamClosed("the origin closed the connection before the response was whole")

    def _timed_out(self) -> None:
        if self._awaited is not None or self._parser is not None:
            self._fail(UpstreamTimeout("the origin kept us waiting for too long"))

    def _fail(self, error: EdgeError) -> None:
        """End the exchange with `error`, if there is one, and the connection."""
        response, waiter, answered, again = self._response, self._waiter, self._answered, self._again
        self._forget_exchange()
        if response is not None:
            response.fail(error)
        elif waiter is not None and not waiter.done():
            waiter.set_exception(error)
        if self._transport is not None:
            self._transport.abort()
        self._gone()
        if answered is not None and again is not None and isinstance(error, UpstreamClosedEarly):
            again()
        elif answered is not None:
            answered(error)

    def _forget_exchange(self) -> None:
        self._awaited = self._parser = self._response = self._waiter = self._answered = None
        self._again = self._interim = None

    def _gone(self) -> None:
        self._transport = None
        self._deadline.close()
        self.resume_writing()
        keeper, self.keeper = self.keeper, None
        if keeper is not None:
            keeper.discard(self)
