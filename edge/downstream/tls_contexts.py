"""Which certificate a client is shown and which it must show: contexts by server name, made anew when files change.

Whether a client is asked for a certificate, and which sessions are resumed, OpenSSL takes from the context that a
connection was made in; to change the context when the server name is known changes neither.  So there is a front for each
set of authorities, with a ticket key of its own.  All handshakes begin in the first one.  Where the server name belongs to
another, nothing has been answered yet, and the handshake begins anew there: with a connection that OpenSSL makes in that
context, and with the octets that have come so far.
"""

import logging
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.downstream.tls_files import Certificate, CertificateFiles, read_authorities, read_certificate
from edge.downstream.tls_openssl import prefer_suites, set_ticket_key, without_session_cache
from edge.downstream.tls_tickets import TicketKeys
from edge.errors import ParseError

log = logging.getLogger("edge.downstream")

# TLS 1.2: forward secrecy and authenticated encryption, nothing else.  Every suite of TLS 1.3 has both.
# 128 bits first, the suite that everybody has (RFC 8446 §9.1): nobody breaks them, and they cost less.
_CIPHERS = "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20"
_SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#: RFC 8737 §6.2: by this protocol an authority asks for the certificate that answers its challenge.
ACME_TLS = "acme-tls/1"
_OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
# The contexts with one certificate, by the fronts' `client_ca`.
_Shown = dict[str, ssl.SSLContext]


@dataclass(eq=False, slots=True)
class Front:
    """What handshakes begin in, and session tickets belong to; whose certificate is shown, the server name decides then.

    Attributes:
        context: it holds no certificate.
        client_ca: the file of the sites' authorities that have signed what every client here has shown, "" for none.
        authorities: what the clients' certificates are verified by, b"" when they need none.
        ticket_key: of the session tickets, b"" for one that OpenSSL makes.
    """

    context: ssl.SSLContext
    client_ca: str
    authorities: bytes
    ticket_key: bytes = b""


class Handshaking(ssl.SSLObject):
    """A connection, with the front in which its handshake has to begin anew, if the server name belongs to another."""

    elsewhere: Front | None = None


class TlsContexts:
    """The contexts of one listener.

    Attributes:
        certificates: what is shown, in the order of the configuration.
    """

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        *,
        protocols: Sequence[str],
        client_ca: Path | None = None,
        site_cas: Collection[str] = (),
        site_ca: Callable[[str], str] = lambda _name: "",
        tickets: TicketKeys | None = None,
        answer: Callable[[str], Path | None] | None = None,
    ) -> None:
        """Read the certificates; ParseError, with a sentence, if one cannot be used.

        Args:
            files: the certificates; the first one is for clients that send no server name.
            protocols: what is offered by ALPN, the preferred one first.
            client_ca: certificates that sign those of the clients, each of which then needs one.
            site_cas: the files of those that sites want; what is in `client_ca` as well counts, where there is that.
            site_ca: returns which of these files holds for a server name, or for a client that sends none: "".
            tickets: the keys of session tickets, shared with other processes; None for keys of this context alone.
            answer: returns the file that answers a TLS-ALPN-01 challenge for a host, if there is one.
        """
        self._files = tuple(files)
        self._protocols = list(protocols)
        self._client_ca = client_ca
        self._site_cas, self._site_ca = tuple(site_cas), site_ca
        self._tickets = tickets
        self._seen: object = None
        self._refused: object = None
        self._fronts: dict[str, Front] = {}
        self._by_name: dict[str, _Shown] = {}
        self.certificates: tuple[Certificate, ...] = ()
        self.load()
        self._use_ticket_keys()
        self._answer = answer

    @property
    def front(self) -> Front:
        """What every handshake begins in; it stays the same unless other authorities are in `client_ca`."""
        return self._fronts[""]

    def load(self) -> None:
        """Read all files and use what they hold from now on; OSError or ParseError, and nothing has changed."""
        seen = self._state()
        certificates = tuple(read_certificate(files) for files in self._files)
        fronts = {client_ca: self._front(client_ca) for client_ca in ("", *self._site_cas)}
        by_name: dict[str, _Shown] = {}
        contexts = [
            {client_ca: self._context(front.authorities, certificate.files) for client_ca, front in fronts.items()}
            for certificate in certificates
        ]
        for certificate, shown in zip(certificates, contexts, strict=True):
            for name in certificate.names:
                by_name.setdefault(name, shown)
        self._by_name, self._default, self._fronts = by_name, contexts[0], fronts
        self.certificates, self._seen = certificates, seen

    def refresh(self) -> None:
        """Load what has changed on disk; what cannot be used is said once and changes nothing."""
        state = self._state()
        if state not in {self._seen, self._refused}:
            self._load_again(state)
        self._use_ticket_keys()

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

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        """Show the certificate for `name`: exact, then the wildcard above; a client without a name gets the first."""
        # RFC 6066 §3: an address is no server name, though some clients send one.
        if name is None or ":" in name or name.replace(".", "").isdigit():
            name, shown = "", self._default
        else:
            name = name.lower()
            found = self._by_name.get(name) or self._by_name.get(f"*.{name.partition('.')[2]}")
            if found is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            shown = found
        front = self._fronts[self._site_ca(name)]
        if front.context is not context and isinstance(connection, Handshaking):
            connection.elsewhere = front
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = shown[front.client_ca]
        return None

    def _front(self, client_ca: str) -> Front:
        """Return a front, which is the present one as long as the authorities are the same."""
        paths = [*([Path(client_ca)] if client_ca else []), *([self._client_ca] if self._client_ca else [])]
        authorities = read_authorities(*paths) if paths else b""
        present = self._fronts.get(client_ca)
        if present is not None and present.authorities == authorities:
            return present
        context = self._context(authorities)
        without_session_cache(context)
        context.sni_callback = self._choose
        return Front(context, client_ca, authorities)

    def _context(self, authorities: bytes, files: CertificateFiles | None = None) -> ssl.SSLContext:
        context = _plain_context(self._protocols)
        if files is not None:
            with _naming(files.cert):
                # A password, so that nobody is asked for one.
                context.load_cert_chain(files.cert, files.key, password="")
        if authorities:
            context.verify_mode = ssl.CERT_REQUIRED
            # An authority need not be a root.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata=authorities)
        return context

    def _use_ticket_keys(self) -> None:
        if self._tickets is None:
            return
        for front in self._fronts.values():
            # A session counts as proof of a certificate, so it is only of use where the same authorities are asked for.
            key = self._tickets.key(front.authorities)
            if key != front.ticket_key:
                front.ticket_key = key
                set_ticket_key(front.context, key)

    def _state(self) -> tuple[object, ...]:
        return tuple(self._states())

    def _states(self) -> Iterator[object]:
        paths = [path for files in self._files for path in (files.cert, files.key)]
        paths += [*map(Path, self._site_cas), *([self._client_ca] if self._client_ca else [])]
        for path in paths:
            try:
                stat = path.stat()
            except OSError:
                yield None
            else:
                yield stat.st_mtime_ns, stat.st_ino, stat.st_size


def _plain_context(protocols: list[str]) -> ssl.SSLContext:
    """Return a context without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Handshaking
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    prefer_suites(context, _SUITES)
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
