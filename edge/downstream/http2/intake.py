"""What arrives on an HTTP/2 connection, cut into frames and whole header blocks (RFC 9113 §3.4, §4)."""

from typing import Protocol

from edge.downstream.http2.faults import ConnectionFault, frame_size_error, protocol_error
from edge.downstream.http2.frames import (
    CONTINUATION,
    END_HEADERS,
    FRAME_SIZE,
    HEADER_SIZE,
    HEADERS,
    LARGEST_STREAM,
    PADDED,
    PREFACE,
    PRIORITY_SIZE,
    WITH_PRIORITY,
    ErrorCode,
    dependency,
    unpack_header,
)

# No header block within the limits needs more.
_MOST_CONTINUATIONS = 8


class Receiver(Protocol):
    """Who is given what arrives."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more can be taken at present."""
        ...

    def preface(self) -> None:
        """Take the connection preface."""
        ...

    def header_block(self, stream: int, flags: int, block: bytes, depends_on: int) -> None:
        """Take a whole header block; `depends_on` is the stream it names so in RFC 7540's words, 0 when it does not."""
        ...

    def frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Take any other frame; the payload of DATA still has its padding."""
        ...


class Intake:
    """The frames of one connection.

    Attributes:
        has_begun: whether the connection preface has arrived.
    """

    __slots__ = (
        "_block", "_block_depends_on", "_block_flags", "_block_limit", "_block_stream", "_continuations", "_input",
        "_receiver", "has_begun",
    )  # fmt: skip

    def __init__(self, receiver: Receiver, block_limit: int) -> None:
        """Give what arrives to `receiver`, header blocks of up to `block_limit` octets."""
        self._receiver = receiver
        self._block_limit = block_limit
        self._input = b""
        self._block: list[bytes] = []
        self._block_stream = 0
        self._block_flags = self._block_depends_on = 0
        self._continuations = 0
        self.has_begun = False

    @property
    def is_waiting(self) -> bool:
        """Whether something has begun to arrive that must be whole in time: all but content, which has its own pace."""
        return bool(self._block_stream) or (bool(self._input) and self._input[3:4] != b"\x00")

    def feed(self, data: bytes) -> None:
        """Take `data` off the wire, as far as the receiver is not full; ConnectionFault when it breaks the framing."""
        data = self._input + data if self._input else data
        self._input = b""
        at = 0
        if not self.has_begun:
            if not data.startswith(PREFACE[: len(data)]):
                raise protocol_error()
            if len(data) >= len(PREFACE):
                self.has_begun = True
                self._receiver.preface()
                at = len(PREFACE)
        size = len(data) if self.has_begun else 0
        while size - at >= HEADER_SIZE and not self._receiver.is_full:
            high, low, kind, flags, stream = unpack_header(data, at)
            length = high << 16 | low
            if length > FRAME_SIZE:
                raise frame_size_error()
            stream &= LARGEST_STREAM
            if self._block_stream and (kind != CONTINUATION or stream != self._block_stream):
                # RFC 9113 §6.10: nothing comes between the parts of a header block.
                raise protocol_error()
            end = at + HEADER_SIZE + length
            if end > size:
                break
            self._take(kind, flags, stream, data[at + HEADER_SIZE : end])
            at = end
        self._input = data[at:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS:
            self._begin_block(stream, flags, payload)
        elif kind == CONTINUATION:
            self._continue_block(flags, payload)
        else:
            self._receiver.frame(kind, flags, stream, payload)

    def _begin_block(self, stream: int, flags: int, payload: bytes) -> None:
        if not stream & 1:
            # RFC 9113 §5.1.1: a client's streams are odd.
            raise protocol_error()
        block = unpadded(payload, flags) if flags & PADDED else payload
        depends_on = 0
        if flags & WITH_PRIORITY:
            if len(block) < PRIORITY_SIZE:
                raise frame_size_error()
            depends_on, block = dependency(block), block[PRIORITY_SIZE:]
        if flags & END_HEADERS:
            self._receiver.header_block(stream, flags, block, depends_on)
        else:
            self._block, self._block_stream, self._block_flags, self._continuations = [block], stream, flags, 0
            self._block_depends_on = depends_on

    def _continue_block(self, flags: int, payload: bytes) -> None:
        if not self._block_stream:
            raise protocol_error()
        self._continuations += 1
        self._block.append(payload)
        if self._continuations > _MOST_CONTINUATIONS or sum(map(len, self._block)) > self._block_limit:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "continuation-flood")
        if flags & END_HEADERS:
            block, self._block, stream, self._block_stream = b"".join(self._block), [], self._block_stream, 0
            self._receiver.header_block(stream, self._block_flags, block, self._block_depends_on)


def unpadded(payload: bytes, flags: int) -> bytes:
    """Return a payload without its padding; ConnectionFault when there is less than is said (RFC 9113 §6.1)."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise frame_size_error()
    if payload[0] >= len(payload):
        raise protocol_error()
    return payload[1 : len(payload) - payload[0]]
