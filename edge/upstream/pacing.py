"""Receiving no more at once than a slow reader has room for: what is not received stays in the kernel, and with the origin."""

import asyncio
from typing import Protocol

# However little room there is, so much is received, which is most heads.
_LEAST = 1 << 10
#: So much is received at once, at most.
MOST = 256 << 10
# Read into and copied out of within one callback, so that one is enough for all connections of a process.
_buffer = memoryview(bytearray(MOST))


class Receiving(Protocol):
    """The connection whose octets these are."""

    def allowed(self) -> int:
        """Return how many octets may be received at once."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take octets."""
        ...

    def eof_received(self) -> bool:
        """Take the end."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that it is gone."""
        ...

    def pause_writing(self) -> None:
        """Write nothing more for now."""
        ...

    def resume_writing(self) -> None:
        """Write again."""
        ...


def place(connection: Receiving, size: int | None = None) -> memoryview:
    """Return where to put what comes for a connection next, or the first `size` octets of what has."""
    return _buffer[: min(max(connection.allowed(), _LEAST), MOST) if size is None else size]


class PacedProtocol(asyncio.BufferedProtocol):
    """Stands in for a connection, which without it is given up to 256,000 octets at once, whatever it says."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Receiving) -> None:
        self._connection = connection

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to put what comes."""
        return place(self._connection)

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has been put there."""
        self._connection.data_received(bytes(place(self._connection, nbytes)))

    def eof_received(self) -> bool:
        """Take the end."""
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that it is gone."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Write nothing more for now."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Write again."""
        self._connection.resume_writing()
