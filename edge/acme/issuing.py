"""One order, from the account to the certificate, with the library `acme`; everything here blocks (RFC 8555 §7)."""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from edge import private_file
from edge.acme.folder import Folder, alpn_name
from edge.acme.keeper import NotIssued

Challenge = Literal["http-01", "tls-alpn-01"]

_USER_AGENT = "foreland"
_ANSWER_SECONDS, _ORDER_SECONDS = 30, 180
# So often is a request sent with other nonces; each time the library tries twice.
_NONCES = 8
# RFC 8737 §6.1.
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_A_WEEK = timedelta(days=7)


@challenges.ChallengeResponse.register
class _TlsAlpn01Response(challenges.KeyAuthorizationChallengeResponse):
    typ = "tls-alpn-01"


@challenges.Challenge.register
class _TlsAlpn01(challenges.KeyAuthorizationChallenge):
    """The challenge that the library no longer has."""

    response_cls = _TlsAlpn01Response
    typ = response_cls.typ

    def validation(self, account_key: JWK, **_: Any) -> bytes:  # noqa: ANN401 - as the library has it
        """Return the digest that the certificate is to carry."""
        return hashlib.sha256(self.key_authorization(account_key).encode()).digest()


@dataclass(frozen=True, slots=True)
class Authority:
    """Where certificates come from, and what it is told of the operator.

    Attributes:
        directory: its URL.
        contact: mail addresses.
        ca_file: what signs its own certificate, None for the authorities of the system.
        challenges: the ones that may be answered, the preferred one first.
    """

    directory: str
    contact: tuple[str, ...]
    ca_file: Path | None
    challenges: tuple[Challenge, ...]


class _Network(client.ClientNetwork):
    """Sends what is signed; again with another nonce when one is refused (RFC 8555 §6.5), which the library does once."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as the library has it
        for _ in range(_NONCES - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)


def issue(authority: Authority, folder: Folder, names: tuple[str, ...]) -> None:
    """Order a certificate for `names` and put it, behind its new key, in its file.

    The operator has agreed to the terms of service.

    Raises:
        NotIssued: with a sentence; the file is as it was.
    """
    try:
        key = ec.generate_private_key(ec.SECP256R1())
        account = _account(authority, folder)
        chain = _ordered(account, authority, folder, crypto_util.make_csr(_pem(key), list(names)))
        private_file.write(folder.certificate(names), _pem(key) + chain.encode())
    except (errors.ValidationError, errors.Error, requests.RequestException, JoseError) as error:
        raise NotIssued(_sentence(error)) from error
    except (OSError, ValueError) as error:
        raise NotIssued(str(error)) from error
    except (LookupError, AttributeError, TypeError) as error:
        # The library takes what the authority says for complete.
        raise NotIssued(f"the authority's answer makes no sense: {error!r}") from error


def _account(authority: Authority, folder: Folder) -> client.ClientV2:
    """Return a client with the account of the key that is kept, made if there is none."""
    network = _Network(_account_key(folder), alg=ES256, user_agent=_USER_AGENT, timeout=_ANSWER_SECONDS)
    if authority.ca_file is not None:
        network.verify_ssl = str(authority.ca_file)  # type: ignore[assignment]  # given to requests, which takes both
    account = client.ClientV2(client.ClientV2.get_directory(authority.directory, network), network)
    wanted = messages.NewRegistration(
        contact=tuple(f"mailto:{address}" for address in authority.contact), terms_of_service_agreed=True
    )
    try:
        account.new_account(wanted)
    except errors.ConflictError as error:
        # RFC 8555 §7.3.1: the key has an account, and this is where.
        network.account = messages.RegistrationResource(body=wanted, uri=error.location)
    return account


def _account_key(folder: Folder) -> JWKEC:
    if not folder.account_key.exists():
        private_file.write(folder.account_key, _pem(ec.generate_private_key(ec.SECP256R1())))
    return JWKEC(key=load_pem_private_key(folder.account_key.read_bytes(), password=None))


def _ordered(account: client.ClientV2, authority: Authority, folder: Folder, request: bytes) -> str:
    """Return the certificate chain that is asked for by `request`, once every challenge is answered."""
    order = account.new_order(request)
    with ExitStack() as open_answers:
        for each in order.authorizations:
            if each.body.status != messages.STATUS_PENDING:
                continue
            body = _chosen(each.body, authority.challenges)
            challenge, key = body.chall, account.net.key
            if isinstance(challenge, challenges.HTTP01):
                name, answer = challenge.encode("token"), challenge.validation(key).encode()
            else:
                host = each.body.identifier.value
                name, answer = alpn_name(host), _challenge_certificate(host, challenge.validation(key))
            open_answers.enter_context(folder.answering(name, answer))
            account.answer_challenge(body, challenge.response(key))
        # The library compares local times without a zone.
        deadline = datetime.now() + timedelta(seconds=_ORDER_SECONDS)  # noqa: DTZ005
        return account.poll_and_finalize(order, deadline).fullchain_pem


def _chosen(authorization: messages.Authorization, wanted: Sequence[Challenge]) -> messages.ChallengeBody:
    offered = {body.chall.typ: body for body in authorization.challenges}
    for each in wanted:
        if each in offered:
            return offered[each]
    raise NotIssued(
        f"for {authorization.identifier.value} the authority offers {', '.join(offered)}, of which none may be answered"
    )


def _challenge_certificate(host: str, digest: bytes) -> bytes:
    """Return key and certificate that answer a TLS-ALPN-01 challenge (RFC 8737 §3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ACME challenge")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _A_WEEK)
        .not_valid_after(now + _A_WEEK)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        # An octet string of 32 octets.
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, b"\x04\x20" + digest), critical=True)
        .sign(key, SHA256())
    )
    return _pem(key) + certificate.public_bytes(Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _sentence(error: Exception) -> str:
    """Return what went wrong in one line, with the authority's own words where it has any."""
    if isinstance(error, errors.ValidationError):
        failed = [
            f"{each.body.identifier.value}: {challenge.error.detail}"
            for each in error.failed_authzrs
            for challenge in each.body.challenges
            if challenge.error is not None
        ]
        return "; ".join(failed)
    if isinstance(error, errors.TimeoutError):
        return "the authority did not decide in time"
    return " ".join(str(error).split()) or type(error).__name__
