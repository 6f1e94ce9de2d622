"""The command `edge`: serve, demo, reload, upgrade, check, config, trust, get, explain, purge, log, stat, cache, bench."""

import asyncio
import logging
import os
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import SplitResult, urlsplit

import click

from edge import certificates
from edge.config.errors import ConfigError
from edge.config.load import load
from edge.config.model import Config
from edge.config.show import show
from edge.explain import sentence
from edge.node import Node, control_folder
from edge.supervisor.commands import ask
from edge.supervisor.faults import NotAnswered, StartError

if TYPE_CHECKING:
    import http.client

#: Exit codes: 0 ok, 1 failure at run time, 2 wrong usage, 3 invalid configuration (do not restart), 130 interrupted.
FAILED, INVALID = 1, 3

_HOW_TO_TRUST = """\
# This is {ca}, the authority of this node alone; its key never leaves the node.
#   one command:  curl --cacert {ca} https://localhost:8443/
#   Debian:       sudo cp {ca} /usr/local/share/ca-certificates/foreland.crt && sudo update-ca-certificates
#   Firefox:      Settings, Privacy & Security, View Certificates, Authorities, Import
# It changes when the cache directory is deleted.
"""
_FLAGS: list[Callable[[click.Command], click.Command]] = [
    click.option("--config", "-c", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file (TOML)."),
    click.option("--origin", "origins", multiple=True, metavar="URL", help="Origin, such as http://127.0.0.1:8000."),
    click.option("--listen", multiple=True, metavar="ADDRESS", help="Where clients are accepted; port 0 picks one."),
    click.option("--listen-tls", multiple=True, metavar="ADDRESS", help="Where clients are accepted by TLS."),
    click.option("--tls", metavar="internal", help="Certificates of this node's own authority: see `edge trust`."),
    click.option("--tls-cert", metavar="FILE", help="Certificate for --listen-tls, with its chain (PEM)."),
    click.option("--tls-key", metavar="FILE", help="Its key (PEM)."),
    click.option("--admin", metavar="ADDRESS", help='Admin plane, such as 127.0.0.1:8901 or unix:/PATH, or "off".'),
    click.option(
        "--admin-token-file", metavar="FILE", help="Hashes of admin tokens; made, with one, if it is not there."
    ),
    click.option("--cache", metavar="DIR", help="Directory for stored responses."),
    click.option("--push", metavar="DIR", help="Directory for content that is pushed here."),
    click.option("--cache-size", metavar="SIZE", help="Quota on disk, such as 20GiB."),
    click.option("--memory", metavar="SIZE", help="Memory for stored responses, such as 512MiB."),
    click.option("--workers", type=int, metavar="N", help="Worker processes."),
    click.option("--profile", metavar="NAME", help="safe (default) or strict-rfc."),
    click.option("--log", "log_format", metavar="FORMAT", help="Access log: json, text, combined or off."),
]


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    for flag in reversed(_FLAGS):
        command = flag(command)  # type: ignore[arg-type]  # click decorates functions as well
    return command


# By the name of a command: its module and its function.
_ELSEWHERE = {
    "bench": ("edge.loadtest.command", "bench"),
    "cache": ("edge.inspection.commands", "cache"),
    "explain": ("edge.asking.commands", "explain"),
    "log": ("edge.asking.commands", "log_"),
    "purge": ("edge.asking.commands", "purge"),
    "stat": ("edge.asking.commands", "stat"),
}


class _Commands(click.Group):
    """The commands; those that `serve` does without are imported when they are named, for a node to start the sooner."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, function = _ELSEWHERE[cmd_name]
        command: click.Command = getattr(import_module(module), function)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="foreland")
def main() -> None:
    """Foreland: an HTTP cache that you run in front of your origin."""


@main.command()
@_with_flags
def serve(config: Path | None, **flags: object) -> None:
    """Serve clients until SIGTERM."""
    # Here, since the other commands do without.
    from edge.worker import be  # noqa: PLC0415 - as said

    settings = _load(config, flags)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(Node(settings, lambda: _read(config, flags), be).run(_print_ready))
    except StartError as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


@main.command()
def demo() -> None:
    """Run a sample site with a node in front of it, and say what to try."""
    # It is the origin's, which has the site.
    os.execv(sys.executable, [sys.executable, "-m", "origin", "demo"])  # noqa: S606 - this very program


@main.command()
@_with_flags
def reload(config: Path | None, **flags: object) -> None:
    """Put a changed configuration in force; waits until it is.  Give the flags that the node was started with."""
    _tell("reload", config, flags)


@main.command()
@_with_flags
def upgrade(config: Path | None, **flags: object) -> None:
    """Let a running node become the program that is installed now; waits until it serves."""
    _tell("upgrade", config, flags)


@main.command()
@_with_flags
def check(config: Path | None, **flags: object) -> None:
    """Check a configuration and its certificates, without listening or touching the cache."""
    settings = _load(config, flags)
    now = time.time()
    problems = list(certificates.faults(settings, now))
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        sys.exit(INVALID)
    for warning in certificates.warnings(settings, now):
        click.echo(f"warning: {warning}", err=True)
    listeners = ", ".join(str(listener.address) for listener in settings.listeners)
    click.echo(f"ok: {len(settings.sites)} site(s), {len(settings.origins)} origin(s), listening on {listeners}")


@main.command()
@_with_flags
def config(config: Path | None, **flags: object) -> None:
    """Print the configuration in force, defaults included, as TOML."""
    click.echo(show(_load(config, flags)), nl=False)


@main.command()
@_with_flags
def trust(config: Path | None, **flags: object) -> None:
    """Print the certificate of this node's own authority (tls = "internal"), and say how to trust it."""
    authority = certificates.authority(_load(config, flags))
    try:
        authority.ensure(time.time())
        pem = authority.ca.read_text()
    except OSError as error:
        _fail(f"{error.filename or authority.ca}: {error.strerror}", FAILED)
    click.echo(pem, nl=False)
    click.echo(_HOW_TO_TRUST.format(ca=authority.ca), err=True, nl=False)


@main.command()
@click.argument("url")
@click.option("--header", "-H", "headers", multiple=True, metavar="'Name: value'", help="Request field to send.")
@click.option("--method", "-X", default="GET", show_default=True, help="Request method.")
@click.option("--cacert", type=click.Path(exists=True, dir_okay=False), help="Certificates to trust for https.")
@click.option("--include", "-i", is_flag=True, help="Print the response head too.")
@click.option("--body", is_flag=True, help="Write the content to standard output.")
def get(url: str, headers: Sequence[str], method: str, cacert: str | None, *, include: bool, body: bool) -> None:
    """Send one request through an edge and say in a sentence what its cache did and why."""
    import http.client  # noqa: PLC0415 - what `serve` does without is imported here, for a node to start the sooner

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.UsageError(f"{url!r} is not a URL such as http://127.0.0.1:8080/path")
    connection = _connection(parts, cacert)
    fields = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.UsageError(f"{header!r} is not a field such as 'Accept: text/html'")
        fields[name.strip()] = value.strip()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    began = time.perf_counter()
    try:
        connection.request(method, path, headers=fields)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        _fail(f"no answer from {parts.netloc}: {error}", FAILED)
    seconds = time.perf_counter() - began
    if include:
        click.echo(f"{response.status} {response.reason}")
        for name, value in response.getheaders():
            click.echo(f"{name}: {value}")
        click.echo()
    if body:
        sys.stdout.buffer.write(content)
    told = sentence(response.status, response.getheader("Cache-Status"), response.getheader("Age"))
    click.echo(f"{response.status}  {len(content):,} octets  {seconds * 1000:.1f} ms  {told}", err=body)
    sys.exit(0 if response.status < 500 else FAILED)


def _connection(parts: SplitResult, cacert: str | None) -> "http.client.HTTPConnection":
    import http.client  # noqa: PLC0415 - as above

    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    context = ssl.create_default_context(cafile=cacert)
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=60, context=context)


