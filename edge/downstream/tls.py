"""TLS on an accepted connection: a protocol towards the socket, a transport towards HTTP.

asyncio's own TLS closes a failed handshake without sending the alert that tells the client why, and cannot be given
what was read before it.  This one is as fast on the way of a response: encrypt, and write once.  What a slow client does
not take waits as it was given, which many can share, and is encrypted when its turn comes.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from edge.downstream.tls_contexts import ACME_TLS, Front, Handshaking, TlsContexts
from edge.downstream.tls_handshake import Handshake, failure, go_on

if TYPE_CHECKING:
    from edge.downstream.listener import Listener

# RFC 8446 §5.1: the first octet of every client's first record.
_HANDSHAKE_RECORD = 22
_PIECE = 64 << 10
# So much is encrypted at a time, in whole records (RFC 8446 §5.1), as OpenSSL's buffer stays as large as it once was;
# and so often before it is sent, as each sending wakes the client.
_BATCH, _BATCHES = 64 << 10, 8
_ADVICE = b"400 this port speaks TLS: ask for https:// instead\n"
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
) % (len(_ADVICE), _ADVICE)
_NEVER = float("inf")
# So much is decrypted at a time, and so many octets OpenSSL may answer by itself on one connection: a client that asks
# for new keys once in a while (RFC 8446 §4.6.3) is served for ever, and one that asks again and again costs little.
_SLICE, _MOST_ANSWERS = 16 << 10, 1 << 10
#: What a transport is given.
Data: TypeAlias = bytes | bytearray | memoryview
#: Counted when TLS breaks after the handshake.
BROKEN = "tls-broken"


# As it stands among the protocols of a ClientHello.
_ACME_TLS = b"\x0a" + ACME_TLS.encode("ascii")


class Tls(asyncio.Protocol, asyncio.Transport):
    """One connection; HTTP takes it over, as its transport, once the handshake is done."""

    def __init__(self, listener: "Listener", contexts: TlsContexts, client: str | None = None) -> None:
        """Serve with `contexts`; `client` is who the client is if it is not the peer."""
        super().__init__()
        self._listener = listener
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._contexts = contexts
        self._begin_in(contexts.front)
        # What has come so far, as long as nothing was answered to it.
        self._hello: bytearray | None = bytearray()
        self._app: asyncio.Protocol | None = None
        self._deadline = _NEVER
        # While what has arrived is dealt with, what is answered waits, to be sent with one call: tickets and the first
        # response, or the last one and close_notify.
        self._is_holding = False
        # What waits to be encrypted, until the socket takes more.
        self._unsent: deque[Data] = deque()
        self._waiting = 0
        self._is_full = False
        self._answered = 0
        self._has_begun = False
        self._is_reading = True
        self._is_deaf = False
        self._is_closing = False
        self._has_ended = False
        self._has_peer_ended = False

    # What the socket's transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client to begin."""
        self._raw = cast("asyncio.Transport", transport)
        self._deadline = self._loop.time() + self._listener.limits.handshake_timeout
        self._listener.arrived(self)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or pass on what was encrypted."""
        if not self._has_begun:
            self._has_begun = True
            if data[0] != _HANDSHAKE_RECORD:
                self._refuse_plain(data)
                return
            if _ACME_TLS in data:
                self._contexts.for_authority(self._ssl)
        self._is_holding = True
        for at in range(0, len(data), _SLICE):
            if self._is_deaf:
                break
            self._incoming.write(data[at : at + _SLICE])
            if self._app is None:
                if self._hello is not None:
                    self._hello += data[at : at + _SLICE]
                self._shake_hands()
            if self._app is not None:
                self._deliver()
        self._send()

    def eof_received(self) -> bool:
        """Keep a half-closed connection open while an answer is owed."""
        self._has_peer_ended = True
        if self._app is not None and not self._is_closing and self._app.eof_received():
            return True
        if self._waiting:
            # Behind it, `_end` closes.
            self.close()
        return self._waiting > 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Let whoever is there know that the client is gone."""
        self._is_closing = self._is_deaf = True
        self._drop()
        self._listener.left(self)
        if self._app is not None:
            self._app.connection_lost(exc)
        elif self._deadline != _NEVER:
            self._end_handshake(Handshake.CLIENT_CLOSED)

    def pause_writing(self) -> None:
        """Pass on that the client is slow."""
        self._is_full = True
        if self._app is not None:
            self._app.pause_writing()

    def resume_writing(self) -> None:
        """Send what waits, and pass on that the client has caught up once it has."""
        self._is_full = False
        self._pump()
        if self._app is not None and not self._is_full:
            self._app.resume_writing()

    # What the listener calls.

    def check(self, now: float) -> None:
        """Give up what takes too long: a handshake, or the client's part of closing."""
        if now < self._deadline:
            return
        if self._app is None:
            self._reset(Handshake.TIMEOUT)
        elif self.get_write_buffer_size():
            # HTTP decides how slow a client may be.
            self._deadline = now + self._listener.limits.drain_timeout
        else:
            self._raw.abort()

    def give_up(self) -> None:
        """Give up the handshake: there are too many, or the node stops."""
        self._reset(Handshake.GIVEN_UP)

    # What HTTP calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """Return the SSL object, or what the socket's transport knows."""
        return self._ssl if name == "ssl_object" else self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from now on."""
        self._app = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return what is delivered to."""
        return self if self._app is None else self._app

    def write(self, data: Data) -> None:
        """Encrypt and send; ignored once nothing more may be sent."""
        if not data or self._is_closing or self._has_ended:
            return
        if self._waiting or len(data) > _BATCH:
            self.writelines((data,))
        elif self._encrypt(data):
            self._flush()

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        """Encrypt and send several pieces, joined: a record for each would cost both sides more than the copy."""
        if self._is_closing or self._has_ended:
            return
        for piece in list_of_data:
            if piece:
                self._unsent.append(piece)
                self._waiting += len(piece)
        self._pump()

    def pause_reading(self) -> None:
        """Decrypt, and read, no more."""
        self._is_reading = False
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on with what was read already, then with the socket."""
        self._is_reading = True
        self._raw.resume_reading()
        if self._incoming.pending or self._ssl.pending():
            self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        """Return whether what arrives is delivered."""
        return self._is_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how much may wait for a slow client encrypted, no more than a batch; the rest waits as it is."""
        self._raw.set_write_buffer_limits(_BATCH if high is None else min(high, _BATCH), low)

    def get_write_buffer_size(self) -> int:
        """Return how many octets wait, encrypted or not yet."""
        return self._raw.get_write_buffer_size() + self._outgoing.pending + self._waiting

    def can_write_eof(self) -> bool:
        """Return that one direction can be closed (RFC 8446 §6.1)."""
        return True

    def write_eof(self) -> None:
        """Send close_notify and end our side; what still comes is dropped, which leaves the client time to read."""
        if self._has_ended:
            return
        self._has_ended = self._is_deaf = True
        if not self._waiting:
            self._end()

    def is_closing(self) -> bool:
        """Return whether nothing can be sent any more."""
        return self._is_closing or self._raw.is_closing()

    def close(self) -> None:
        """Send what is waiting and close_notify, and close once the client has closed too, or takes too long."""
        if self._is_closing:
            return
        self.write_eof()
        self._is_closing = True
        if self._has_peer_ended:
            if not self._waiting:
                self._raw.close()
            return
        if not self._is_reading:
            self.resume_reading()
        self._deadline = self._loop.time() + self._listener.limits.drain_timeout
        self._listener.leaving(self)

    def abort(self) -> None:
        """Break the connection off, without close_notify, so that nothing passes for whole."""
        self._is_closing = self._is_deaf = True
        self._drop()
        self._send()
        self._raw.abort()

    # The handshake.

    def _begin_in(self, front: Front) -> None:
        self._front = front
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = cast("Handshaking", front.context.wrap_bio(self._incoming, self._outgoing, server_side=True))

    def _shake_hands(self) -> None:
        try:
            go_on(self._ssl)
        except ssl.SSLWantReadError:
            if self._outgoing.pending:
                self._hello = None
            self._flush()
            return
        except ssl.SSLError as error:
            if self._ssl.elsewhere is not None and self._hello is not None:
                hello, self._hello = self._hello, None
                self._begin_in(self._ssl.elsewhere)
                self._incoming.write(hello)
                self._shake_hands()
                return
            # What waits to be sent now is the alert.
            self._send()
            self._end_handshake(failure(error))
            self._is_deaf = True
            self._raw.close()
            return
        self._flush()
        self._end_handshake(Handshake.RESUMED if self._ssl.session_reused else Handshake.FULL)
        if self._ssl.selected_alpn_protocol() == ACME_TLS:
            # RFC 8737 §3: it has seen the certificate, and nothing else is said.
            self._is_deaf = True
            self._say_goodbye()
            self._raw.close()
            return
        self._app = self._listener.protocol(self._ssl.selected_alpn_protocol(), self._client, self._front.client_ca)
        self._app.connection_made(self)

    def _end_handshake(self, ended: Handshake) -> None:
        self._deadline = _NEVER
        self._listener.settled(self)
        self._listener.count(ended.value)

    def _reset(self, why: Handshake) -> None:
        self._end_handshake(why)
        self.abort()

    def _refuse_plain(self, data: bytes) -> None:
        """Tell a person with a browser what is wrong; nothing else that does not speak TLS needs an answer."""
        self._end_handshake(Handshake.NOT_TLS)
        self._is_deaf = True
        if data[:1].isalpha():
            self._raw.write(_NOT_TLS)
        self._raw.close()

    # After the handshake.

    def _deliver(self) -> None:
        """Pass on what can be decrypted."""
        app = cast("asyncio.Protocol", self._app)
        held = 0
        try:
            while self._is_reading and not self._is_deaf:
                held = self._outgoing.pending
                data = self._ssl.read(_PIECE)
                if not data:
                    self._has_peer_ended = self._is_deaf = True
                    if not app.eof_received():
                        self.close()
                    return
                self._flush_answers(held)
                app.data_received(data)
                if not self._incoming.pending and not self._ssl.pending():
                    break
        except ssl.SSLWantReadError:
            self._flush_answers(held)
        except ssl.SSLError:
            self._break()

    def _flush_answers(self, held: int) -> None:
        """Send what OpenSSL answers by itself: a key update to one, an alert to a renegotiation; `held` waited before."""
        if self._outgoing.pending > held:
            self._answered += self._outgoing.pending - held
            self._flush()
            if self._answered > _MOST_ANSWERS:
                self._break()

    def _break(self) -> None:
        """Send the alert that OpenSSL has made, if any, and reset."""
        self._listener.count(BROKEN)
        self._send()
        self.abort()

    def _encrypt(self, data: Data) -> bool:
        """Encrypt; return whether it could."""
        try:
            self._ssl.write(data)
        except ssl.SSLError:
            self._break()
            return False
        return True

    def _pump(self) -> None:
        """Encrypt and send what waits for as long as the socket takes it, and then the end if there is one."""
        if not self._unsent:
            return
        while self._unsent and not self._is_full:
            encrypted: list[bytes] = []
            while self._unsent and len(encrypted) < _BATCHES:
                if not self._encrypt(self._batch()):
                    return
                encrypted.append(self._outgoing.read())
            self._raw.writelines(encrypted)
        if self._has_ended and not self._unsent:
            self._end()

    def _batch(self) -> Data:
        """Take what is encrypted next off what waits."""
        batch: list[Data] = []
        room = _BATCH
        while self._unsent and room:
            piece = self._unsent.popleft()
            if len(piece) > room:
                piece = memoryview(piece)
                self._unsent.appendleft(piece[room:])
                piece = piece[:room]
            batch.append(piece)
            room -= len(piece)
        self._waiting -= _BATCH - room
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def _drop(self) -> None:
        """Let go of what waits: nothing more is sent."""
        self._unsent.clear()
        self._waiting = 0

    def _end(self) -> None:
        """Say goodbye and end our side, or all of it if the client has ended its own."""
        self._say_goodbye()
        if self._is_closing and self._has_peer_ended:
            self._raw.close()
        elif not self._raw.is_closing():
            self._raw.write_eof()

    def _say_goodbye(self) -> None:
        with suppress(ssl.SSLError):
            # Raises because the client has not said goodbye yet; ours is on its way then.
            self._ssl.unwrap()
        self._send()

    def _flush(self) -> None:
        """Send what waits, or let it wait for more to be sent with it."""
        if not self._is_holding or self._outgoing.pending > _PIECE:
            self._send()

    def _send(self) -> None:
        self._is_holding = False
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())
