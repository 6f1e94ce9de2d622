"""Addresses to listen on and origins to connect to, as the operator writes them."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

_HOST = r"\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9_.\-]{0,252}[A-Za-z0-9])?\.?)"
_address = re.compile(rf"(?:{_HOST})?:(?P<port>[0-9]{{1,5}})").fullmatch
_url = re.compile(rf"(?P<scheme>https?)://(?:{_HOST})(?::(?P<port>[0-9]{{1,5}}))?/?", re.IGNORECASE).fullmatch
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - the names of the wildcard, not a bind
_LOCALHOST = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; host "" is every interface, port 0 one that the system chooses."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host == "localhost" or _is_loopback(self.host)

    def overlaps(self, other: "Address") -> bool:
        """Return whether both cannot be listened on at once, as far as it can be known without asking the network."""
        if self.port != other.port or self.port == 0:
            return False
        wild = self.host in _ANY or other.host in _ANY
        return wild or not _names(self.host).isdisjoint(_names(other.host))

    def is_reached_by(self, url: "OriginUrl") -> bool:
        """Return whether a connection to `url` would arrive here, as far as it can be known without asking DNS."""
        if self.port != url.port:
            return False
        if self.host in _ANY:
            return url.host in _ANY or url.host == "localhost" or _is_loopback(url.host)
        return url.host in _ANY or not _names(self.host).isdisjoint(_names(url.host))


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket to listen on; the path is absolute."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class OriginUrl:
    """An origin in the sense of RFC 6454: scheme, host (lower case, IPv6 without brackets) and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{_bracketed(self.host)}{port}"


def parse_address(text: str) -> Address:
    """Return the address that `text` names; ValueError if it is not [host]:port."""
    if (match := _address(text)) is None:
        raise ValueError('is not an address such as "127.0.0.1:8080", ":8080" or "[::1]:8080"')
    return Address(_host(match), _port(match["port"], lowest=0))


def parse_unix(text: str) -> UnixAddress:
    """Return the socket that `text` names; ValueError if it is not unix:/path."""
    path = text.removeprefix("unix:")
    if path == text or not path.startswith("/") or path.endswith(("/", "/.", "/..")) or not path.isprintable():
        raise ValueError('is not a Unix socket such as "unix:/run/foreland/admin.sock"')
    return UnixAddress(Path(path))


def parse_url(text: str) -> OriginUrl:
    """Return the origin that `text` names; ValueError for anything with a path, a query or user information."""
    if (match := _url(text)) is None:
        raise ValueError('is not an origin such as "http://10.0.0.5:8000" (no path, no query, no user)')
    scheme = match["scheme"].lower()
    port = _port(match["port"], lowest=1) if match["port"] else _DEFAULT_PORTS[scheme]
    return OriginUrl(scheme, _host(match), port)


def _host(match: re.Match[str]) -> str:
    if match["ipv6"] is not None:
        return str(ipaddress.IPv6Address(match["ipv6"]))
    name = (match["name"] or "").lower()
    # What consists of digits and dots alone must be an IPv4 address: "127.1" and "0177.0.0.1" mean different things to
    # different resolvers.
    return str(ipaddress.IPv4Address(name)) if name and not name.strip("0123456789.") else name


def _port(text: str, *, lowest: int) -> int:
    port = int(text)
    if not lowest <= port <= 65535:
        raise ValueError(f"has a port that is not between {lowest} and 65535")
    return port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _names(host: str) -> frozenset[str]:
    return _LOCALHOST if host == "localhost" else frozenset({host})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
