"""What a client sends once its connection is another protocol's: octets, handed on at the pace of whoever reads them."""

from edge.downstream.arriving import Arriving
from edge.downstream.content import Connection
from edge.policy.limits import Limits

_HIGH_WATER, _LOW_WATER = 256 << 10, 128 << 10


class Switched(Arriving):
    """The octets, up to the end of the connection.

    Attributes:
        is_full: whether so much waits to be read that no more should be taken off the wire.
    """

    __slots__ = ("_connection", "is_full")

    def __init__(self, limits: Limits, connection: Connection) -> None:
        super().__init__(limits, expects_continue=False, is_complete=False)
        self._connection = connection
        self.is_full = False

    def feed(self, data: bytes) -> None:
        """Take `data` off the wire."""
        self._add(data)
        self.is_full = self.is_full or self._size > _HIGH_WATER

    def end(self) -> None:
        """Take the clean end of what the client sends."""
        self.is_complete = True
        self._add(b"")

    def _go_on(self) -> None:
        """Do nothing: nobody waits for it."""

    def _took(self, size: int) -> None:
        if self.is_full and self._size < _LOW_WATER:
            self.is_full = False
            self._connection.regulate()
