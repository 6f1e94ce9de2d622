"""Which node a command means."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from edge.config.load import load
from edge.supervisor import running
from edge.supervisor.commands import inquire
from edge.supervisor.faults import NotAnswered
from edge.supervisor.paths import CONTROL_FOLDER


def folder_of(config: Path | None, cache: Path | None, urls: Sequence[str] = ()) -> Path:
    """Return the folder of the node with that configuration file or directory.

    Without both, it is the only node of this user that runs, or the only one that listens on the port of the first of `urls`.

    Raises:
        ConfigError: the file has a problem.
        click.UsageError: it is not clear which node is meant.
    """
    if cache is None and config is not None:
        cache = load(config, {}, {}).cache.path
    if cache is not None:
        return cache / CONTROL_FOLDER
    found = dict(_running())
    if len(found) > 1 and urls:
        port = _port(urls[0])
        found = {folder: ports for folder, ports in found.items() if port in ports} or found
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise click.UsageError("no node of this user runs here; say which one with --config FILE or --cache DIR")
    named = "".join(f"\n  --cache {folder.parent}" for folder in found)
    raise click.UsageError(f"several nodes run here; say which one:{named}")


def _running() -> list[tuple[Path, list[int]]]:
    """Return the folders of the nodes that answer, each with the ports that it listens on."""
    found = []
    for folder in running.folders():
        try:
            told = inquire(folder, "ports", None)
        except (NotAnswered, OSError):
            continue
        found.append((folder, told if isinstance(told, list) else []))
    return found


def _port(url: str) -> int | None:
    try:
        parts = urlsplit(url)
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