def _tell(word: str, config: Path | None, flags: dict[str, object]) -> None:
    """Have the node of a configuration do something; its problems are an invalid configuration's."""
    settings = _load(config, flags)
    try:
        problems = ask(control_folder(settings), word)
    except NotAnswered as error:
        _fail(str(error), FAILED)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        sys.exit(INVALID)


def _load(path: Path | None, flags: dict[str, object]) -> Config:
    try:
        return _read(path, flags)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        sys.exit(INVALID)


def _read(path: Path | None, flags: dict[str, object]) -> Config:
    tls = _tls(flags)
    renamed = {
        "origins": list(flags["origins"] or ()),  # type: ignore[call-overload]  # click makes it a tuple
        "listen": list(flags["listen"] or ()),  # type: ignore[call-overload]  # click makes it a tuple
        "listen_tls": list(flags["listen_tls"] or ()),  # type: ignore[call-overload]  # click makes it a tuple
        "tls": tls,
        "admin.address": flags["admin"],
        "admin.token_file": flags["admin_token_file"],
        "cache.path": flags["cache"],
        "push.path": flags["push"],
        "cache.max_size": flags["cache_size"],
        "cache.memory": flags["memory"],
        "workers": flags["workers"],
        "profile": flags["profile"],
        "log.format": flags["log_format"],
    }
    return load(path, {name: value for name, value in renamed.items() if value is not None and value != []}, os.environ)


def _tls(flags: dict[str, object]) -> object:
    """Return `tls` as a file would have it, None without --listen-tls."""
    word, cert, key = flags["tls"], flags["tls_cert"], flags["tls_key"]
    if not flags["listen_tls"]:
        if word or cert or key:
            raise click.UsageError("--tls, --tls-cert and --tls-key are about --listen-tls, which is missing")
        return None
    if bool(word) == bool(cert) or bool(cert) != bool(key):
        raise click.UsageError("--listen-tls needs either --tls internal, or --tls-cert FILE and --tls-key FILE")
    return word or {"cert": cert, "key": key}


def _print_ready(urls: Sequence[str]) -> None:
    for url in urls:
        print(f"ready {url}", flush=True)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)
