"""The streams of a connection: which are open, and what is known of those that are not (RFC 9113 §5.1)."""

from collections import OrderedDict, deque

from edge.downstream.http2.faults import ConnectionFault, Fault, StreamFault, protocol_error
from edge.downstream.http2.frames import ErrorCode
from edge.downstream.http2.priority import Priority
from edge.downstream.http2.stream import Stream

# What is remembered of closed streams: enough for what was under way when they were.
_RESETS, _GAPS = 200, 16
# Of streams to come, so many.
_EARLY = 32


class Streams:
    """The streams of one connection.

    Attributes:
        open: by number, those that a frame can still arrive on or leave on.
        last: the highest number so far.
        opened: how many there have been.
        orphans: answers that are worked on although their stream is gone.
        fields: octets of the fields and paths of requests in progress.
        early: priorities of streams that have not begun (RFC 9218 §7.1).
    """

    __slots__ = ("_gaps", "_resets", "early", "fields", "last", "open", "opened", "orphans")

    def __init__(self) -> None:
        self.open: dict[int, Stream] = {}
        self.last = 0
        self.opened = 0
        self.orphans = 0
        self.fields = 0
        self.early: dict[int, Priority] = {}
        # Whether it was we who reset a stream.
        self._resets: OrderedDict[int, bool] = OrderedDict()
        # Numbers that were passed over, and so closed without ever being open (RFC 9113 §5.1.1).
        self._gaps: deque[range] = deque(maxlen=_GAPS)

    def has_room(self, most: int) -> bool:
        """Return whether a client that may have so many streams may have one more.

        Requests in progress count even if their client does not want the answer any more.  Those whose answer has been sent
        do not, as the client knows them as closed (RFC 9113 §5.1.2), even if something is still to be done for them; but
        for as many of them as it may have streams.
        """
        running = len(self.open) + self.orphans
        if running < most:
            return True
        sent = sum(stream.has_ended and stream.content.is_complete for stream in self.open.values())
        return running - sent < most and running < 2 * most

    def begin(self, number: int) -> None:
        """Take note of a new stream."""
        if number > self.last + 2:
            self._gaps.append(range(self.last + 1, number))
        self.last = number
        self.opened += 1

    def end(self, stream: Stream) -> None:
        """Let go of a stream."""
        if self.open.pop(stream.id, None) is not None:
            if not stream.is_answered:
                self.orphans += 1
            stream.drop()

    def end_all(self) -> None:
        """Let go of all streams."""
        for stream in list(self.open.values()):
            self.end(stream)

    def note_reset(self, number: int, *, by_us: bool) -> None:
        """Remember that a stream was reset."""
        self._resets[number] = by_us
        if len(self._resets) > _RESETS:
            self._resets.popitem(last=False)

    def prioritize_early(self, number: int, priority: Priority) -> None:
        """Remember the priority of a stream that has not begun."""
        if number > self.last and len(self.early) < _EARLY:
            self.early[number] = priority

    def why_not(self, number: int) -> Fault | None:
        """Return what is wrong with DATA or HEADERS on a stream that is not open; None if they cross our reset."""
        by_us = self._resets.get(number)
        if by_us:
            return None
        if by_us is not None:
            return StreamFault(ErrorCode.STREAM_CLOSED)
        if number > self.last or not number & 1 or any(number in gap for gap in self._gaps):
            return protocol_error()
        return ConnectionFault(ErrorCode.STREAM_CLOSED)
