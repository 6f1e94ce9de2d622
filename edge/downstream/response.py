"""One answer on its way to the client: an exchange `Responder` over an HTTP/1.1 connection (RFC 9112 §6)."""

import contextlib
import sys
from collections.abc import Callable
from typing import Protocol

from edge.errors import DownstreamClosed
from edge.ports import Allowance, Piece, Source
from edge.semantics.fields import FieldSection
from edge.semantics.messages import REASONS, Request, Response, may_have_content

_JOIN = 64 << 10
# No value holds a line break, so this is the field and nothing else.
_DATE = b"\r\nDate: "
_beginnings: dict[bytes, bytes] = {}


class Wire(Protocol):
    """What a responder needs of its connection."""

    def write(self, *pieces: Piece) -> None:
        """Queue bytes for the client; DownstreamClosed when it is gone."""
        ...

    def put(self, answer: bytes) -> None:
        """Queue a whole answer, with those to other clients; DownstreamClosed when the client is gone."""
        ...

    async def drained(self) -> None:
        """Wait until the client has taken enough of what is queued; DownstreamClosed when it is gone."""
        ...

    def abort(self) -> None:
        """Reset the connection; does nothing once it is gone."""
        ...

    def switch(self) -> Source:
        """Return what the client sends from here on, as it comes."""
        ...

    def soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the event loop has nothing left to do at present."""
        ...

    def date(self) -> bytes:
        """Return the present time as an IMF-fixdate."""
        ...


class Http1Responder:
    """The response to one request; `keep_alive` says afterwards whether the connection may serve another."""

    __slots__ = (
        "_chunked", "_head", "_left", "_may_stay", "_request", "_sends_content", "_wire", "is_finished", "keep_alive", "room",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        request: Request | None,
        *,
        keep_alive: bool,
        may_stay: Callable[[], bool] = lambda: True,
        room: int = sys.maxsize,
    ) -> None:
        """Answer `request` (None: what came was not one); `may_stay` is asked when the head is made.

        There is `room` for so much: a connection has one answer at a time, which waits in `send`.
        """
        self._wire = wire
        self._may_stay = may_stay
        self._request = request
        self.keep_alive = keep_alive
        self.is_finished = False
        self._head: bytes | None = None
        self._left: int | None = None
        self._chunked = False
        self._sends_content = False
        self.room = room

    @property
    def allowance(self) -> Allowance | None:
        """What paces the receiving: nothing, where there is room for everything."""
        return None if self.room == sys.maxsize else self._allow

    def interim(self, response: Response) -> None:
        """Send a 1xx response; dropped for HTTP/1.0 clients (RFC 9110 §15.2).

        A 100 is dropped as well: whether the client may go on is between it and this connection.
        """
        if self._request is not None and self._request.version >= (1, 1) and response.status != 100:
            self._wire.write(encode_head(response.status, response.reason, response.fields), b"\r\n")

    def switch(self, response: Response) -> Source:
        """Send a 101, and return what the client sends from then on; what is sent from here on is of the new protocol."""
        head = encode_head(response.status, response.reason, response.fields)
        self._wire.write(head, b"Connection: Upgrade\r\n\r\n")
        self.keep_alive, self._sends_content = False, True
        return self._wire.switch()

    def start(self, response: Response, length: int | None) -> None:
        """Prepare the head; it leaves with the first content if that is there already, and at once if not."""
        self._head = self._made_head(response, length)
        self._left = length if self._sends_content else 0
        if self._left != 0:
            self._wire.soon(self._flush)

    def answer(self, response: Response, content: bytes) -> None:
        """Send head and content and end the response; the content of a response that has none is dropped."""
        request = self._request
        if (
            self.keep_alive
            and request is not None
            and request.version == (1, 1)
            and may_have_content(request.method, response.status)
            and self._may_stay()
        ):
            head, sends_content = final_head(response, len(content), self._wire.date), True
        else:
            head = self._made_head(response, len(content))
            sends_content = self._sends_content
        if not sends_content:
            self._wire.put(head)
        elif len(content) <= _JOIN:
            self._wire.put(head + content)
        else:
            self._wire.write(head, content)
        self.is_finished = True

    def _made_head(self, response: Response, length: int | None) -> bytes:
        method = b"GET" if self._request is None else self._request.method
        version = (1, 1) if self._request is None else self._request.version
        self._sends_content = may_have_content(method, response.status)
        head = encode_head(response.status, response.reason, response.fields)
        parts = [head]
        if _DATE not in head:
            parts.append(b"Date: %s\r\n" % self._wire.date())
        if response.status not in {204, 304}:
            if length is not None:
                parts.append(b"Content-Length: %d\r\n" % length)
            elif self._sends_content and version >= (1, 1):
                parts.append(b"Transfer-Encoding: chunked\r\n")
                self._chunked = True
            elif self._sends_content:
                self.keep_alive = False
        self.keep_alive = self.keep_alive and self._may_stay()
        if not self.keep_alive:
            parts.append(b"Connection: close\r\n")
        elif version == (1, 0):
            parts.append(b"Connection: keep-alive\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    async def wait_room(self) -> None:
        """Return: there is room."""

    async def send(self, data: Piece) -> None:
        """Send content and wait while the client is slow; content of a response that has none is dropped."""
        if not data or not self._sends_content:
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                # More than announced would be read as the start of the next response.
                self.abort()
                raise DownstreamClosed
        head, self._head = self._head or b"", None
        if self._chunked:
            self._wire.write(b"%s%x\r\n" % (head, len(data)), data, b"\r\n")
        elif head and len(data) <= _JOIN:
            self._wire.write(head + data)
        else:
            self._wire.write(head, data)
        await self._wire.drained()

    def finish(self) -> None:
        """End the response; too little content resets the connection and raises DownstreamClosed (RFC 9112 §8)."""
        if self._left:
            self.abort()
            raise DownstreamClosed
        head, self._head = self._head or b"", None
        if self._chunked:
            head += b"0\r\n\r\n"
        if head:
            self._wire.write(head)
        self.is_finished = True

    def abort(self) -> None:
        """Break the transfer: neither the last chunk nor the announced length is ever reached."""
        self.keep_alive = False
        self._wire.abort()

    def _allow(self, unread: int) -> int:
        return self.room - unread

    def _flush(self) -> None:
        head, self._head = self._head, None
        if head:
            with contextlib.suppress(DownstreamClosed):
                self._wire.write(head)


def final_head(response: Response, length: int, date: Callable[[], bytes]) -> bytes:
    """Return the head of a response whose content follows whole, on a connection that stays (HTTP/1.1)."""
    head = encode_head(response.status, response.reason, response.fields)
    dated = b"" if _DATE in head else b"Date: %s\r\n" % date()
    framing = b"" if response.status in {204, 304} else b"Content-Length: %d\r\n" % length
    return b"%s%s%s\r\n" % (head, dated, framing)


def last_head(response: Response, length: int, date: Callable[[], bytes]) -> bytes:
    """Return the head of a response whose content follows whole, on a connection that ends with it (HTTP/1.1)."""
    return final_head(response, length, date)[:-2] + b"Connection: close\r\n\r\n"


def encode_head(status: int, reason: bytes, fields: FieldSection) -> bytes:
    """Return status line and field lines, without the empty line that ends them."""
    try:
        lines = [_beginnings[name] + value for name, value in fields.lines]
    except KeyError:
        lines = [_begin(name) + value for name, value in fields.lines]
    # Formatting every line takes twice as long.
    lines.append(b"")
    return b"HTTP/1.1 %d %s\r\n%s" % (status, reason or REASONS.get(status, b""), b"\r\n".join(lines))


def _begin(name: bytes) -> bytes:
    """Return how the line of a field begins, with its name as people are used to reading it."""
    known = _beginnings.get(name)
    if known is None:
        known = b"-".join(part.capitalize() for part in name.split(b"-")) + b": "
        # Names come from origins: bounded, so that none can fill the memory with them.
        if len(_beginnings) < 4096:
            _beginnings[name] = known
    return known


_beginnings.update({
    name.lower(): name + b": " for name in (b"ETag", b"CDN-Loop", b"TE", b"WWW-Authenticate")
})  # fmt: skip
