"""Which certificate a client is shown: contexts by server name, made from files and made anew when these change."""

import logging
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge.downstream.tls_files import Certificate, CertificateFiles, read_certificate
from edge.downstream.tls_tickets import TicketKeys, set_ticket_key, without_session_cache
from edge.errors import ParseError

log = logging.getLogger("edge.downstream")

# TLS 1.2: forward secrecy and authenticated encryption, nothing else.  Every suite of TLS 1.3 has both.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
#: RFC 8737 §6.2: by this protocol an authority asks for the certificate that answers its challenge.
ACME_TLS = "acme-tls/1"
_OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE


class TlsContexts:
    """The contexts of one listener.

    Attributes:
        front: the context that every handshake begins in.  It stays the same, and session tickets are its affair; the
            server name then decides on the context whose certificate is shown.
        certificates: what is shown, in the order of the configuration.
    """

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        *,
        protocols: Sequence[str],
        client_ca: Path | None = None,
        tickets: TicketKeys | None = None,
        answer: Callable[[str], Path | None] | None = None,
    ) -> None:
        """Read the certificates; ParseError, with a sentence, if one cannot be used.

        Args:
            files: the certificates; the first one is for clients that send no server name.
            protocols: what is offered by ALPN, the preferred one first.
            client_ca: certificates that sign those of the clients, each of which then needs one.
            tickets: the keys of session tickets, shared with other processes; None for keys of this context alone.
            answer: returns the file that answers a TLS-ALPN-01 challenge for a host, if there is one.
        """
        self._files = tuple(files)
        self._protocols = list(protocols)
        self._client_ca = client_ca
        self._tickets = tickets
        self._ticket_key = b""
        self._authorities = b""
        self._seen: object = None
        self._refused: object = None
        self._by_name: dict[str, ssl.SSLContext] = {}
        self.certificates: tuple[Certificate, ...] = ()
        self.load()
        self.front = self._context()
        without_session_cache(self.front)
        self.front.sni_callback = self._choose
        self._use_ticket_key()
        self._answer = answer

    def load(self) -> None:
        """Read all files and use what they hold from now on; OSError or ParseError, and nothing has changed."""
        seen = self._state()
        certificates = tuple(read_certificate(files) for files in self._files)
        authorities = b"" if self._client_ca is None else self._client_ca.read_bytes()
        by_name: dict[str, ssl.SSLContext] = {}
        contexts = [self._context(certificate.files) for certificate in certificates]
        for certificate, context in zip(certificates, contexts, strict=True):
            for name in certificate.names:
                by_name.setdefault(name, context)
        self._by_name, self._default = by_name, contexts[0]
        self.certificates, self._seen = certificates, seen
        self._authorities = authorities

    def refresh(self) -> None:
        """Load what has changed on disk; what cannot be used is said once and changes nothing."""
        state = self._state()
        if state not in {self._seen, self._refused}:
            self._load_again(state)
        self._use_ticket_key()

    def _load_again(self, state: object) -> None:
        try:
            self.load()
        except (OSError, ParseError) as error:
            self._refused = state
            log.warning("the certificates in use are kept: %s", error)
        else:
            log.info("new certificates: %s", ", ".join(certificate.names[0] for certificate in self.certificates))

    def for_authority(self, connection: ssl.SSLObject) -> None:
        """Go on with a handshake that an authority has begun; without a challenge, as with any other."""
        if self._answer is not None:
            front = _plain_context([ACME_TLS])
            front.sni_callback = self._choose_answer
            connection.context = front

    def _choose_answer(self, connection: ssl.SSLObject, name: str | None, _front: ssl.SSLContext) -> int | None:
        path = None if name is None or self._answer is None else self._answer(name)
        if path is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        context = _plain_context([ACME_TLS])
        try:
            context.load_cert_chain(path)
        except OSError:
            # The challenge is over at this moment.
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        return None

    def _choose(self, connection: ssl.SSLObject, name: str | None, _front: ssl.SSLContext) -> int | None:
        """Show the certificate for `name`: exact, then the wildcard above; a client without a name gets the first."""
        # RFC 6066 §3: an address is no server name, though some clients send one.
        if name is None or ":" in name or name.replace(".", "").isdigit():
            context: ssl.SSLContext | None = self._default
        else:
            name = name.lower()
            context = self._by_name.get(name) or self._by_name.get(f"*.{name.partition('.')[2]}")
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        return None

    def _context(self, files: CertificateFiles | None = None) -> ssl.SSLContext:
        context = _plain_context(self._protocols)
        if files is not None:
            with _naming(files.cert):
                # A password, so that nobody is asked for one.
                context.load_cert_chain(files.cert, files.key, password="")
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            with _naming(self._client_ca):
                context.load_verify_locations(self._client_ca)
        return context

    def _use_ticket_key(self) -> None:
        if self._tickets is None:
            return
        # A session counts as proof of a certificate, so it is only of use where the same authorities are asked for.
        key = self._tickets.key(self._authorities)
        if key != self._ticket_key:
            self._ticket_key = key
            set_ticket_key(self.front, key)

    def _state(self) -> tuple[object, ...]:
        return tuple(self._states())

    def _states(self) -> Iterator[object]:
        paths = [path for files in self._files for path in (files.cert, files.key)]
        for path in paths if self._client_ca is None else [*paths, self._client_ca]:
            try:
                stat = path.stat()
            except OSError:
                yield None
            else:
                yield stat.st_mtime_ns, stat.st_ino, stat.st_size


def _plain_context(protocols: list[str]) -> ssl.SSLContext:
    """Return a context without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= _OPTIONS
    context.set_alpn_protocols(protocols)
    return context


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make of what OpenSSL does not like about a file a sentence with its name."""
    try:
        yield
    except OSError as error:
        raise ParseError(f"{path} cannot be used: {error}") from error
