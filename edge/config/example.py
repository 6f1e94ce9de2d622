"""The complete example file, made from the schema: `python -m edge.config.example` writes `config/edge.toml`."""

import json
import sys
import textwrap
from collections.abc import Iterator

from edge.config.schema import REQUIRED, SENTENCES, TABLES, UNSET, Setting, read

_INTRODUCTION = """\
# Foreland: every setting, at its default.  What is commented out is unset by default.
# Check it with `edge check --config edge.toml`; config/minimal.toml is what most nodes need.
"""
#: What the example says where there is no default.
_SAMPLES: dict[str, object] = {
    "zone": "bj",
    "cache.pinned": "5GiB",
    "push.path": "/var/lib/foreland",
    "site[].quota": "2GiB",
    "site[].compression.codings": ["zstd", "br", "gzip"],
    "listen[].address": "127.0.0.1:8080",
    "listen[].tls": "internal",
    "acme.ca_file": "/etc/foreland/authority.pem",
    "listen[].client_ca": "/etc/foreland/clients.pem",
    "admin.cert_file": "/etc/foreland/admin.pem",
    "admin.key_file": "/etc/foreland/admin.key",
    "admin.token_file": "/etc/foreland/admin.token",
    "origins.NAME.urls": ["http://127.0.0.1:8000"],
    "origins.NAME.host": "app.internal",
    "origins.NAME.ca_file": "/etc/foreland/origin-ca.pem",
    "origins.NAME.server_name": "app.internal",
    "site[].client_ca": "/etc/foreland/partners.pem",
    "site[].hosts": ["*"],
    "site[].origin": "app",
}


def example() -> str:
    """Return the whole file."""
    return "\n".join([_INTRODUCTION, *(line for table in TABLES for line in _table(table))]).rstrip() + "\n"


def _table(table: str) -> Iterator[str]:
    yield f"# {SENTENCES[table]}"
    if table:
        yield _header(table)
    for setting in TABLES[table]:
        yield from textwrap.wrap(_comment(setting), 118, initial_indent="# ", subsequent_indent="# ")
        yield _line(setting)
    yield ""


def _header(table: str) -> str:
    if table.endswith("[]"):
        return f"[[{table.removesuffix('[]')}]]"
    return f"[{table.replace('[]', '').replace('NAME', 'app')}]"


def _comment(setting: Setting) -> str:
    items = " items" if setting.kind.many else ""
    return f"{setting.sentence}  {setting.allowed}{items}." if " to " in setting.allowed else setting.sentence


def _line(setting: Setting) -> str:
    name = setting.path.rpartition(".")[2]
    if setting.default is UNSET or setting.default is REQUIRED:
        hidden = "# " if setting.default is UNSET else ""
        return f"{hidden}{name} = {json.dumps(_SAMPLES[setting.path])}"
    return f"{name} = {setting.kind.toml(read(setting, setting.default, text=False))}"


if __name__ == "__main__":
    sys.stdout.write(example())
