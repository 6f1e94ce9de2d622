"""The command `edge bench`."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

import click
import uvloop

from edge.loadtest.load import Counts, LoadError, load
from edge.loadtest.report import summary, text
from edge.tasks import spawn


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--connections", "-c", type=click.IntRange(1, 10_000), default=32, show_default=True)
@click.option("--seconds", "-t", type=click.FloatRange(0.1, 3600), default=5.0, show_default=True)
@click.option("--insecure", "-k", is_flag=True, help="Do not verify the server's certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def bench(urls: Sequence[str], connections: int, seconds: float, *, insecure: bool, as_json: bool) -> None:
    """Ask for URLs in turn as fast as they are answered, and say how fast that was."""
    targets = [_target(url) for url in urls]
    if len({(target.scheme, target.netloc) for target in targets}) > 1:
        raise click.UsageError("the URLs are of more than one server")
    counts = Counts()
    try:
        uvloop.run(_run(targets, counts, connections=connections, seconds=seconds, insecure=insecure))
    except LoadError as error:
        click.echo(f"edge: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    click.echo(json.dumps(summary(counts), indent=2) if as_json else text(counts))
    sys.exit(1 if counts.failed else 0)


async def _run(
    targets: Sequence[SplitResult], counts: Counts, *, connections: int, seconds: float, insecure: bool
) -> None:
    progress = spawn(_show_progress(counts, seconds), name="progress")
    try:
        await load(targets, counts, connections=connections, seconds=seconds, insecure=insecure)
    finally:
        progress.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await progress


async def _show_progress(counts: Counts, seconds: float) -> None:
    """Draw a bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        return
    steps = 50
    seen = 0
    with click.progressbar(length=steps, file=sys.stderr, item_show_func=lambda said: said) as bar:
        for _ in range(steps):
            await asyncio.sleep(seconds / steps)
            answered = len(counts.latencies)
            bar.update(1, f"{(answered - seen) * steps / seconds:,.0f} requests/s")
            seen = answered


def _target(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:
        is_good = False
    if not is_good or any(not "!" <= character <= "~" for character in url):
        raise click.UsageError(f"{url!r} is not a URL such as http://127.0.0.1:8080/path")
    return parts
