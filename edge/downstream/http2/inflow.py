"""What the client may send: no more than there is room for until it is read (RFC 9113 §5.2)."""

from edge.downstream.http2.faults import ConnectionFault
from edge.downstream.http2.frames import WINDOW, ErrorCode, window_update
from edge.downstream.http2.sending import Sender
from edge.downstream.http2.stream import Stream

#: Of the connection, in octets; with what waits to be sent it stays below 1 MiB.
CONNECTION_WINDOW = 512 << 10


class Inflow:
    """The receiving windows of one connection.

    Attributes:
        window: octets of content that the client may send at present.
    """

    __slots__ = ("_credit", "_sender", "window")

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._credit = 0
        self.window = CONNECTION_WINDOW

    def arrived(self, size: int) -> None:
        """Count content and its padding; ConnectionFault when there was no room for it."""
        self.window -= size
        if self.window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)

    def took(self, stream: Stream, size: int) -> None:
        """Let the client send as much as was read, in steps that are worth a frame (RFC 9113 §5.2.2)."""
        self.give_back(size)
        stream.credit += size
        if stream.credit > WINDOW // 2 and not stream.content.is_complete and not stream.is_gone:
            stream.receive_window += stream.credit
            self._sender.frame(window_update(stream.id, stream.credit))
            stream.credit = 0

    def give_back(self, size: int) -> None:
        """The same for what was dropped, on the connection alone."""
        self._credit += size
        if self._credit > CONNECTION_WINDOW // 2:
            self.window += self._credit
            self._sender.frame(window_update(0, self._credit))
            self._credit = 0
