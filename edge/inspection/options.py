"""What the commands `edge cache …` are given: a store, the rules of its sites, a selection."""

import functools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NoReturn

import click

from edge.app import make_site
from edge.caching.freshness import FreshnessRules
from edge.config.errors import ConfigError
from edge.config.kinds import DURATION, SIZE, Kind
from edge.config.load import load
from edge.config.schema import BY_PATH
from edge.errors import ParseError, StoreError
from edge.exchange.site import Site, Sites
from edge.inspection.selection import Selection
from edge.policy.key import KeyPolicy, apply_query, cache_key
from edge.policy.profile import PROFILES
from edge.semantics.target import Target, parse_target
from edge.store.inspect import Inspection
from edge.store.volumes import FOLDER

#: Exit codes, as of `edge` as a whole: 1 failure at run time, 2 wrong usage (click's), 3 invalid configuration.
FAILED, INVALID = 1, 3

_is_status = re.compile(r"[1-9](?:[0-9]{2}|xx)").fullmatch
# What click calls with the values of its options.
Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that is looked at.

    Attributes:
        inspection: the store.
        sites: the sites of the configuration; None without one.
        fallback: the rules for what no site answers for.
        now: wall clock at the start of the command.
    """

    inspection: Inspection
    sites: Sites | None
    fallback: FreshnessRules
    now: float

    def rules(self, host: bytes) -> FreshnessRules:
        """Return the freshness rules for a host without port."""
        site = self._site(host)
        return site.freshness if site is not None else self.fallback

    def key(self, target: Target) -> bytes:
        """Return the key of `target`, by the policy of its site."""
        site = self._site(target.host)
        policy = site.key if site is not None else KeyPolicy()
        return cache_key(apply_query(target, policy), policy)

    def note_unreadable(self) -> None:
        """Say on standard error what was left out because it was gone or damaged."""
        if self.inspection.vanished:
            click.echo(f"{self.inspection.vanished} vanished while being looked at", err=True)
        if self.inspection.damaged:
            click.echo(f"{self.inspection.damaged} cannot be read: see edge cache verify", err=True)

    def _site(self, host: bytes) -> Site | None:
        return self.sites.find(host) if self.sites is not None else None


class _Quantity(click.ParamType[object]):
    """A size or duration with its unit, as in the configuration."""

    def __init__(self, kind: Kind) -> None:
        self.name, self._kind = kind.name, kind

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str):
            return value
        try:
            return self._kind.parse(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


def _octets(_: click.Context, parameter: click.Parameter, value: str | None) -> bytes | None:
    if value is None:
        return None
    # Hosts are kept in lower case; paths are not.
    return os.fsencode(value.lower() if parameter.name == "host" else value)


def _statuses(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if _is_status(value.lower()) is None:
            raise click.BadParameter(f"{value!r} is not a status such as 404, or a class such as 4xx")
    return tuple(value.lower() for value in values)


_STORE = [
    click.option(
        "--cache", metavar="DIR", help="Directory of the store; the configuration's, or its default, if not given."
    ),
    click.option("--site", metavar="NAME", help="The store of this site, which has a quota of its own."),
    click.option("--config", "-c", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file (TOML)."),
    click.option(
        "--profile", type=click.Choice(sorted(PROFILES)), help="Whose rules of freshness hold without --config."
    ),
]
_SELECTION = [
    click.option("--prefix", metavar="URL|PATH", callback=_octets, help="Only URLs, or paths, that begin like this."),
    click.option("--host", callback=_octets, help="Only this host, or host:port."),
    click.option(
        "--status", "statuses", multiple=True, metavar="CODE", callback=_statuses, help="Only this status, or 4xx."
    ),
    click.option("--min-size", type=_Quantity(SIZE), help="Only content of this size or more, such as 10MiB."),
    click.option("--max-size", type=_Quantity(SIZE), help="Only content of this size or less."),
    click.option("--older", type=_Quantity(DURATION), help="Only what is of this age or older, such as 2h."),
    click.option("--younger", type=_Quantity(DURATION), help="Only what is of this age or younger."),
    click.option("--fresh/--stale", default=None, help="Only what is fresh, or only what is stale."),
    click.option("--pinned/--not-pinned", default=None, help="Only what is never reclaimed, or only what may be."),
]


def with_store(command: Command) -> Command:
    """Give `command` the options that name a store, and the opened store itself; what goes wrong ends the program."""

    @functools.wraps(command)
    def opening(
        *, cache: str | None, config: Path | None, site: str | None, profile: str | None, **others: object
    ) -> None:
        if config is not None and profile is not None:
            raise click.UsageError("--profile is about a store without --config")
        path, sites = _configured(config, cache)
        path = _volume(path, site)
        fallback = FreshnessRules(heuristic=PROFILES[profile or "safe"].heuristic)
        with sentences(), Inspection(path) as inspection:
            command(Opened(inspection, sites, fallback, time.time()), **others)

    return _with(_STORE, opening)


def with_selection(command: Command) -> Command:
    """Give `command` the options that select stored responses, and the selection they make."""

    @functools.wraps(command)
    def selecting(opened: Opened, **values: object) -> None:
        # The options are called what the attributes are.
        given = {each.name: values.pop(each.name) for each in fields(Selection)}
        command(opened, Selection(**given), **values)  # type: ignore[arg-type]  # as the options say

    return _with(_SELECTION, selecting)


def target_of(url: str) -> Target:
    """Return the target that a URL on the command line names; click.UsageError if it is not one."""
    scheme = b"https" if url[:6].lower() == "https:" else b"http"
    try:
        # Without a Host, only a URL of this very scheme is a target.
        return parse_target(b"GET", os.fsencode(url), None, scheme=scheme)
    except ParseError as error:
        raise click.UsageError(f"{url!r} is not a URL such as http://www.example.com/path") from error


@contextmanager
def sentences() -> Iterator[None]:
    """End the program with a sentence when the store, or a file, cannot be used."""
    try:
        yield
    except StoreError as error:
        fail(str(error), FAILED)


def fail(message: str, code: int) -> NoReturn:
    """End the program with `message` and an exit code."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def _configured(config: Path | None, cache: str | None) -> tuple[Path, Sites | None]:
    """Return where the store is, and the sites there are when a configuration is given."""
    if config is None:
        default = BY_PATH["cache.path"].default
        return Path(cache or os.environ.get("EDGE_CACHE__PATH") or str(default)).expanduser(), None
    try:
        settings = load(config, {"cache.path": cache} if cache is not None else {}, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        sys.exit(INVALID)
    return settings.cache.path, Sites(make_site(site) for site in settings.sites)


def _volume(path: Path, site: str | None) -> Path:
    """Return where the store of a site is, and that of all others for None."""
    there = sorted(volume.name for volume in (path / FOLDER).iterdir()) if (path / FOLDER).is_dir() else []
    if site is None:
        if there:
            click.echo(f"not looked at, having stores of their own: {', '.join(there)} (see --site)", err=True)
        return path
    if site not in there:
        fail(f"no site {site!r} has a store of its own in {path}", FAILED)
    return path / FOLDER / site


def _with(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
