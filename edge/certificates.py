"""The certificates of a node: from its configuration to the contexts of its listeners, and what is wrong with them."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from itertools import product

from edge.acme.folder import Folder
from edge.clock import Clock
from edge.config.model import Config, Listener
from edge.config.tls import certifiable
from edge.downstream.listener import PROTOCOLS
from edge.downstream.tls_contexts import TlsContexts
from edge.downstream.tls_files import Certificate, CertificateFiles, read_authorities, read_certificate
from edge.downstream.tls_internal import InternalAuthority
from edge.downstream.tls_tickets import TicketKeys
from edge.errors import ParseError
from edge.exchange.site import Site, Sites

log = logging.getLogger("edge")

#: How often files are looked at for what others changed, and for what has to be renewed here, in seconds.
_INTERVAL, _RENEWAL_INTERVAL = 1.0, 600.0
#: A certificate that expires sooner is worth a word, in seconds.
_SOON = 14 * 86_400.0
#: What public authorities put into one certificate at most.
_MOST_NAMES = 100


class Certificates:
    """What the TLS listeners of a node show, kept up to date."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._authority = authority(config)
        self._acme = acme_folder(config)
        self._tickets = TicketKeys(config.cache.path / "tls" / "tickets", clock)
        self._contexts: list[TlsContexts] = []
        # As the exchange finds them: what is asked for in the handshake is what a request needs.
        self._sites = Sites(
            Site(site.name, tuple(map(str.encode, site.hosts)), site.origin, client_ca=str(site.client_ca or ""))
            for site in config.sites
        )
        self._renewed = 0.0
        self._complaint = ""

    def contexts(self, listener: Listener) -> TlsContexts | None:
        """Return what `listener` shows, None if it speaks plain HTTP.

        Raises:
            ParseError: a certificate cannot be used.
            OSError: the node directory cannot.
        """
        if listener.tls is None:
            return None
        contexts = TlsContexts(
            self._files(listener),
            protocols=PROTOCOLS,
            client_ca=listener.client_ca,
            site_cas={str(site.client_ca) for site in self._config.sites if site.client_ca is not None},
            site_ca=self._site_ca,
            tickets=self._tickets,
            answer=self._acme.alpn_certificate if uses_acme(self._config) else None,
        )
        for certificate in contexts.certificates:
            if problem := certificate.out_of_date(self._clock.now()):
                log.warning("%s", problem)
        self._contexts.append(contexts)
        return contexts

    def _site_ca(self, name: str) -> str:
        site = self._sites.find(name.encode())
        return "" if site is None else site.client_ca

    def expiries(self) -> list[tuple[str, float]]:
        """Return the first name of each certificate that is shown, and when it expires."""
        certificates = [certificate for contexts in self._contexts for certificate in contexts.certificates]
        return list({_title(certificate): certificate.not_after for certificate in certificates}.items())

    async def keep_up(self) -> None:
        """Renew what is made here and load what was replaced, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                self._refresh()
            except (OSError, ParseError) as error:
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    log.warning("the certificates in use are kept: %s", error)

    def _refresh(self) -> None:
        if self._renewed and self._clock.now() - self._renewed > _RENEWAL_INTERVAL:
            self._internal()
        for contexts in self._contexts:
            contexts.refresh()

    def _internal(self) -> CertificateFiles:
        """Return the certificate of the node's own authority, renewed if it is time."""
        self._renewed = self._clock.now()
        return self._authority.certificate(internal_names(self._config), self._renewed)

    def _files(self, listener: Listener) -> list[CertificateFiles]:
        if isinstance(listener.tls, tuple):
            return [CertificateFiles(files.cert, files.key) for files in listener.tls]
        internal = self._internal()
        if listener.tls == "internal":
            return [internal]
        paths = [self._acme.stand_in(names, internal.cert) for names in acme_groups(self._config)]
        return [CertificateFiles(path, path) for path in paths]


def authority(config: Config) -> InternalAuthority:
    """Return this node's own authority, which may not have been made yet."""
    return InternalAuthority(config.cache.path / "tls")


