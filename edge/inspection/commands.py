"""The commands `edge cache …`."""

import heapq
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from edge.errors import StoreDamaged, StoreError
from edge.inspection import details, shown
from edge.inspection.export import Exported, Folder, write_file
from edge.inspection.listing import failure_line, failure_record, print_responses
from edge.inspection.options import FAILED, Opened, fail, target_of, with_selection, with_store
from edge.inspection.selection import Facts, Selection, facts_of, selected
from edge.store.verify import Verification

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_SORTED: dict[str, Callable[[Facts], tuple[float | str, str]]] = {
    "size": lambda facts: (-facts.size, facts.url),
    "age": lambda facts: (-facts.age, facts.url),
    "url": lambda facts: (facts.url, facts.stored.generation.hex()),
}
_TOP: dict[str, Callable[[Facts], tuple[float | str, str]]] = {
    "largest": _SORTED["size"],
    "oldest": _SORTED["age"],
    "newest": lambda facts: (facts.age, facts.url),
}


@click.group()
def cache() -> None:
    """Look into the store of a node, whether it runs or not; changes nothing there.

    What was stored in the last few hundredths of a second may not be seen yet, and purges do not count: a response that
    was purged is listed until the node has freed it.  Pinned responses are never freed to make room; what they take of
    their quota is in the metrics.  A site with a quota has a store of its own: --site chooses it.
    """


@cache.command("list")
@with_store
@with_selection
@click.option("--sort", type=click.Choice(list(_SORTED)), help="Largest, oldest or alphabetically first on top.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many.")
@_JSON
def list_(opened: Opened, selection: Selection, *, sort: str | None, limit: int | None, as_json: bool) -> None:
    """List stored responses."""
    found: Iterable[Facts] = selected(opened.inspection, selection, opened.rules, opened.now)
    if sort is not None:
        found = sorted(found, key=_SORTED[sort]) if limit is None else heapq.nsmallest(limit, found, key=_SORTED[sort])
    print_responses(itertools.islice(found, limit), as_json=as_json)
    opened.note_unreadable()


@cache.command()
@with_store
@click.argument("url")
@_JSON
def show(opened: Opened, url: str, *, as_json: bool) -> None:
    """Show everything about URL: each variant, the arithmetic of its age, where it lies, whether it is whole."""
    found = _responses_of(opened, url)
    for number, facts in enumerate(found):
        chunks = details.chunks_of(opened.inspection, facts)
        if as_json:
            click.echo(shown.line(details.as_record(facts, chunks, opened.now)))
        else:
            click.echo("\n".join([*([""] if number else []), *details.as_lines(facts, chunks, opened.now)]))
    opened.note_unreadable()


@dataclass(slots=True)
class _Sum:
    """How many stored responses, the octets of content they hold, and the bytes of their records."""

    responses: int = 0
    content: int = 0
    disk: int = 0


@cache.command()
@with_store
@with_selection
@click.option(
    "--by", type=click.Choice(["host", "segment", "status", "type"]), default="host", show_default=True,
    help="What is added up.",
)  # fmt: skip
@_JSON
def du(opened: Opened, selection: Selection, *, by: str, as_json: bool) -> None:
    """Add up what stored responses take, the largest sum on top; a response may lie in several segments."""
    sums: dict[str, _Sum] = {}
    for facts in selected(opened.inspection, selection, opened.rules, opened.now):
        for name, part in _parts(opened, facts, by):
            total = sums.setdefault(name, _Sum())
            total.responses += part.responses
            total.content += part.content
            total.disk += part.disk
    ordered = sorted(sums.items(), key=lambda item: (-item[1].disk, item[0]))
    if as_json:
        for name, total in ordered:
            click.echo(shown.line({by: name} | asdict(total)))
    else:
        rows = [
            [str(total.responses), shown.size(total.content), shown.size(total.disk), name] for name, total in ordered
        ]
        click.echo("\n".join(shown.table(["RESPONSES", "CONTENT", "ON DISK", by.upper()], rows, right=3)))
    opened.note_unreadable()


@cache.command()
@with_store
@with_selection
@click.option("--by", type=click.Choice([*_TOP, "hits"]), default="largest", show_default=True, help="What is on top.")
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="How many.")
@_JSON
def top(opened: Opened, selection: Selection, *, by: str, limit: int, as_json: bool) -> None:
    """List the largest, newest or oldest stored responses; how often each was hit is not kept on disk."""
    if by == "hits":
        raise click.UsageError("hits are not kept on disk: count them in the access log")
    found = selected(opened.inspection, selection, opened.rules, opened.now)
    print_responses(heapq.nsmallest(limit, found, key=_TOP[by]), as_json=as_json)
    opened.note_unreadable()


