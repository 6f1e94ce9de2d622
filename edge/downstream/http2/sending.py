"""What goes out on a connection: frames of all streams in few writes, content in the order of its priority.

Frames that no window holds back are written in the order in which they come.  Content is added when a write is made:
the most urgent stream first, one of equal urgency after the other, or in turns where they are incremental (RFC 9218
§10), and no more than the client has room for.

What waits for that is bounded by stream, and for all of them together: low where it has to wait for the client.  What
lies in the memory tier does not count: it is there anyway.
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from edge.downstream.http2.encoding import SIZE_UPDATE
from edge.downstream.http2.faults import ConnectionFault, StreamFault
from edge.downstream.http2.frames import (
    DATA,
    END_STREAM,
    FRAME_SIZE,
    LARGEST_WINDOW,
    WINDOW,
    ErrorCode,
    header,
    headers,
)
from edge.downstream.http2.stream import ENOUGH, Stream, Turn
from edge.downstream.pace import SendingPace
from edge.ports import Piece

# After so many octets of content, other connections have their turn.
_MOST_AT_ONCE = 384 << 10
# Streams hold so much beside the one that is sent next: the first pieces of two large contents.
_MOST_HELD = 128 << 10
# What a client has said that it takes is on its way: of one with a window for as much beside it, so much may be, but no
# more than it was sent before, or saying so would be all that it takes to have much of it held.
_MOST_MOVING = 4 << 20
# A batch up to this is joined to one piece: the kernel is given less to walk through.
_JOIN = 64 << 10


class Sender:
    """The sending side of one connection.

    Attributes:
        ended: called with each stream whose end has been sent, behind it.
        window: octets of content that the client takes on the connection at present.
        initial_window: of each new stream.
        is_paused: whether the client has enough waiting for it in the transport.
        frame_size: octets of content in a frame at most.
        queued: octets of frames that the next write will have.
        sent: octets of content sent so far.
    """

    __slots__ = (
        "_is_due", "_is_first", "_is_over", "_loop", "_out", "_pace", "_streams", "_transport", "_turns",
        "_turns_given", "ended", "frame_size", "initial_window", "is_paused", "queued", "sent", "window",
    )  # fmt: skip

    ended: Callable[[Stream], None]

    def __init__(self, transport: asyncio.Transport, pace: SendingPace, streams: dict[int, Stream]) -> None:
        """Send for `streams`."""
        self._transport = transport
        self._pace = pace
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self._out: list[Piece] = []
        self._turns: list[Turn] = []
        self._turns_given = 0
        self._is_due = False
        self._is_first = True
        self._is_over = False
        self.window = self.initial_window = WINDOW
        self.frame_size = FRAME_SIZE
        self.is_paused = False
        self.queued = 0
        self.sent = 0

    def frame(self, frame: bytes) -> None:
        """Send a frame that no window holds back, before the loop next waits."""
        self._out.append(frame)
        self.queued += len(frame)
        self._due()

    def content(self, stream: Stream, data: Piece, *, ends: bool = False) -> None:
        """Send `data` as soon as the client has room for it; `ends` if it is the last."""
        stream.is_ending = ends
        if data:
            stream.put(data)
        if stream.unsent:
            self.queue(stream)
        elif ends:
            self._end(stream)
            self.frame(header(0, DATA, END_STREAM, stream.id))

    def head(self, stream: Stream, block: bytes, *, ends: bool = False) -> None:
        """Send a header block; `ends` if no content follows."""
        self.frame(self._headers(stream.id, block, ends=ends))
        if ends:
            self._end(stream)

    def whole(self, stream: int, block: bytes, data: Piece) -> bool:
        """Send a whole answer now, if nothing holds it back; return whether that is so."""
        size = len(data)
        if self._turns or self.is_paused or size > min(self.window, self.initial_window, FRAME_SIZE):
            return False
        self.frame(self._headers(stream, block, ends=not size))
        if size:
            self.window -= size
            self.sent += size
            self._out += header(size, DATA, END_STREAM, stream), data
            self.queued += size
        return True

    def room(self, stream: Stream) -> int:
        """Return how many octets more a stream may hold, none while the others hold enough.

        It always may what leaves before anything else is put: streams without a window hold up none that has one.
        """
        held, first = self._held(), self._first()
        own = 0 if stream.is_kept_anyway else stream.unsent
        if (others := held - own) <= 0:
            return LARGEST_WINDOW
        could = min(stream.window - stream.unsent, self.window)
        if could >= ENOUGH and self._is_moving(held):
            return could
        is_first = first is None or (stream.turn or self._turn(stream, self._turns_given + 1)) <= self._turns[0]
        if first is not None and not is_first and not first.is_kept_anyway:
            others -= first.unsent
        spare = _MOST_HELD - others - own
        if spare < FRAME_SIZE:
            # Not worth the reading.
            spare = 0
        if is_first and others <= _MOST_HELD:
            return max(spare, could)
        if not (spare or self.is_paused or any(each.can_send for each in self._streams.values())):
            return max(min(could, ENOUGH), 0)
        return spare

    def allow(self, stream: Stream, ahead: int) -> int:
        """Note what was received for a stream and does not wait here yet; return how much more may be, none if not positive.

        What arrives from an origin cannot be let go of, so all that is received counts at once, whatever the windows.
        """
        stream.ahead = ahead
        held = moving = 0
        for each in self._streams.values():
            size = each.ahead if each.is_kept_anyway else each.ahead + each.unsent
            held += size
            if each.window > 0:
                moving += size
        own = ahead if stream.is_kept_anyway else ahead + stream.unsent
        spare, could = _MOST_HELD - held, min(stream.window - own, self.window)
        if self.is_paused or could <= 0:
            return spare
        if own == held:
            return LARGEST_WINDOW
        if self._first() is None:
            # Of many that begin at once, only so much; those that wait for the client hold nobody up.
            is_first = moving - own <= _MOST_HELD
        else:
            is_first = (stream.turn or self._turn(stream, self._turns_given + 1)) <= self._turns[0]
        return max(spare, could) if is_first else spare

    @property
    def has_room(self) -> bool:
        """Whether a small content that was read for one client may wait."""
        first = self._first()
        others = self._held() - (0 if first is None or first.is_kept_anyway else first.unsent)
        return others + ENOUGH <= _MOST_HELD or self._is_moving(others)

    async def drained(self, stream: Stream) -> None:
        """Wait until it is time for more on a stream; DownstreamClosed when the client is gone."""
        stream.check()
        while stream.has_enough or self._holds_back(stream):
            await stream.coming()

    def queue(self, stream: Stream) -> None:
        """Give a stream its turn, if it has or wants what the client has room for; again, if its priority changed."""
        if not (stream.can_send or (stream.wants and stream.window > 0)):
            return
        if stream.turn is None or stream.turn.urgency != stream.priority.urgency:
            self._turns_given += 1
            stream.turn = self._turn(stream, self._turns_given)
            heappush(self._turns, stream.turn)
            self._announce()
        self._due()

    def widen(self, stream: Stream | None, increment: int) -> None:
        """Let the client have more on a stream or, with None, on the connection (RFC 9113 §6.9).

        Raises:
            StreamFault: the stream's window is too large then.
            ConnectionFault: the connection's is.
        """
        if stream is None:
            self.window += increment
            if self.window > LARGEST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
            self._due()
        else:
            if stream.window + increment > LARGEST_WINDOW:
                raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR)
            stream.window += increment
            self.queue(stream)

    def set_initial_window(self, size: int) -> None:
        """Change what new streams begin with, and those that are open by as much (RFC 9113 §6.9.2)."""
        difference, self.initial_window = size - self.initial_window, size
        for stream in self._streams.values():
            stream.window += difference
            if stream.window > LARGEST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR)
            self.queue(stream)

    def flush(self) -> None:
        """Write what can be written now."""
        self._is_due = False
        if self._is_over or self._transport.is_closing():
            self._out.clear()
            self._turns.clear()
            return
        if self._turns and not self.is_paused:
            self._add_content()
        if self._out:
            out, self._out = self._out, []
            self._pace.written += self.queued
            is_small, self.queued = self.queued <= _JOIN, 0
            if is_small:
                self._transport.write(b"".join(out))
            else:
                self._transport.writelines(out)
        if self._turns and self.window > 0 and not self.is_paused:
            self._due()

    def finish(self) -> None:
        """Write what there is, and nothing after it."""
        self.flush()
        self._is_over = True

    def _add_content(self) -> None:
        most = self.queued + _MOST_AT_ONCE
        turns = self._turns
        while turns and self.window > 0 and self.queued < most:
            turn = heappop(turns)
            stream = self._streams.get(turn.stream)
            if stream is None or stream.turn is not turn:
                continue
            stream.turn = None
            if stream.can_send:
                self._add_frames(stream, 0 if stream.priority.is_incremental else most - self.queued)
                self.queue(stream)
                if not stream.unsent and not stream.has_ended:
                    # Those behind it wait until it had the time to have more.
                    break
            elif stream.wants:
                # The others need not wait for it: they may be what there has to be room of.
                stream.come()
        self._announce()

    def _add_frames(self, stream: Stream, most: int) -> None:
        """Add content of `stream`, `most` octets or, if that is more, a frame."""
        most = min(max(most, self.frame_size), stream.unsent, stream.window, self.window)
        is_last = stream.is_ending and most == stream.unsent
        self.window -= most
        self.sent += most
        self.queued += most
        out, size = self._out, self.frame_size
        full = header(size, DATA, 0, stream.id)
        for piece in stream.take(most):
            left = len(piece)
            most -= left
            for at in range(0, left - size, size):
                out += full, piece[at : at + size]
            left = (left - 1) % size + 1
            out += header(left, DATA, END_STREAM if is_last and not most else 0, stream.id), piece[-left:]
        if is_last:
            self._end(stream)

    def _announce(self) -> None:
        """Let the stream whose turn is next read on."""
        if (first := self._first()) is not None:
            first.come()

    def _first(self) -> Stream | None:
        """Return the stream whose turn is next."""
        while self._turns:
            turn = self._turns[0]
            stream = self._streams.get(turn.stream)
            if stream is not None and stream.turn is turn:
                return stream
            heappop(self._turns)
        return None

    @staticmethod
    def _turn(stream: Stream, number: int) -> Turn:
        urgency, is_incremental = stream.priority
        return Turn(urgency, number if is_incremental else 0, stream.id)

    def _held(self) -> int:
        held = 0
        for stream in self._streams.values():
            if not stream.is_kept_anyway:
                held += stream.unsent
        return held

    def _is_moving(self, held: int) -> bool:
        """Return whether what is held is on its way, and more may be."""
        most = min(_MOST_MOVING, self.sent)
        return held < most <= self.window - held

    def _holds_back(self, stream: Stream) -> bool:
        """Return whether a stream must wait for room, which it is told of when its turn comes."""
        stream.wants = not stream.is_ending and self.room(stream) == 0
        if stream.wants:
            self.queue(stream)
        return stream.wants

    def _headers(self, stream: int, block: bytes, *, ends: bool) -> bytes:
        if self._is_first:
            self._is_first = False
            block = SIZE_UPDATE + block
        return headers(stream, block, ends=ends)

    def _end(self, stream: Stream) -> None:
        stream.has_ended = True
        self._loop.call_soon(self.ended, stream)

    def _due(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.flush)
