"""The commands that speak to edges: purge, push, publish, preload, status."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import click

from origin import publishing, pushing
from origin.client import UNIX, Answer, Edges
from origin.quantities import parse_size

#: Exit codes: 0 every node did it, 1 none did, 2 wrong usage, 4 some did.
FAILED, PARTIAL = 1, 4

_nodes = click.option(
    "--node",
    "nodes",
    multiple=True,
    required=True,
    metavar="URL",
    help="Admin plane of an edge: URL or unix:/PATH; more than one for more.",
)
_ca_file = click.option(
    "--ca-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Certificates to trust for https nodes, in place of the system's.",
)  # fmt: skip
_token_file = click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="File with the token."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each node.")


@click.command()
@click.option("--url", "urls", multiple=True, metavar="URL", help="A URL, with all its variants.")
@click.option("--prefix", "prefixes", multiple=True, metavar="PREFIX", help="A path and all below: a.example/blog.")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="A host.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag or cache group.")
@click.option("--everything", is_flag=True, help="All there is.")
@click.option("--hard", is_flag=True, help="As if it had never been there; otherwise it is stale, and validated.")
@click.option("--dry-run", is_flag=True, help="Only say what would be purged.")
@click.option("--rewarm", type=click.IntRange(0, 500), default=0, metavar="N", help="Fetch the N most asked for anew.")
@_nodes
@_token_file
@_ca_file
@_as_json
def purge(  # noqa: PLR0913, PLR0917 - one for each option
    urls: Sequence[str],
    prefixes: Sequence[str],
    hosts: Sequence[str],
    tags: Sequence[str],
    everything: bool,  # noqa: FBT001 - click gives it by name
    hard: bool,  # noqa: FBT001 - the same
    dry_run: bool,  # noqa: FBT001 - the same
    rewarm: int,
    nodes: Sequence[str],
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,  # noqa: FBT001 - the same
) -> None:
    """Purge on every edge that is named, and say what each did."""
    if not (urls or prefixes or hosts or tags or everything):
        raise click.UsageError("name what to purge: --url, --prefix, --host, --tag or --everything")

    async def ask(edges: Edges) -> list[Answer]:
        return await edges.purge(
            urls=urls,
            prefixes=prefixes,
            hosts=hosts,
            tags=tags,
            everything=everything,
            hard=hard,
            dry_run=dry_run,
            rewarm=rewarm,
        )

    _finish(_asked(nodes, token_file, ca_file, ask), _dry if dry_run else _purged, as_json=as_json)


@click.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option(
    "--file", "files", multiple=True, type=click.File("r"), metavar="FILE", help="URLs, one a line; - for stdin."
)
@click.option("--sitemap", "sitemaps", multiple=True, metavar="URL", help="A sitemap, or an index of sitemaps.")
@click.option("--concurrency", type=click.IntRange(1, 64), metavar="N", help="URLs asked for at a time, 4 by default.")
@click.option("--rate", metavar="SIZE", help="Content a second on average, such as 2MiB.")
@click.option("--window", metavar="HH:MM-HH:MM", help="Only at these times of day, in UTC.")
@click.option("--retries", type=click.IntRange(0, 10), metavar="N", help="Tries for what cannot be had, 3 by default.")
@click.option("--wait", is_flag=True, help="Wait until all is done; an edge where a URL has failed counts as failed.")
@_nodes
@_token_file
@_ca_file
@_as_json
def preload(  # noqa: PLR0913, PLR0917 - one for each option
    urls: Sequence[str],
    files: Sequence[IO[str]],
    sitemaps: Sequence[str],
    concurrency: int | None,
    rate: str | None,
    window: str | None,
    retries: int | None,
    wait: bool,  # noqa: FBT001 - click gives it by name
    nodes: Sequence[str],
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,  # noqa: FBT001 - the same
) -> None:
    """Let every edge that is named ask for URLs, so that visitors find them stored.

    The edges go on by themselves, over restarts, and ask as visitors would: what may not be stored is not.
    """
    try:
        wanted = [*urls, *(line.strip() for file in files for line in file if line.strip())]
        octets = None if rate is None else parse_size(rate)
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error
    if not wanted and not sitemaps:
        raise click.UsageError("name what to preload: URLs, --file or --sitemap")
    given = {"concurrency": concurrency, "rate": octets, "window": window, "retries": retries}
    limits = {name: value for name, value in given.items() if value is not None}
    shown = wait and sys.stderr.isatty()
    with click.progressbar(length=0, label="preloading", file=sys.stderr, hidden=not shown) as bar:
        far: dict[str, tuple[int, int]] = {}

        def report(node: str, told: Mapping[str, Any]) -> None:
            far[node] = sum(told[name] for name in ("stored", "fresh", "not_stored", "failed")), told["total"]
            bar.length = sum(total for _, total in far.values())
            bar.update(sum(done for done, _ in far.values()) - bar.pos)

        async def ask(edges: Edges) -> list[Answer]:
            jobs = await edges.preload(wanted, sitemaps=sitemaps, limits=limits)
            if not wait:
                return jobs
            async with asyncio.TaskGroup() as group:
                ends = [group.create_task(edges.preload_done(job, partial(report, job.node))) for job in jobs]
            return [_with_failures(end.result()) for end in ends]

        answers = _asked(nodes, token_file, ca_file, ask)
    _finish(answers, _preloaded, as_json=as_json)


def _with_failures(job: Answer) -> Answer:
    failed = job.told.get("failed", 0)
    if not job.is_ok or (not failed and job.told.get("state") == "done"):
        return job
    problems = [
        f"{each['url']}: {each['reason']}" for each in job.told.get("problems", ()) if each["outcome"] == "failed"
    ]
    return replace(job, error="\n  ".join([_preloaded(job), *problems[:10]]))


def _preloaded(answer: Answer) -> str:
    told = answer.told
    return (
        f"job {told['id']} is {told['state']}: {told['total']:,} URLs, {told['stored']:,} stored, {told['fresh']:,} there already, "
        f"{told['not_stored']:,} not stored, {told['failed']:,} failed"
    )


@click.command()
@_nodes
@_token_file
@_ca_file
@_as_json
def status(nodes: Sequence[str], token_file: Path | None, ca_file: Path | None, *, as_json: bool) -> None:
    """Say how every edge that is named is doing."""
    _finish(_asked(nodes, token_file, ca_file, Edges.status), _figures, as_json=as_json)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--url", "base", required=True, metavar="URL", help="What the folder is at the site: https://www.example.com/"
)
@click.option("--field", "-H", "fields", multiple=True, metavar="'Name: value'", help="Field of every response.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@_nodes
@_token_file
@_ca_file
@_as_json
def push(
    folder: Path,
    base: str,
    fields: Sequence[str],
    dry_run: bool,  # noqa: FBT001 - click gives it by name
    nodes: Sequence[str],
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,  # noqa: FBT001 - the same
) -> None:
    """Push the files of a folder to every edge that is named; each is sent only what it lacks.

    What is pushed is served without the origin, and stays until it is pushed anew, purged or removed.
    """
    given, files = _given(fields), _found(folder, base)
    octets = sum(file.length for file in files) * len(nodes)
    with _progress("pushing", octets) as done:

        async def ask(edges: Edges) -> list[Answer]:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(pushing.push(edges, node, files, given, done, is_dry=dry_run)) for node in nodes
                ]
            return [each.result().answer() for each in asked]

        answers = _asked(nodes, token_file, ca_file, ask)
    _finish(answers, _would_push if dry_run else _pushed, as_json=as_json)


_site = click.option("--site", required=True, metavar="NAME", help="The site, by the first of its hosts.")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@_site
@click.option("--field", "-H", "fields", multiple=True, metavar="'Name: value'", help="Field of every response.")
@click.option("--dry-run", is_flag=True, help="Send what is lacking, but serve the version before still.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Delete all but the N newest versions afterwards.")
@_nodes
@_token_file
@_ca_file
@_as_json
def publish(  # noqa: PLR0913, PLR0917 - one for each option
    folder: Path,
    site: str,
    fields: Sequence[str],
    dry_run: bool,  # noqa: FBT001 - click gives it by name
    keep: int | None,
    nodes: Sequence[str],
    token_file: Path | None,
    ca_file: Path | None,
    as_json: bool,  # noqa: FBT001 - the same
) -> None:
    """Publish a folder as a new version of a site, on every edge that is named: whole, and at once.

    Only contents that an edge lacks are sent.  What is published is served without the origin.
    """
    files = _found(folder, "")
    manifest = publishing.manifest(site, files, _given(fields))

    with _progress("publishing", publishing.octets(files) * len(nodes)) as done:

        async def ask(edges: Edges) -> list[Answer]:
            return await publishing.publish(edges, nodes, manifest, files, done, activates=not dry_run, keep=keep)

        answers = _asked(nodes, token_file, ca_file, ask)
    _finish(answers, _published, as_json=as_json)


@click.command()
@_site
@_nodes
@_token_file
@_ca_file
@_as_json
def rollback(site: str, nodes: Sequence[str], token_file: Path | None, ca_file: Path | None, *, as_json: bool) -> None:
    """Serve the version of a site before the one that is served, on every edge that is named."""
    _finish(_asked(nodes, token_file, ca_file, lambda edges: edges.rollback(site)), _published, as_json=as_json)


@click.command()
@_site
@_nodes
@_token_file
@_ca_file
@_as_json
def versions(site: str, nodes: Sequence[str], token_file: Path | None, ca_file: Path | None, *, as_json: bool) -> None:
    """List the versions of a site on every edge that is named."""
    _finish(_asked(nodes, token_file, ca_file, lambda edges: edges.versions(site)), _listed, as_json=as_json)


def _found(folder: Path, base: str) -> list[pushing.File]:
    try:
        return pushing.found(folder, base)
    except pushing.Unreadable as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(FAILED)


@contextmanager
def _progress(label: str, octets: int) -> Iterator[Callable[[int], None]]:
    """Show a bar, on a terminal only; what is yielded is told of octets that are done."""
    with click.progressbar(length=octets, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        yield bar.update


def _given(fields: Sequence[str]) -> dict[str, str]:
    given = {}
    for each in fields:
        name, colon, value = each.partition(":")
        if not colon:
            raise click.UsageError(f"{each!r} is not a field such as 'Cache-Control: max-age=60'")
        given[name.strip()] = value.strip()
    return given


def _asked(
    nodes: Sequence[str], token_file: Path | None, ca_file: Path | None, ask: Callable[[Edges], Awaitable[list[Answer]]]
) -> list[Answer]:
    for node in nodes:
        if not node.startswith(("http://", "https://", f"{UNIX}/")):
            told = f"{node!r} is neither a URL such as http://127.0.0.1:8901, nor unix:/PATH"
            raise click.BadParameter(told, param_hint="--node")
    try:
        token = token_file.read_text("utf-8").strip() if token_file is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{token_file} cannot be read: {error}", param_hint="--token-file") from error
    if not token.isascii() or not token.isprintable() or " " in token:
        raise click.BadParameter(f"{token_file} does not hold one token alone", param_hint="--token-file")

    try:
        asked = Edges(nodes, token, ca_file)
    except OSError as error:
        raise click.BadParameter(
            f"{ca_file} holds no certificates: {error.strerror}", param_hint="--ca-file"
        ) from error

    async def asking() -> list[Answer]:
        async with asked as edges:
            return await ask(edges)

    return asyncio.run(asking())


def _finish(answers: Sequence[Answer], line: Callable[[Answer], str], *, as_json: bool) -> None:
    for answer in answers:
        if as_json:
            members = {"node_url": answer.node, "ok": answer.is_ok, "status": answer.status}
            click.echo(json.dumps({**answer.told, **members, **({"error": answer.error} if answer.error else {})}))
        elif answer.is_ok:
            click.echo(f"{answer.node}  {line(answer)}")
        else:
            click.echo(f"{answer.node}  failed: {answer.error}", err=True)
    done = sum(answer.is_ok for answer in answers)
    if done < len(answers):
        sys.exit(PARTIAL if done else FAILED)


def _purged(answer: Answer) -> str:
    told = answer.told
    count = len(told.get("selectors", ()))
    return f"purge {told.get('id')} on {told.get('node')}: {count} name(s), now {told.get('effect')}"


def _pushed(answer: Answer) -> str:
    told = answer.told
    return f"{told['sent']:,} sent, {told['octets']:,} octets; {told['kept']:,} were there"


def _published(answer: Answer) -> str:
    told = answer.told
    sent = f"; {told['sent']:,} contents sent" if "sent" in told else ""
    return f"{told.get('site')} is version {told.get('id')}{sent}"


def _listed(answer: Answer) -> str:
    lines = [
        f"{each['id']} {'*' if each['is_active'] else ' '} {each['paths']:,} paths, by {each['by']}"
        for each in answer.told.get("versions", ())
    ]
    return "\n  ".join([f"{len(lines)} version(s)", *lines])


def _would_push(answer: Answer) -> str:
    return f"would send: {_pushed(answer)}"


def _dry(answer: Answer) -> str:
    told = answer.told
    more = "" if told.get("is_complete") else " or more (not all was looked at)"
    return "\n  ".join([f"would hit {told.get('count')} stored response(s){more}", *told.get("samples", ())])


def _figures(answer: Answer) -> str:
    told = answer.told
    ratio = told.get("windows", {}).get("1m", {}).get("hit_ratio")
    hits = "no requests in the last minute" if ratio is None else f"{ratio:.0%} hits in the last minute"
    return f"{told.get('node')} {told.get('version')}: {hits}, {told.get('store', {}).get('objects')} stored"
