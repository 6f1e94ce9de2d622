"""Contents on the wire: for each its SHA-256 (32 octets), its length (8, big-endian), and itself."""

from edge.errors import ParseError
from edge.published.blobs import Blobs, Incoming

#: The media type, and the codings of the transfer that it may come in.
MEDIA_TYPE, CODINGS = "application/vnd.foreland.bundle", ("identity", "gzip", "deflate")
_HEAD = 40


class Bundle:
    """A bundle as it comes in."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs, self._buffer = blobs, bytearray()
        self._incoming: Incoming | None = None
        self.count = 0

    def feed(self, data: bytes) -> None:
        """Take what has come.

        Raises:
            ParseError: it is not of this form.
            StoreDamaged: a content is not what its hash says.
            StoreFull: there is no room.
        """
        self._buffer += data
        self._take()

    def end(self) -> None:
        """Note that all has come; ParseError if that cannot be all."""
        if self._buffer or self._incoming is not None:
            raise ParseError("the bundle ends in the middle")

    def drop(self) -> None:
        """Forget the content that is not whole."""
        if self._incoming is not None:
            self._incoming.drop()

    def _take(self) -> None:
        while True:
            if self._incoming is None:
                if len(self._buffer) < _HEAD:
                    return
                size = int.from_bytes(self._buffer[32:_HEAD], "big")
                self._incoming = self._blobs.incoming(self._buffer[:32].hex(), size)
                del self._buffer[:_HEAD]
            incoming = self._incoming
            part = bytes(self._buffer[: incoming.left])
            del self._buffer[: len(part)]
            if part:
                incoming.write(part)
            if incoming.left:
                return
            incoming.finish()
            self._incoming = None
            self.count += 1
