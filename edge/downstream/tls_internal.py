"""`tls = "internal"`: a certificate authority of this node, and a certificate that renews itself."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge import private_file
from edge.downstream.tls_files import CertificateFiles, read_certificate
from edge.errors import ParseError

#: How long the authority and its certificates last; a certificate is renewed when a third of its time is left.
CA_LIFETIME, LIFETIME = timedelta(days=3650), timedelta(days=30)
# For clients whose clock is behind.
_SKEW = timedelta(hours=1)


class InternalAuthority:
    """The authority in one directory, which several processes may share.

    Attributes:
        ca: the file with the certificate that clients are to trust.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.ca = directory / "ca.pem"
        self._ca_key = directory / "ca.key"

    def ensure(self, now: float) -> None:
        """Make the authority if there is none; OSError if the directory cannot be used."""
        with self._locked():
            self._ensure(_moment(now))

    def certificate(self, names: Sequence[str], now: float) -> CertificateFiles:
        """Return a certificate for `names`, DNS names or IP addresses, new if the last one is old or for others.

        Raises:
            OSError: the directory cannot be used.
            ParseError: the authority in it cannot be used.
        """
        path = self._directory / "internal.pem"
        files = CertificateFiles(path, path)
        with self._locked():
            self._ensure(_moment(now))
            if not self._is_good(files, names, now):
                # Certificate and key in one file are replaced in one step.
                private_file.write(path, self._issue(names, _moment(now)))
        return files

    def _ensure(self, now: datetime) -> None:
        if self.ca.exists() and self._ca_key.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Foreland local CA {now:%Y-%m-%d}")])
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(name, name, key.public_key(), now, CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, SHA256())
        )
        private_file.write(self._ca_key, _key_octets(key))
        private_file.write(self.ca, certificate.public_bytes(Encoding.PEM))

    def _issue(self, names: Sequence[str], now: datetime) -> bytes:
        ca, ca_key = self._authority()
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _builder(x509.Name([]), ca.subject, key.public_key(), now, LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # RFC 5280 §4.2.1.6: critical, because the subject is empty.
            .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(ca_key, SHA256())
        )
        return _key_octets(key) + certificate.public_bytes(Encoding.PEM)

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        try:
            ca = x509.load_pem_x509_certificate(self.ca.read_bytes())
            key = load_pem_private_key(self._ca_key.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise ParseError(f"{self.ca} or {self._ca_key} is damaged: remove both for a new authority") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ParseError(f"{self._ca_key} is not a key that was made here")
        return ca, key

    def _is_good(self, files: CertificateFiles, names: Sequence[str], now: float) -> bool:
        try:
            last = read_certificate(files)
            issued = x509.load_pem_x509_certificate(files.cert.read_bytes())
            issued.verify_directly_issued_by(self._authority()[0])
        except (ParseError, InvalidSignature, ValueError):
            return False
        is_young = last.not_before <= now < last.not_after - LIFETIME.total_seconds() / 3
        return is_young and _general_names([*last.names, *last.addresses]) == _general_names(names)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_octets(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
