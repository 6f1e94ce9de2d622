"""The `origin` command."""

import asyncio
import logging
import sys
from pathlib import Path

import click
import msgspec

from origin.commands import preload, publish, purge, push, rollback, status, versions
from origin.demo import DemoError, demonstrate
from origin.server import serve
from origin.settings import File, SettingError, parse_rule, read_file, settle


@click.group(name="origin")
@click.version_option(package_name="foreland", message="%(prog)s %(version)s")
def main() -> None:
    """Run an origin server to put an edge in front of, and speak to the edges in front of it."""


main.add_command(purge)
main.add_command(preload)
main.add_command(push)
main.add_command(status)
main.add_command(publish)
main.add_command(rollback)
main.add_command(versions)


@main.command(name="serve")
@click.option("--root", metavar="DIR", help="The directory to serve; without it, a small sample site.")
@click.option("--listen", metavar="ADDRESS", help="Where to listen, 127.0.0.1:9000 by default; port 0 is a free one.")
@click.option("--delay", metavar="DURATION", help="How long to wait before each response, such as 300ms.")
@click.option("--bandwidth", metavar="SIZE", help="The content sent a second and response at most, such as 10MiB.")
@click.option("--rule", "rules", metavar="PATTERN=VALUE", multiple=True, help="Cache-Control for paths, in order.")
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="A TOML file with the same settings.")
@click.option("--quiet", is_flag=True, help="Do not log requests.")
def serve_command(config: Path | None, rules: tuple[str, ...], *, quiet: bool, **options: str | None) -> None:
    """Serve a directory, an API and generated content, with the caching behaviour you ask for."""
    try:
        file = read_file(config) if config is not None else File()
        given = {name: value for name, value in options.items() if value is not None}
        file = msgspec.structs.replace(file, quiet=quiet or file.quiet, **given)
        settings = settle(file, tuple(parse_rule(rule) for rule in rules))
    except SettingError as error:
        raise click.UsageError(str(error)) from error
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        asyncio.run(serve(settings, lambda url: click.echo(f"ready {url}")))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from error


@main.command(name="demo")
def demo_command() -> None:
    """Run the sample site behind an edge, and say what to try."""
    try:
        asyncio.run(demonstrate(click.echo))
    except DemoError as error:
        raise click.ClickException(str(error)) from error
