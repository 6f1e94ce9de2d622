"""The reference page of all settings, made from the schema: `python -m edge.config.reference` writes it."""

import sys
from collections.abc import Iterator

from edge.config.kinds import DURATIONS, SIZES
from edge.config.schema import REQUIRED, SENTENCES, TABLES, UNSET, Setting, read

_INTRODUCTION = f"""\
# Settings

<!-- Made by `python -m edge.config.reference`; do not edit. -->

The file is TOML. A setting is taken from the command line, else from the environment variable `EDGE_SECTION__KEY`
(`EDGE_CACHE__MAX_SIZE`, `EDGE_ORIGINS__APP__KEEPALIVE`, `EDGE_SITE__0__PROFILE`; items of a list separated by commas),
else from the file and `conf.d/*.toml` beside it, else from its default. A key in two files, an unknown key and a value
out of bounds are errors; `edge check` names all of them at once, with file and line.

- In strings of a file, `${{NAME}}` is replaced by that environment variable, `${{NAME:-default}}` by it or the default,
  and `$${{` stands for `${{`.
- A duration is a number and one of {", ".join(f"`{unit}`" for unit in DURATIONS)}; a size is a number and one of
  {", ".join(f"`{unit}`" for unit in SIZES)}.
- An address is `host:port`; without a host it is every interface, with port 0 one that the system chooses.
- Without a file, the node listens on `127.0.0.1:8080` and stores under `$XDG_CACHE_HOME/foreland` or
  `~/.cache/foreland`.
"""


def markdown() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *(line for table in TABLES for line in _section(table))])


def _section(table: str) -> Iterator[str]:
    yield f"## {_heading(table)}\n"
    yield f"{SENTENCES[table]}\n"
    yield "| setting | type | default | bounds | what it decides |"
    yield "|---|---|---|---|---|"
    for setting in TABLES[table]:
        name = setting.path.rpartition(".")[2]
        yield f"| `{name}` | {setting.kind.name} | {_default(setting)} | {_bounds(setting)} | {setting.sentence} |"
    yield ""


def _heading(table: str) -> str:
    head, brackets, rest = table.partition("[]")
    name = f"{head}{rest}"
    return "Top level" if not table else f"`[[{name}]]`" if brackets and not rest else f"`[{name}]`"


def _default(setting: Setting) -> str:
    if setting.default is REQUIRED:
        return "required"
    if setting.default is UNSET:
        return "unset"
    return f"`{setting.kind.toml(read(setting, setting.default, text=False))}`"


def _bounds(setting: Setting) -> str:
    return f"{setting.allowed} items" if setting.allowed and setting.kind.many else setting.allowed


if __name__ == "__main__":
    sys.stdout.write(markdown())
