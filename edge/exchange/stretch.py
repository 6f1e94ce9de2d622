"""A stretch of a representation on its way from the origin."""

from collections.abc import Callable

from edge.errors import EdgeError, UpstreamProtocolError
from edge.exchange.forward import Forwarded
from edge.ports import Writer

Stop = Callable[[], object]

# How much of it a reader is handed at once.
_AT_ONCE = 256 << 10


class Stretch:
    """The octets [start, end), in memory as far as they have come.

    Attributes:
        start, end: which octets.
        forwarded: the origin's answer, None until its head is there and says what it should.
        writer: where it is stored, if that is open already.
        error: why no more of it will come.
        is_needed: whether a client waits for it, or did.
        is_stored: whether the store has it.
        is_over: whether the task has ended.
        stop: ends the task.
    """

    __slots__ = (
        "_come",
        "_data",
        "end",
        "error",
        "forwarded",
        "is_needed",
        "is_over",
        "is_stored",
        "start",
        "stop",
        "writer",
    )

    def __init__(
        self, start: int, end: int, *, forwarded: Forwarded | None = None, writer: Writer | None = None
    ) -> None:
        self.start, self.end = start, end
        self.forwarded = forwarded
        self.writer = writer
        self.error: EdgeError | None = None
        self.is_needed = self.is_stored = self.is_over = False
        self.stop: Stop = lambda: None
        # Made at once when the first octets come: one that grew would leave holes of all sizes in the heap.
        self._data, self._come = bytearray(), 0

    @property
    def is_confirmed(self) -> bool:
        """Whether the origin has answered with this stretch of the same representation."""
        return self.forwarded is not None

    @property
    def is_whole(self) -> bool:
        """Whether all of it has come."""
        return self._come == self.end - self.start

    @property
    def content(self) -> memoryview:
        """What has come of it."""
        return memoryview(self._data)[: self._come]

    def add(self, data: bytes) -> None:
        """Take octets from the origin; UpstreamProtocolError when they are more than there should be."""
        come = self._come + len(data)
        if come > self.end - self.start:
            raise UpstreamProtocolError("more content than announced")
        if not self._data:
            self._data = bytearray(self.end - self.start)
        self._data[self._come : come] = data
        self._come = come

    def read(self, position: int, end: int) -> bytes:
        """Return octets from `position` on, not beyond `end`; b"" while there are none."""
        first = position - self.start
        return bytes(memoryview(self._data)[first : min(end - self.start, first + _AT_ONCE, self._come)])

    def close(self) -> None:
        """Let go of what brings it in."""
        if self.forwarded is not None:
            self.forwarded.upstream.close()
        if self.writer is not None:
            self.writer.abort()
