"""TLS to an origin: a protocol towards the socket, a transport towards the connection.

The event loop's own TLS receives as much as it can hold, up to 768 KiB for each connection, whatever there is room for.
This one receives what the connection allows, and keeps no more of it than the record that has come in part.
"""

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, cast

from edge.upstream.pacing import MOST, Receiving, place

Data: TypeAlias = bytes | bytearray | memoryview
# So much is encrypted or decrypted at a time, as OpenSSL's buffers stay as large as they once were.
_SLICE = 16 << 10
# So many octets OpenSSL may answer by itself on one connection: an origin that asks for new keys (RFC 8446 §4.6.3) again
# and again is given up.
_MOST_ANSWERS = 16 << 10
# Decrypted into and copied out of within one callback, so that one is enough for all connections of a process.  What has
# come of a record before may come on top of what is received at once.
_plain = memoryview(bytearray(MOST + 2 * _SLICE))


class Carried(Receiving, Protocol):
    """The connection that is carried."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the handshake is done."""
        ...


class OriginTls(asyncio.BufferedProtocol, asyncio.Transport):
    """One connection, as a client; its other side is told of it once the handshake is done."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None, carried: Carried) -> None:
        """Carry a connection to an origin that shows a certificate for `server_name`; ValueError if that is none."""
        super().__init__()
        self._carried = carried
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._done = asyncio.get_running_loop().create_future()
        self._is_established = self._has_peer_ended = False
        self._answered = 0
        self._error: ssl.SSLError | None = None

    async def established(self) -> None:
        """Wait for the handshake, which OSError says has failed; it is given up if this is cancelled."""
        try:
            await self._done
        except BaseException:
            self._raw.abort()
            raise

    # What the socket's transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._raw = cast("asyncio.Transport", transport)
        self._shake_hands()
        if self._error is not None:
            self._give_up(self._error)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to put what comes."""
        return place(self._carried)

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has been put there."""
        received, size = place(self._carried, nbytes), 0
        for at in range(0, nbytes, _SLICE):
            self._incoming.write(received[at : at + _SLICE])
            if not self._is_established:
                self._shake_hands()
            if self._is_established:
                size += self._decrypt(_plain[size:])
            if self._error is not None:
                break
        if size:
            self._carried.data_received(bytes(_plain[:size]))
        if self._error is not None:
            self._give_up(self._error)
        elif self._has_peer_ended:
            self.eof_received()

    def eof_received(self) -> bool:
        """Pass on that the origin has ended, which the SSL object says was meant or not."""
        if self._is_established:
            self._carried.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is gone."""
        error = self._error or exc
        if self._is_established:
            self._carried.connection_lost(error)
        elif not self._done.done():
            self._done.set_exception(error or ConnectionResetError("the origin closed it during the TLS handshake"))

    def pause_writing(self) -> None:
        """Pass on that the origin is slow."""
        self._carried.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the origin has caught up."""
        self._carried.resume_writing()

    # What the connection calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """Return the SSL object, or what the socket's transport knows."""
        return self._ssl if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Do nothing: what is received is paced by the connection as it is."""

    def write(self, data: Data) -> None:
        """Encrypt and send."""
        view = memoryview(data)
        try:
            for at in range(0, len(view), _SLICE):
                self._ssl.write(view[at : at + _SLICE])
                self._send()
        except ssl.SSLError as error:
            self._give_up(error)

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        """Encrypt and send several pieces."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return that one direction cannot be closed: to too many peers, close_notify is the end of both."""
        return False

    def pause_reading(self) -> None:
        """Receive no more; what was received already is passed on."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._raw.resume_reading()

    def is_closing(self) -> bool:
        """Return whether nothing can be sent any more."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Send what is waiting and close_notify, and close."""
        # Raises because the origin has not said goodbye yet; ours is on its way then.
        with suppress(ssl.SSLError):
            self._ssl.unwrap()
        self._send()
        self._raw.close()

    def abort(self) -> None:
        """Break the connection off."""
        self._raw.abort()

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return
        except ssl.SSLError as error:
            self._error = error
            return
        self._send()
        self._is_established = True
        self._carried.connection_made(self)
        if not self._done.done():
            self._done.set_result(None)

    def _decrypt(self, into: memoryview) -> int:
        """Decrypt what there is, and return how much; the rest is not what it should be if there is an error then."""
        size = 0
        try:
            while not self._has_peer_ended:
                # With a buffer, it returns how much is there, which its types do not say.
                read = cast("int", self._ssl.read(len(into) - size, cast("bytearray", into[size:])))
                size += read
                self._has_peer_ended = not read
        except ssl.SSLWantReadError:
            self._answered += self._outgoing.pending
            self._send()
            if self._answered > _MOST_ANSWERS:
                self._error = ssl.SSLError("too many requests for new keys")
        except ssl.SSLError as error:
            self._error = error
        return size

    def _give_up(self, error: ssl.SSLError) -> None:
        """Send the alert that OpenSSL has made, if any, and break off."""
        self._error = error
        self._send()
        if self._is_established:
            self._raw.abort()
        else:
            self._raw.close()

    def _send(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())
