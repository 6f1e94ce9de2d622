"""The types a setting can have: their grammar, how they are read from TOML or from text, how they are written."""

import difflib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from edge.config.address import Address, OriginUrl, UnixAddress, parse_address, parse_unix, parse_url


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with the chain behind it, and its key, both PEM; may be one file."""

    cert: Path
    key: Path


Network = IPv4Network | IPv6Network
Scalar = str | int | float | bool | Path | Address | UnixAddress | OriginUrl | Network | CertificateFiles | None
Value = Scalar | tuple[Scalar, ...]

DURATIONS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40} | {"kB": 10**3, "MB": 10**6, "GB": 10**9}
_quantity = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)").fullmatch
_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}").fullmatch
_is_media_type = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(?:\*|[a-z0-9][a-z0-9!#$&^_.+-]*)|\*\+[a-z0-9.-]+").fullmatch
_LABEL = r"[a-z0-9](?:[a-z0-9_\-]{0,61}[a-z0-9])?"
_is_host = re.compile(rf"\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\]").fullmatch
_is_authority = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\])(?::[0-9]{{1,5}})?").fullmatch


class Unlike(ValueError):
    """A value is not of its setting's type; `suggestion` is what was probably meant, or ""."""

    def __init__(self, sentence: str, suggestion: str = "") -> None:
        super().__init__(sentence)
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value.

    Attributes:
        name: what the reference calls it.
        parse: makes the value from text; raises ValueError with a predicate ("is not a size …").
        write: makes the text from the value, the inverse of `parse`.
        native: the TOML type it is written as; str for everything that has a grammar.
        unit: the unit of the parsed value, "" without one.
        many: whether it is a list.
        words: the words an enumeration allows, () for other kinds.
    """

    name: str
    parse: Callable[[str], Scalar]
    write: Callable[[Scalar], str] = str
    native: type = str
    unit: str = ""
    many: bool = False
    words: tuple[str, ...] = ()

    def read(self, raw: object) -> Value:
        """Return the value of `raw`, as TOML or a default gives it; Unlike if it is not of this kind."""
        if not self.many:
            return self._item(raw)
        if not isinstance(raw, list | tuple):
            raise Unlike(f"is {_described(raw)}, not {_article(self.name)}")
        return tuple(self._item(item) for item in raw)

    def read_text(self, text: str) -> Value:
        """Return the value of `text`, as a flag or the environment gives it; items of a list are split at commas."""
        if not self.many:
            return self.parse(text)
        return tuple(self.parse(item.strip()) for item in text.split(",") if item.strip())

    def toml(self, value: Value) -> str:
        """Return `value` as a TOML value."""
        if isinstance(value, tuple):
            return f"[{', '.join(self._toml(item) for item in value)}]"
        return self._toml(value)

    def _item(self, raw: object) -> Scalar:
        # bool is a subclass of int, and a float is never what an integer setting means: the type must be this one.
        if type(raw) is not self.native:
            needed = f"what {_article(self.name)} holds" if self.many else _article(self.name)
            raise Unlike(f"is {_described(raw)}, not {needed}")
        return self.parse(raw) if isinstance(raw, str) else raw  # type: ignore[return-value]  # native is a Scalar

    def _toml(self, value: Scalar) -> str:
        # A JSON string is a TOML basic string, as long as astral characters stay as they are.
        return self.write(value) if self.native is not str else json.dumps(self.write(value), ensure_ascii=False)


def _described(raw: object) -> str:
    names = {bool: "a boolean", int: "a bare number", float: "a bare number", str: "a string", list: "a list"}
    return names.get(type(raw), "a table" if isinstance(raw, dict) else "a date or time")


def _article(name: str) -> str:
    return name if name[0] == '"' else f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _duration(text: str) -> float:
    match = _quantity(text)
    if match is None or match[2] not in DURATIONS:
        raise ValueError('is not a duration such as "300ms", "5s", "2m", "1h" or "1d"')
    return float(Decimal(match[1]) * DURATIONS[match[2]])


def _write_duration(value: Scalar) -> str:
    exact = Decimal(str(value))
    unit = max((unit for unit in DURATIONS if exact % DURATIONS[unit] == 0), key=DURATIONS.__getitem__, default="ms")
    return f"{(exact / DURATIONS[unit]).normalize():f}{unit}" if exact else "0s"


def _size(text: str) -> int:
    match = _quantity(text)
    if match is None or match[2] not in SIZES:
        raise ValueError('is not a size such as "8KiB", "512MiB", "1MB" or "20GiB"')
    return int(Decimal(match[1]) * SIZES[match[2]])


def _write_size(value: Scalar) -> str:
    octets = int(str(value))
    unit = max((unit for unit in SIZES if octets % SIZES[unit] == 0), key=SIZES.__getitem__)
    return f"{octets // SIZES[unit]}{unit}" if octets else "0B"


def _string(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("is empty or holds control characters")
    return text


def _path(text: str) -> Path:
    return Path(_string(text)).expanduser()


def _integer(text: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,15}", text) is None:
        raise ValueError("is not a whole number")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError('is not "true" or "false"')
    return text.lower() == "true"


def _token(text: str) -> str:
    if _is_token(text) is None:
        raise ValueError("is not a token (letters, digits and !#$%&'*+-.^_`|~, at most 64; RFC 9110 §5.6.2)")
    return text


def _host(text: str) -> str:
    if _is_host(text.lower()) is None:
        raise ValueError('is not a host name, a wildcard such as "*.example.com", or "*"')
    return text.lower()


def _authority(text: str) -> str:
    if _is_authority(text.lower()) is None:
        raise ValueError('is not a host name with an optional port, such as "app.internal:8000"')
    return text.lower()


def _https_url(text: str) -> str:
    if re.fullmatch(r"https://[!-~]+", text) is None:
        raise ValueError('is not a URL that begins with "https://"')
    return text


def _word(words: tuple[str, ...], text: str) -> str:
    if text not in words:
        near = difflib.get_close_matches(text, words, n=1)
        raise Unlike(f"is not one of {_listed(words)}", f'"{near[0]}"' if near else "")
    return text


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError('is not a network such as "10.0.0.0/8" or "2001:db8::/32"') from None


def _address_or_off(text: str) -> Address | UnixAddress | None:
    if text == "off":
        return None
    return parse_unix(text) if text.startswith("unix:") else parse_address(text)


def _write_address_or_off(value: Scalar) -> str:
    return "off" if value is None else str(value)


def _media_type(text: str) -> str:
    if _is_media_type(text.lower()) is None:
        raise ValueError('is not a media type such as "text/html", "text/*" or "*+xml"')
    return text.lower()


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def one_of(*words: str) -> Kind:
    """Return the kind that allows exactly `words`."""
    return Kind(" or ".join(f'"{word}"' for word in words), partial(_word, words), words=words)


def many_of(*words: str) -> Kind:
    """Return the kind that allows lists of `words`."""
    return Kind(f"list of {' or '.join(words)}", partial(_word, words), many=True)


STRING = Kind("string", _string)
PATH = Kind("path", _path)
BOOLEAN = Kind("boolean", _boolean, write=lambda value: str(value).lower(), native=bool)
INTEGER = Kind("integer", _integer, native=int)
DURATION = Kind("duration", _duration, write=_write_duration, unit="seconds")
SIZE = Kind("size", _size, write=_write_size, unit="octets")
HTTPS_URL = Kind("https URL", _https_url)
ADDRESS = Kind("address", parse_address)
ADDRESS_OR_OFF = Kind('address, "unix:/PATH" or "off"', _address_or_off, write=_write_address_or_off)
TOKEN = Kind("token", _token)
AUTHORITY = Kind("host name with an optional port", _authority)
STRINGS = Kind("list of strings", _string, many=True)
TOKENS = Kind("list of tokens", _token, many=True)
HOSTS = Kind("list of host names", _host, many=True)
MEDIA_TYPES = Kind("list of media types", _media_type, many=True)
NETWORKS = Kind("list of networks", _network, many=True)
URLS = Kind("list of origin URLs", parse_url, many=True)
