"""The commands `edge explain`, `edge log` and `edge stat`."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from edge.asking import shown
from edge.asking.follow import following
from edge.config.errors import ConfigError
from edge.config.load import load
from edge.control.inquiries import AboutLog, AboutRequest, Lines, Told
from edge.supervisor.commands import inquire
from edge.supervisor.faults import NotAnswered
from edge.supervisor.paths import CONTROL_FOLDER
from edge.telemetry.lines import Line

#: Exit codes, as everywhere: 1 failure at run time, 2 wrong usage, 3 invalid configuration.
FAILED, INVALID = 1, 3
# More than all workers remember together.
_ALL = 1_000_000
_Command = TypeVar("_Command", bound=Callable[..., None])
_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def _with_node(command: _Command) -> _Command:
    command = click.option("--cache", metavar="DIR", type=click.Path(path_type=Path), help="The node's directory.")(
        command
    )
    return click.option(
        "--config", "-c", type=click.Path(path_type=Path, dir_okay=False), help="Its configuration file."
    )(command)


@click.command()
@click.argument("url")
@click.option("--header", "-H", "headers", multiple=True, metavar="'Name: value'", help="Request field.")
@click.option("--method", "-X", default="GET", show_default=True, help="Request method.")
@_JSON
@_with_node
def explain(
    url: str, headers: Sequence[str], method: str, config: Path | None, cache: Path | None, *, as_json: bool
) -> None:
    """Say what a running node would do with a request for URL, and why; nothing is asked of the origin.

    The decisions are told in their order, each with the rule behind it, then what would have to change for a hit, and what
    became of the last requests for the same URL.
    """
    fields = [header.partition(":") for header in headers]
    if any(not colon for _, colon, _ in fields):
        raise click.UsageError("--header takes a field such as 'Accept-Encoding: br'")
    question = AboutRequest(url, method, [(name.strip(), value.strip()) for name, _, value in fields])
    answer = _ask(config, cache, "explain", question)
    if as_json:
        _print_json(answer)
    else:
        click.echo(shown.explanation(msgspec.convert(answer, Told), url), nl=False)


@click.command("log")
@click.option(
    "--query", "-q", default="", help="""Such as 'status >= 500 and cache == "MISS"'; see docs/observing.md."""
)
@click.option("-n", "count", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--follow", "-f", "follows", is_flag=True, help="Go on with those that come, until interrupted.")
@_JSON
@_with_node
def log_(query: str, count: int, config: Path | None, cache: Path | None, *, follows: bool, as_json: bool) -> None:
    """Print the last exchanges of a running node that a query accepts, the oldest first."""

    def show(lines: Sequence[Line]) -> None:
        for line in reversed(lines):
            click.echo(msgspec.json.encode(line) if as_json else shown.line(line))

    folder = _folder(config, cache)
    question = AboutLog(query, count, [] if follows else None)
    told = msgspec.convert(_told(folder, "log", question), Lines)
    show(told.lines)
    if not follows:
        return
    try:
        for since in following(lambda known: _log_since(folder, query, known), told.newest):
            if since.has_gap:
                click.echo("some are missing: more came than the node remembers", err=True)
            show(since.lines)
    except NotAnswered as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _log_since(folder: Path, query: str, known: list[str]) -> Lines:
    return msgspec.convert(inquire(folder, "log", AboutLog(query, _ALL, known)), Lines)


@click.command()
@click.option("--every", type=click.FloatRange(0.2), metavar="SECONDS", help="Again and again, until interrupted.")
@_JSON
@_with_node
def stat(every: float | None, config: Path | None, cache: Path | None, *, as_json: bool) -> None:
    """Print the numbers of a running node."""
    while True:
        answer = _ask(config, cache, "stat", None)
        if as_json:
            _print_json(answer)
        else:
            click.echo(shown.numbers(answer), nl=False)
        if every is None:
            return
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            sys.exit(130)
        click.echo()


def _ask(config: Path | None, cache: Path | None, word: str, question: object) -> Any:  # noqa: ANN401 - JSON
    return _told(_folder(config, cache), word, question)


def _folder(config: Path | None, cache: Path | None) -> Path:
    """Return the folder of the node that is meant."""
    if cache is None:
        try:
            cache = load(config, {}, {}).cache.path if config is not None else None
        except ConfigError as error:
            for problem in error.problems:
                click.echo(f"error: {problem}", err=True)
            sys.exit(INVALID)
    if cache is None:
        raise click.UsageError("which node? Give --config FILE or --cache DIR, as it was started with")
    return cache / CONTROL_FOLDER


def _told(folder: Path, word: str, question: object) -> Any:  # noqa: ANN401 - JSON
    try:
        return inquire(folder, word, question)
    except NotAnswered as error:
        _fail(error)


def _fail(error: NotAnswered) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    sys.exit(FAILED)


def _print_json(answer: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(answer)))
