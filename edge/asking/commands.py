"""The commands `edge explain`, `edge log`, `edge stat` and `edge purge`."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import click
import msgspec

from edge.asking import shown
from edge.asking.follow import following
from edge.asking.which import folder_of
from edge.config.errors import ConfigError
from edge.control.inquiries import AboutLog, AboutRequest, Lines, Told
from edge.supervisor.commands import inquire
from edge.supervisor.faults import NotAnswered
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
    answer = _told(_folder(config, cache, [url]), "explain", question)
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
    folder = _folder(config, cache)
    while True:
        answer = _told(folder, "stat", None)
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


@click.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--prefix", "prefixes", multiple=True, metavar="PREFIX", help="A path and all below: a.example/blog.")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="A host.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag or cache group.")
@click.option("--everything", is_flag=True, help="All there is.")
@click.option("--hard", is_flag=True, help="As if it had never been there; otherwise it is stale, and validated.")
@click.option("--dry-run", is_flag=True, help="Only say what would be purged.")
@_JSON
@_with_node
def purge(
    config: Path | None, cache: Path | None, *, hard: bool, as_json: bool, dry_run: bool, **named: Sequence[str] | bool
) -> None:
    """Purge on a running node: URLs with all their variants, or what else is named.

    Once it is done, no later request is answered by what was purged.  `origin purge` does the same with a token, on several
    nodes and from another machine.
    """
    if not any(named.values()):
        raise click.UsageError("name what to purge: a URL, --prefix, --host, --tag or --everything")
    asked = {**named, "mode": "hard" if hard else "soft", "dry_run": dry_run}
    folder = _folder(config, cache, cast("Sequence[str]", named["urls"]))
    began = time.perf_counter()
    answer = _told(folder, "purge", asked)
    seconds = time.perf_counter() - began
    if as_json:
        _print_json(answer)
    else:
        click.echo(shown.purge(answer, seconds), nl=False)


def _folder(config: Path | None, cache: Path | None, urls: Sequence[str] = ()) -> Path:
    """Return the folder of the node that is meant."""
    try:
        return folder_of(config, cache, urls)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        sys.exit(INVALID)


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
