"""Certificates for tests, and clients that trust them."""

import ssl
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from edge.downstream.listener import PROTOCOLS, Listener
from edge.downstream.tls_contexts import TlsContexts
from edge.downstream.tls_files import CertificateFiles
from tests.downstream.talking import Client, Talking, hearing

CA = trustme.CA()


def issue(directory: Path, *names: str, ca: trustme.CA = CA, days: int = 365, stem: str = "") -> CertificateFiles:
    """Write a certificate for `names`, which expires in `days`, and its key."""
    issued = ca.issue_cert(*names, not_after=datetime.now(UTC) + timedelta(days=days))
    stem = stem or names[0].replace("*", "any")
    files = CertificateFiles(directory / f"{stem}.pem", directory / f"{stem}.key")
    issued.private_key_pem.write_to_path(files.key)
    files.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return files


def trusting(**choices: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a client's context; `choices` are its attributes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    CA.configure_trust(context)
    for name, value in choices.items():
        setattr(context, name, value)
    return context


class Secure:
    """A TLS listener in a test, and what it counted."""

    def __init__(self, talking: Talking, listener: Listener, port: int, counted: Counter[str]) -> None:
        self.talking, self.listener, self.port, self.counted = talking, listener, port, counted

    @classmethod
    async def start(cls, talking: Talking, *files: CertificateFiles, handle=None, limits=None, **choices) -> "Secure":
        counted: Counter[str] = Counter()
        contexts = TlsContexts(files, protocols=PROTOCOLS, **choices)
        listener, port = await talking.listener(
            handle or hearing(), limits, tls=contexts, count=lambda event: counted.update([event])
        )
        return cls(talking, listener, port, counted)

    async def client(self, name: str = "a.test", context: ssl.SSLContext | None = None, **options) -> Client:
        return await self.talking.client(self.port, ssl=context or trusting(), server_hostname=name, **options)

    async def plain(self, **options: int) -> Client:
        return await self.talking.client(self.port, **options)
