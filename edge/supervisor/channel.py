"""What supervisor and worker say to each other: MessagePack behind its length, over a socket pair.

The end of the stream is the end of the other process.
"""

import asyncio
import socket
import struct
from typing import Generic, Self, TypeVar

import msgspec

_LENGTH = struct.Struct(">I")


class Message(msgspec.Struct, frozen=True, tag=True):
    """Anything that is said."""


class Begin(Message, frozen=True):
    """What to be; the first order.

    Attributes:
        config: the configuration, as TOML with every setting in it.
        index: which of the `workers` to be.
        slot: the part of the shared page that is this process's own.
        listeners: descriptors of the listening sockets, in the order of the configuration.
        page: descriptor of the shared page.
    """

    config: str
    index: int
    workers: int
    slot: int
    listeners: list[int]
    page: int


class Take(Message, frozen=True):
    """Open the store and accept clients."""


class Retire(Message, frozen=True):
    """Accept no more, let go of the store, and end when every exchange has."""


class Stop(Message, frozen=True):
    """End now."""


class Report(Message, frozen=True):
    """Tell your numbers; with `flushes`, once what waits to be written is on the disk, or cannot be."""

    flushes: bool = False


class Reopen(Message, frozen=True):
    """Open the log anew."""


class Ask(Message, frozen=True):
    """Answer a question, which is between those who ask and the worker."""

    number: int
    question: bytes


class Prepared(Message, frozen=True):
    """The configuration was understood."""


class Serving(Message, frozen=True):
    """Clients are accepted."""


class Retired(Message, frozen=True):
    """No more clients are accepted, and the store is free."""


class Failed(Message, frozen=True):
    """It cannot be done, for a reason that is a sentence."""

    reason: str


class Told(Message, frozen=True):
    """The numbers of this process, and why it should get no traffic."""

    numbers: bytes
    unready: list[str]


class Answered(Message, frozen=True):
    """The answer to the question of that number."""

    number: int
    answer: bytes


Order = Begin | Take | Retire | Stop | Report | Reopen | Ask
Word = Prepared | Serving | Retired | Failed | Told | Answered
Heard = TypeVar("Heard", Order, Word)
_encode = msgspec.msgpack.Encoder().encode


class Channel(Generic[Heard]):
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kinds: object) -> None:
        self._reader, self._writer = reader, writer
        self._decoder: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(kinds)

    @classmethod
    async def open(cls, end: socket.socket, kinds: object) -> Self:
        """Return the channel over `end`, on which messages of `kinds` are heard."""
        reader, writer = await asyncio.open_connection(sock=end)
        return cls(reader, writer, kinds)

    def say(self, message: Message) -> None:
        """Send a message; does nothing when the other process has ended."""
        if not self._writer.is_closing():
            self._writer.write(framed(message))

    async def hear(self) -> Heard | None:
        """Return the next message, None when the other process has ended."""
        try:
            length = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))[0]
            return self._decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def end_hearing(self) -> None:
        """Let `hear` return None, as if the other process had ended."""
        self._reader.feed_eof()

    async def flush(self) -> None:
        """Wait until what was said has been sent, or cannot be."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """Let go of this end."""
        self._writer.close()


def framed(message: Message) -> bytes:
    """Return a message as it is sent."""
    data = _encode(message)
    return _LENGTH.pack(len(data)) + data


def first_order(end: socket.socket) -> Begin:
    """Wait for the order that is read before there is an event loop; EOFError when the supervisor has gone."""
    length = _LENGTH.unpack(_exactly(end, _LENGTH.size))[0]
    return msgspec.msgpack.decode(_exactly(end, length), type=Begin)


def _exactly(end: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = end.recv(length - len(data))
        if not piece:
            raise EOFError("the supervisor has gone")
        data += piece
    return data
