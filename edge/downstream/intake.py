"""What arrives on an HTTP/1.1 connection, taken apart into requests (RFC 9112 §2.2)."""

from collections import deque

from edge.downstream.content import Connection, Content
from edge.downstream.head import Head, head_length, parse_head
from edge.downstream.switched import Switched
from edge.errors import DownstreamError
from edge.policy.limits import Limits

Item = tuple[Head, Content] | DownstreamError
_LINE_BREAK, _HEAD_END = b"\r\n", b"\r\n\r\n"


class Intake:
    """The requests of one connection, and at its end perhaps the error that keeps it from having more.

    Attributes:
        input: what has arrived of a head that has begun, or waits for room.
        queue: what is to be answered, in order; whoever answers takes it from the left, once that is done.
        content: what still arrives of the last of them, None when it is complete.
        is_deaf: whether nothing more is taken: a request was the last, or it was none.
        ignored: octets that came although nothing was taken any more.
        switched: what comes since the connection is another protocol's, None before.
    """

    __slots__ = (
        "_connection",
        "_is_held",
        "_limits",
        "_may_skip_line",
        "_passes",
        "_scheme",
        "content",
        "ignored",
        "input",
        "is_deaf",
        "queue",
        "switched",
    )

    def __init__(self, scheme: bytes, limits: Limits, connection: Connection) -> None:
        self._scheme = scheme
        self._limits = limits
        # What is no longer, no part of it can be too long.
        self._passes = min(limits.request_line, limits.field_section)
        self._connection = connection
        self.input = b""
        self._may_skip_line = True
        self.queue: deque[Item] = deque()
        self.content: Content | None = None
        self.is_deaf = self._is_held = False
        self.ignored = 0
        self.switched: Switched | None = None

    @property
    def has_room(self) -> bool:
        """Whether more should be read from the client."""
        if self.switched is not None:
            return not self.switched.is_full
        if self._is_held:
            return len(self.input) <= self._limits.drain_octets
        if self.is_deaf:
            return self.ignored <= self._limits.drain_octets
        if self.content is not None:
            return not self.content.is_full
        return len(self.queue) < self._limits.pipelined

    def feed(self, data: bytes) -> None:
        """Take `data` off the wire."""
        if self.switched is not None:
            self.switched.feed(data)
        elif self.is_deaf:
            self.ignored += len(data)
        else:
            self.input = self.input + data if self.input else data
            self.advance()

    def lone_head(self, data: bytes) -> Head | None:
        """Return the head that `data` is, all of it: no content, and nothing behind.

        It is then not to be fed.  None for anything else, which is; nothing may have begun before.
        """
        length = len(data)
        if data.find(_HEAD_END) != length - len(_HEAD_END):
            return None
        try:
            if length > self._passes:
                head_length(data, self._limits)
            head = parse_head(data, self._scheme, self._limits)
        except DownstreamError:
            return None
        if head.request.has_content:
            return None
        self._may_skip_line = True
        return head

    def advance(self) -> None:
        """Take requests and content off the input, as many as there is room for."""
        try:
            while self.input and not (self.is_deaf or self._is_held):
                if self.content is not None:
                    self.input = self.content.feed(self.input)
                    if self.content.is_complete:
                        self._end_content()
                elif len(self.queue) >= self._limits.pipelined or not self._take_head():
                    break
        except DownstreamError as error:
            self.fail(error)
            self.refuse(error)

    def switch(self) -> Switched:
        """Take no more requests: return what comes from here on, which begins with what has been held so far."""
        self.switched = Switched(self._limits, self._connection)
        self.switched.feed(self.input)
        self.input = b""
        return self.switched

    def fail(self, error: DownstreamError) -> None:
        """Let whoever reads the content that still arrives have `error`."""
        if self.content is not None:
            self.content.fail(error)
        if self.switched is not None:
            self.switched.fail(error)

    def refuse(self, error: DownstreamError) -> None:
        """Have `error` answered after what was asked before it, and take nothing more."""
        self.go_deaf()
        self.queue.append(error)

    def go_deaf(self) -> None:
        """Take nothing more."""
        self.is_deaf, self._is_held = True, False
        self.ignored += len(self.input)
        self.input = b""

    def _take_head(self) -> bool:
        """Take an empty line or a request head off the input; return whether there was a whole one."""
        if self._may_skip_line and _LINE_BREAK.startswith(self.input[:2]):
            # RFC 9112 §2.2: one empty line before a request line is ignored.
            if len(self.input) == 1:
                return False
            self._may_skip_line = False
            self.input = self.input[2:]
            return True
        length = head_length(self.input, self._limits)
        if not length:
            return False
        raw, self.input = self.input[:length], self.input[length:]
        head = parse_head(raw, self._scheme, self._limits)
        self.content = Content(head, self._limits, self._connection)
        self.queue.append((head, self.content))
        if self.content.is_complete:
            self._end_content()
        return True

    def _end_content(self) -> None:
        """Wait for the next request, unless this was the last."""
        self.content = None
        self._may_skip_line = True
        last = self.queue[-1]
        if isinstance(last, tuple) and last[0].may_switch:
            # RFC 9110 §7.8: what follows is of the new protocol if there is one, and to be dropped if there is none.
            self._is_held = True
        elif isinstance(last, tuple) and last[0].wants_close:
            self.go_deaf()
