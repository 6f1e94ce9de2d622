"""One line for each stored response, and for each record that fails."""

from collections.abc import Iterable
from itertools import islice

import click

from edge.inspection import shown
from edge.inspection.selection import Facts
from edge.store.faults import Failure

_HEADS = ("SIZE", "AGE", "LEFT", "STATUS", "URL")
# Rows that are laid out together: there may be more than anybody wants to wait for.
_PAGE = 200


def print_responses(found: Iterable[Facts], *, as_json: bool) -> None:
    """Print stored responses: a table, with its heads once more on each page, or one JSON object a line."""
    if as_json:
        for facts in found:
            click.echo(shown.line(facts.record()))
        return
    rows = (_row(facts) for facts in found)
    page = list(islice(rows, _PAGE))
    click.echo("\n".join(shown.table(_HEADS, page, right=4)))
    while page := list(islice(rows, _PAGE)):
        click.echo("\n".join(shown.table(_HEADS, page, right=4)))


def failure_line(failure: Failure) -> str:
    """Return what a terminal shows of a failure."""
    if failure.segment is None:
        return f"{failure.fault.value}: {failure.problem}"
    words = [failure.fault.value, f"segment {failure.segment:08x} offset {failure.offset}"]
    if failure.kind is not None:
        words.append(
            f"{failure.kind.name.lower()} from octet {failure.start}" if failure.start else failure.kind.name.lower()
        )
        words.append(f"of {shown.url(failure.key)}" if failure.key is not None else "of an unknown URL")
        if not failure.is_live:
            words.append("(not in use)")
    return f"{' '.join(words)}: {failure.problem}"


def failure_record(failure: Failure) -> dict[str, object]:
    """Return what a line of JSON says of a failure."""
    return {
        "fault": failure.fault.value,
        "problem": failure.problem,
        "segment": failure.segment,
        "offset": failure.offset,
        "kind": failure.kind.name.lower() if failure.kind is not None else None,
        "generation": failure.generation.hex() if failure.generation is not None else None,
        "start": failure.start,
        "url": shown.url(failure.key) if failure.key is not None else None,
        "is_live": failure.is_live,
    }


def _row(facts: Facts) -> list[str]:
    stored = facts.stored
    asked = [f"{name}={value or ''}" for name, value in shown.nominated(stored.nominated).items()]
    notes = [f"[{' '.join(asked)}]"] * bool(asked) + ["(incomplete)"] * (not stored.is_complete)
    notes += ["(pinned)"] * stored.pinned
    left = shown.duration(facts.lifetime - facts.age)
    return [shown.size(facts.size), shown.duration(facts.age), left, str(stored.status), " ".join([facts.url, *notes])]
