"""The type of a listener's `tls`: the word "internal" or "acme", a table with files, or a list of such tables."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from edge.config.kinds import PATH, CertificateFiles, Kind, Unlike, Value

INTERNAL, ACME = "internal", "acme"
_is_address = re.compile(r"[0-9.]+").fullmatch
_WRITTEN = '"internal", "acme", { cert = "FILE", key = "FILE" } or a list of these tables'


def certifiable(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return the hosts that a public authority certifies: names, and no patterns or addresses."""
    return tuple(host for host in hosts if "*" not in host and "[" not in host and not _is_address(host))


def _word(text: str) -> str:
    if text not in {INTERNAL, ACME}:
        raise ValueError(f"is not {_WRITTEN}")
    return text


@dataclass(frozen=True, slots=True)
class TlsKind(Kind):
    """The kind whose value is INTERNAL, ACME or a tuple of `CertificateFiles`."""

    def read(self, raw: object) -> Value:
        """Return the value of `raw`, as TOML gives it; Unlike if it is not of this kind."""
        if isinstance(raw, str):
            return _word(raw)
        tables = raw if isinstance(raw, list) else [raw]
        if not tables:
            raise Unlike("is an empty list, which leaves nothing to show to clients")
        return tuple(_files(table) for table in tables)

    def toml(self, value: Value) -> str:
        """Return `value` as a TOML value."""
        if not isinstance(value, tuple):
            return json.dumps(value)
        tables = [
            f"{{ cert = {PATH.toml(files.cert)}, key = {PATH.toml(files.key)} }}"
            for files in value
            if isinstance(files, CertificateFiles)
        ]
        return tables[0] if len(tables) == 1 else f"[{', '.join(tables)}]"


def _files(table: object) -> CertificateFiles:
    if not isinstance(table, dict) or table.keys() != {"cert", "key"}:
        raise Unlike(f"is not {_WRITTEN}")
    cert, key = (PATH.read(table[name]) for name in ("cert", "key"))
    return CertificateFiles(cert, key)  # type: ignore[arg-type]  # a PATH is a Path


TLS = TlsKind('"internal", "acme", or files', _word)
