"""Certificates as files: what one is for, and everything that is wrong with it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from edge.errors import ParseError


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with the chain behind it, and its key, both PEM; may be one file."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that can be used.

    Attributes:
        files: where it is.
        names: the DNS names it is for, in lower case.
        addresses: the IP addresses it is for.
        not_before, not_after: wall clock, seconds.
    """

    files: CertificateFiles
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    not_before: float
    not_after: float

    def covers(self, host: str) -> bool:
        """Return whether it is for `host`, which may itself be a wildcard (RFC 9525 §6.3)."""
        return host in self.names or host in self.addresses or f"*.{host.partition('.')[2]}" in self.names

    def out_of_date(self, now: float) -> str:
        """Return a sentence about a certificate that no client accepts at `now`, "" about any other."""
        if now >= self.not_after:
            return f"{self.files.cert} expired at {_moment(self.not_after)}"
        if now < self.not_before:
            return f"{self.files.cert} is not valid before {_moment(self.not_before)}"
        return ""


def read_certificate(files: CertificateFiles) -> Certificate:
    """Return the certificate in `files`; ParseError with a sentence if it and its key cannot be used together."""
    chain = read_chain(files.cert)
    leaf = chain[0]
    if _public_octets(leaf) != _key_octets(files.key):
        raise ParseError(f"{files.key} is not the key of {files.cert}")
    for number, (issued, issuer) in enumerate(pairwise(chain), start=1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise ParseError(f"{files.cert}: certificate {number} is not issued by the one after it") from error
    names, addresses = _names(leaf)
    if not names and not addresses:
        raise ParseError(f"{files.cert} is for no DNS name: it has no subjectAltName")
    return Certificate(
        files, names, addresses, leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    )


def read_chain(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a file, at least one; ParseError with a sentence if there are none."""
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise ParseError(f"{path} holds no certificate in PEM") from error


def read_authorities(*paths: Path) -> bytes:
    """Return the certificates that are in every one of these files, DER, the same octets for the same certificates.

    ParseError with a sentence if a file holds none, or if they have none in common.
    """
    common = set.intersection(
        *({authority.public_bytes(Encoding.DER) for authority in read_chain(path)} for path in paths)
    )
    if not common:
        raise ParseError(f"no authority is in {' and in '.join(map(str, paths))}: no client could show a certificate")
    return b"".join(sorted(common))


def _key_octets(path: Path) -> bytes:
    try:
        key = load_pem_private_key(_read(path), password=None)
    except TypeError as error:
        raise ParseError(f"{path} needs a password, which a server cannot ask for") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ParseError(f"{path} holds no private key in PEM") from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_octets(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    names = tuple(name.lower() for name in extension.get_values_for_type(x509.DNSName))
    return names, tuple(str(address) for address in extension.get_values_for_type(x509.IPAddress))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ParseError(f"{path} cannot be read: {error.strerror}") from error


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