def uses_acme(config: Config) -> bool:
    """Return whether a listener has its certificates from an authority that speaks ACME."""
    return any(listener.tls == "acme" for listener in config.listeners)


def acme_folder(config: Config) -> Folder:
    """Return where the certificates from an authority that speaks ACME are."""
    return Folder(config.cache.path / "tls" / "acme")


def acme_groups(config: Config) -> list[tuple[str, ...]]:
    """Return the names of each certificate that such an authority is asked for: those of a site, or a part of them."""
    sites = [certifiable(site.hosts) for site in config.sites]
    return [names[at : at + _MOST_NAMES] for names in sites for at in range(0, len(names), _MOST_NAMES)]


def acme_validity(folder: Folder, names: tuple[str, ...]) -> tuple[frozenset[str], float, float]:
    """Return which names such a certificate is for, and from when until when; ParseError if it cannot be used."""
    path = folder.certificate(names)
    certificate = read_certificate(CertificateFiles(path, path))
    return frozenset(certificate.names), certificate.not_before, certificate.not_after


def internal_names(config: Config) -> list[str]:
    """Return what a certificate of the node's own authority is for: the sites' hosts, and the machine itself."""
    hosts = [host.strip("[]") for site in config.sites for host in site.hosts if host != "*"]
    bound = [listener.address.host for listener in config.listeners if listener.address.host not in _EVERYWHERE]
    return list(dict.fromkeys([*hosts, *bound, "localhost", "127.0.0.1", "::1", socket.gethostname().lower()]))


_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what a certificate cannot be for


def faults(config: Config, now: float) -> Iterator[str]:
    """Yield a sentence about each certificate from a file that clients would not accept."""
    for files in [*_all_files(config), *_admin_files(config)]:
        try:
            problem = read_certificate(files).out_of_date(now)
        except ParseError as error:
            problem = str(error)
        if problem:
            yield problem
    yield from dict.fromkeys(_authority_faults(config))


def _authority_faults(config: Config) -> Iterator[str]:
    of_listeners = [listener.client_ca for listener in config.listeners if listener.client_ca is not None]
    of_sites = [site.client_ca for site in config.sites if site.client_ca is not None]
    alone = [(path,) for path in [*of_listeners, *of_sites]]
    for paths in [*alone, *product(of_sites, of_listeners)]:
        try:
            read_authorities(*paths)
        except ParseError as error:
            yield str(error)


def warnings(config: Config, now: float) -> Iterator[str]:
    """Yield a sentence about what an operator may want to know of certificates without a fault."""
    certificates = [read_certificate(files) for files in _all_files(config)]
    for certificate in [*certificates, *map(read_certificate, _admin_files(config))]:
        days = (certificate.not_after - now) / 86_400
        if certificate.not_after - now < _SOON:
            yield f"{certificate.files.cert} expires in {days:.0f} days"
    for site, listener in product(config.sites, config.listeners):
        if site.client_ca is not None and listener.client_ca is not None:
            both = f"{site.name} and {listener.address} both have client_ca"
            yield f"{both}: a client there needs a certificate that an authority in both files has signed"
    if not certificates or any(isinstance(listener.tls, str) for listener in config.listeners):
        return
    for site in config.sites:
        for host in site.hosts:
            if host != "*" and not any(certificate.covers(host.strip("[]")) for certificate in certificates):
                yield f"no certificate is for {host}: clients that ask for it by https are refused"


def _all_files(config: Config) -> list[CertificateFiles]:
    tables = [listener.tls for listener in config.listeners if isinstance(listener.tls, tuple)]
    return [CertificateFiles(files.cert, files.key) for table in tables for files in table]


def _admin_files(config: Config) -> list[CertificateFiles]:
    files = config.admin.certificate
    return [] if files is None else [CertificateFiles(files.cert, files.key)]


def _title(certificate: Certificate) -> str:
    return (*certificate.names, *certificate.addresses)[0]
