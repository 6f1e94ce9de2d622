"""A configuration as TOML: what the node runs with, and the file that would say the same."""

from collections.abc import Iterator

from edge.config.model import NESTED, Config, Origin, Site
from edge.config.schema import TABLES


def show(config: Config) -> str:
    """Return the effective configuration, loadable as a file.

    No setting holds a secret: a token is given by the path of its file, and an origin's URL has no user information.
    """
    return "\n".join(_lines(config)).strip() + "\n"


def _lines(config: Config) -> Iterator[str]:
    yield from _settings("", config)
    for listener in config.listeners:
        yield from ("", "[[listen]]", *_settings("listen[]", listener))
    for table in ("cache", "acme", "admin", "push"):
        yield from ("", f"[{table}]", *_settings(table, getattr(config, table)))
    for name, origin in config.origins.items():
        yield from _origin(name, origin)
    for site in config.sites:
        yield from _site(site)
    for table in ("limits", "watchdog", "log"):
        yield from ("", f"[{table}]", *_settings(table, getattr(config, table)))


def _origin(name: str, origin: Origin) -> Iterator[str]:
    yield from ("", f"[origins.{name}]", *_settings("origins.NAME", origin))


def _site(site: Site) -> Iterator[str]:
    yield from ("", "[[site]]", *_settings("site[]", site))
    for table in NESTED:
        yield from ("", f"[site.{table}]", *_settings(f"site[].{table}", getattr(site, table)))


def _settings(table: str, values: object) -> Iterator[str]:
    for setting in TABLES[table]:
        name = setting.path.rpartition(".")[2]
        value = getattr(values, name)
        if value is not None or setting.default is not None:
            # `$${` is how a file spells `${`.
            yield f"{name} = {setting.kind.toml(value).replace('${', '$${')}"
