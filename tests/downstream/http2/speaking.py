"""A client of HTTP/2 that sends the octets it is told to, and reads frames."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

import hpack

from edge.clock import SystemClock
from edge.downstream.http2 import frames
from edge.downstream.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
)  # fmt: skip
from edge.downstream.listener import Handle, Listener, bind
from edge.policy.limits import Limits
from edge.tasks import cancel_all
from tests.downstream.talking import refuse

MARK = b"are-you-there"[:8]
GET = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/"))
POST = ((b":method", b"POST"), *GET[1:])


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return frames.header(len(payload), kind, flags, stream) + payload


def block(*lines) -> bytes:
    """Return a header block that leaves the dynamic table alone."""
    encoded = b""
    for name, value in lines:
        encoded += b"\x00" + _string(name) + _string(value)
    return encoded


def _string(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, length = len(value) - 127, b"\x7f"
    while rest >= 128:
        length, rest = length + bytes([rest % 128 + 128]), rest // 128
    return length + bytes([rest]) + value


def headers(stream: int, *lines, ends: bool = True, request=GET) -> bytes:
    flags = END_HEADERS | (END_STREAM if ends else 0)
    return frame(HEADERS, flags, stream, block(*request, *lines))


def only(stream: int, *lines, ends: bool = True) -> bytes:
    """Return HEADERS with these lines alone."""
    return headers(stream, *lines, ends=ends, request=())


def data(stream: int, content: bytes = b"", *, ends: bool = False) -> bytes:
    return frame(DATA, END_STREAM if ends else 0, stream, content)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", *pair) for pair in pairs))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def rst(stream: int, code: int = ErrorCode.CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def ping(payload: bytes = MARK, flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def priority(stream: int, depends_on: int = 0) -> bytes:
    return frame(PRIORITY, 0, stream, depends_on.to_bytes(4, "big") + b"\x0f")


def priority_update(stream: int, value: bytes) -> bytes:
    return frame(PRIORITY_UPDATE, 0, 0, stream.to_bytes(4, "big") + value)


def continuation(stream: int, fragment: bytes, *, ends: bool = True) -> bytes:
    return frame(CONTINUATION, END_HEADERS if ends else 0, stream, fragment)


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == RST_STREAM else self.payload[4:8], "big")

    @property
    def ends(self) -> bool:
        return self.kind in {DATA, HEADERS} and bool(self.flags & END_STREAM)


@dataclass
class Answer:
    """What came on one stream."""

    heads: list
    content: bytes = b""
    is_whole: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(dict(self.heads[-1])[b":status"]) if self.heads else 0

    @property
    def fields(self) -> dict[bytes, bytes]:
        return dict(self.heads[-1])


class Peer:
    """One connection of a client, which remembers all that it read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.decoder = hpack.Decoder()
        self.seen: list[Frame] = []
        self.answers: dict[int, Answer] = {}
        self.has_ended = False
        self._block = b""

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            with suppress(ConnectionError):
                await self.writer.drain()

    async def greet(self, *pairs: tuple[int, int]) -> None:
        """Exchange prefaces."""
        await self.send(PREFACE + settings(*pairs))
        await self.until(lambda got: got.kind == SETTINGS and not got.flags)
        await self.until(lambda got: got.kind == SETTINGS and bool(got.flags & ACK))
        await self.send(frame(SETTINGS, ACK, 0))

    async def read(self) -> Frame | None:
        """Return the next frame, None at the end of the connection."""
        try:
            high, low, kind, flags, stream = frames.unpack_header(await self.reader.readexactly(9))
            payload = await self.reader.readexactly(high << 16 | low)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.has_ended = True
            return None
        got = Frame(kind, flags, stream, payload)
        self.seen.append(got)
        self._note(got)
        return got

    async def until(self, wanted) -> Frame | None:
        """Return the next frame that is wanted, None when the connection ends before."""
        while (got := await self.read()) is not None:
            if wanted(got):
                return got
        return None

    async def answer(self, stream: int = 1) -> Answer:
        """Return what came on `stream` once that is over."""
        while True:
            answer = self.answers.get(stream)
            if answer is not None and (answer.is_whole or answer.reset is not None):
                return answer
            if await self.read() is None:
                return self.answers.get(stream, Answer([]))

    async def pong(self) -> bool:
        """Return whether the connection lives; whatever was sent before has been taken by then."""
        await self.send(ping())
        return await self.until(lambda got: got.kind == PING and got.payload == MARK) is not None

    async def goaway(self) -> int | None:
        """Return the code of the next GOAWAY, None when the connection ends without."""
        got = await self.until(lambda got: got.kind == GOAWAY)
        return None if got is None else got.code

    async def ended(self) -> list[Frame]:
        """Read to the end of the connection."""
        await self.until(lambda _: False)
        return self.seen

    def of(self, kind: int) -> list[Frame]:
        return [got for got in self.seen if got.kind == kind]

    def _note(self, got: Frame) -> None:
        if got.kind in {HEADERS, CONTINUATION}:
            self._block += got.payload
            if got.flags & END_HEADERS:
                lines, self._block = self.decoder.decode(self._block, raw=True), b""
                self.answers.setdefault(got.stream, Answer([])).heads.append([tuple(line) for line in lines])
        elif got.kind == DATA:
            self.answers[got.stream].content += got.payload
        elif got.kind == RST_STREAM:
            self.answers.setdefault(got.stream, Answer([])).reset = got.code
        if got.ends:
            self.answers[got.stream].is_whole = True


class Speaking:
    """Starts listeners and clients, and ends all of it."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.peers: list[Peer] = []
        self.counted: list[str] = []

    async def listener(self, handle: Handle, limits: Limits | None = None, **options) -> tuple[Listener, int]:
        listener = Listener(
            handle, refuse, limits or Limits(), SystemClock(), h2c=True, count=self.counted.append, **options
        )
        bound = bind("127.0.0.1", 0)
        port = bound.getsockname()[1]
        await listener.start(bound)
        self.listeners.append(listener)
        return listener, port

    async def peer(self, port: int, *, receive_buffer: int | None = None) -> Peer:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        peer = Peer(*await asyncio.open_connection(sock=sock, limit=1 << 20))
        self.peers.append(peer)
        return peer

    async def to(self, handle: Handle, limits: Limits | None = None, *, pairs=(), **options) -> Peer:
        """Return a client of a new listener, both having said hello."""
        _, port = await self.listener(handle, limits)
        peer = await self.peer(port, **options)
        await peer.greet(*pairs)
        return peer

    async def close(self) -> None:
        for peer in self.peers:
            peer.writer.close()
        for listener in self.listeners:
            listener.drain()
            listener.cut()
            await listener.drained()
        for peer in self.peers:
            with suppress(ConnectionError):
                await peer.writer.wait_closed()
        await cancel_all()