@cache.command()
@with_store
@_JSON
def verify(opened: Opened, *, as_json: bool) -> None:
    """Read every record and report each one that fails; exit code 1 when one does."""
    with click.progressbar(
        length=opened.inspection.size(), label="verifying", file=sys.stderr, update_min_steps=1 << 22,
        hidden=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        verification = Verification(opened.inspection, bar.update)
        for failure in verification.failures():
            click.echo(shown.line(failure_record(failure)) if as_json else failure_line(failure))
    tally = verification.tally
    if as_json:
        click.echo(shown.line({"verified": asdict(tally)}))
    else:
        click.echo(
            f"{tally.records} records in {tally.segments} segments, {shown.size(tally.size)}: {tally.live} in use, "
            f"{tally.unindexed} not indexed yet, {tally.orphans} orphans, {tally.dangling} dangling, "
            f"{tally.vanished} vanished meanwhile; {tally.failures or 'none'} failed"
        )
    if tally.failures:
        sys.exit(FAILED)


@cache.command()
@with_store
@with_selection
@click.argument("url", required=False)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="File; standard output without.")
@click.option("--generation", metavar="HEX", help="Which variant of URL, as show has it.")
@click.option("--all", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="All selected.")
@click.option("--partial", is_flag=True, help="Incomplete content too: the octets held, one range after the other.")
def export(
    opened: Opened, selection: Selection, *, url: str | None, output: Path | None, generation: str | None,
    folder: Path | None, partial: bool,
) -> None:  # fmt: skip
    """Write the content of URL to a file, or of all that is selected to the new directory DIR with a manifest.jsonl."""
    if (url is None) is (folder is None):
        raise click.UsageError("give a URL, or --all with a directory")
    if folder is not None:
        if output is not None or generation is not None:
            raise click.UsageError("--output and --generation are about one URL, --all is about many")
        _refuse_inside(folder, opened)
        _export_all(opened, selection, folder, partial=partial)
    elif url is not None:
        if selection != Selection():
            raise click.UsageError("options that select are for --all: a URL is selected by --generation")
        _export_one(opened, url, generation, output, partial=partial)


def _export_one(opened: Opened, url: str, generation: str | None, output: Path | None, *, partial: bool) -> None:
    found = [facts for facts in _responses_of(opened, url) if generation in {None, facts.stored.generation.hex()}]
    if not found:
        fail(f"{url} has no generation {generation}", FAILED)
    if len(found) > 1:
        names = ", ".join(facts.stored.generation.hex() for facts in found)
        fail(f"{url} has {len(found)} variants: choose one with --generation, of {names}", FAILED)
    (facts,) = found
    if not facts.stored.is_complete and not partial:
        fail(f"{url} is incomplete, {facts.size:,} octets are held: --partial writes these", FAILED)
    pieces = opened.inspection.content(facts.stored)
    if output is not None:
        _refuse_inside(output, opened)
        click.echo(f"{write_file(pieces, output):,} octets to {output}", err=True)
        return
    for piece in pieces:
        sys.stdout.buffer.write(piece)


def _export_all(opened: Opened, selection: Selection, path: Path, *, partial: bool) -> None:
    done = Exported()
    with Folder(path) as folder:
        for facts in selected(opened.inspection, selection, opened.rules, opened.now):
            done.incomplete += not facts.stored.is_complete
            if not facts.stored.is_complete and not partial:
                continue
            try:
                done.octets += folder.add(opened.inspection, facts)
                done.written += 1
            except StoreDamaged as error:
                done.failed += 1
                click.echo(f"{facts.url}: {error}", err=True)
    kept = "written too" if partial else "left out"
    click.echo(
        f"{done.written} written, {shown.size(done.octets)}; {done.incomplete} incomplete ones {kept}; "
        f"{done.failed} could not be read",
        err=True,
    )
    opened.note_unreadable()
    if done.failed:
        sys.exit(FAILED)


def _refuse_inside(path: Path, opened: Opened) -> None:
    """Never write into the store: it belongs to the node."""
    if path.resolve().is_relative_to(opened.inspection.path.resolve()):
        raise StoreError(f"{path} is inside the store")


def _responses_of(opened: Opened, url: str) -> list[Facts]:
    """Return the stored responses of a URL, or end the program when there is none."""
    found = opened.inspection.lookup(opened.key(target_of(url)))
    if not found:
        opened.note_unreadable()
        fail(f"{url} is not stored", FAILED)
    return [facts_of(located, opened.rules, opened.now) for located in found]


def _parts(opened: Opened, facts: Facts, by: str) -> Iterator[tuple[str, _Sum]]:
    """Yield what a stored response adds to which sum."""
    place = facts.located.place
    chunks = list(opened.inspection.chunks_of(facts.stored.generation))
    if by != "segment":
        host = shown.text(facts.target.authority) if facts.target is not None else "-"
        name = {"host": host, "status": str(facts.stored.status), "type": facts.type}[by]
        yield name, _Sum(1, facts.size, place.length + sum(found.place.length for found in chunks))
        return
    parts = {place.segment: _Sum(1, 0, place.length)}
    for found in chunks:
        part = parts.setdefault(found.place.segment, _Sum(1))
        part.content += found.end - found.start
        part.disk += found.place.length
    for segment, part in parts.items():
        yield f"{segment:08x}", part
