"""The results as a table in Markdown, as JSON, and as one HTML page with plots."""

import html
import io
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.contestants import OURS
from benchmarks.measure import Result, Results

_COLUMNS: list[tuple[str, Callable[[Result], float | None], str]] = [
    ("p50 ms", lambda result: result.answered.p50 * 1e3, "{:.2f}"),
    ("p99 ms", lambda result: result.answered.p99 * 1e3, "{:.2f}"),
    ("MB/s", lambda result: result.answered.octets / 1e6 or None, "{:,.0f}"),
    ("CPU s / 10⁶", lambda result: result.cpu, "{:.0f}"),
    ("memory MB", lambda result: result.memory / 1e6, "{:.0f}"),
    ("KiB / idle", lambda result: result.idle_memory and result.idle_memory / 1024, "{:.1f}"),
    ("at origin", lambda result: result.at_origin, "{:.0f}"),
    ("failed", lambda result: result.answered.failed, "{:.0f}"),
]


def ratio(results: Results, case: str, name: str) -> float | None:
    """Return the median of our rate's ratio to that of `name` in the same round, None if one of the two gave no answer."""
    ours, theirs = results[case].get(OURS), results[case].get(name)
    if not ours or not theirs or not all(result.answered.rate for result in theirs):
        return None
    return statistics.median(a.answered.rate / b.answered.rate for a, b in zip(ours, theirs, strict=True))


def markdown(results: Results) -> str:
    """Return the tables: rates and ratios, then what else was measured; medians of all rounds."""
    names = _names(results)
    lines = [_row(["requests/s", *names]), _row(["---"] * (len(names) + 1))]
    for case, of_case in results.items():
        rates = [_median(of_case.get(name, ()), lambda result: result.answered.rate) for name in names]
        cells = ["" if rate is None else f"{rate:,.0f}" for rate in rates]
        ratios = [None if name == OURS else ratio(results, case, name) for name in names]
        cells = [cell + (f" ({times:.2f}x)" if times else "") for cell, times in zip(cells, ratios, strict=True)]
        lines.append(_row([case, *cells]))
    lines += ["", f"In brackets: {OURS} is so many times as fast.", ""]
    lines += [_row(["case", "program", *(title for title, _, _ in _COLUMNS)]), _row(["---"] * (len(_COLUMNS) + 2))]
    for case, of_case in results.items():
        for name, rounds in of_case.items():
            values = [(_median(rounds, value), form) for _, value, form in _COLUMNS]
            lines.append(_row([case, name, *("" if value is None else form.format(value) for value, form in values)]))
    return "\n".join(lines) + "\n"


def write(results: Results, folder: Path) -> None:
    """Write results.md, results.json and results.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(markdown(results))
    every = {
        case: {name: [asdict(one) for one in rounds] for name, rounds in of.items()} for case, of in results.items()
    }
    (folder / "results.json").write_text(json.dumps(every, indent=1))
    page = f"<!doctype html><meta charset=utf-8><title>Foreland beside its peers</title>{_plots(results)}"
    (folder / "results.html").write_text(f"{page}<pre>{html.escape(markdown(results))}</pre>")


def _plots(results: Results) -> str:
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second, and only the page needs it

    figure = Figure(figsize=(11, 3.2 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 2, squeeze=False)
    for (rates, times), (case, of_case) in zip(axes, results.items(), strict=True):
        names = list(of_case)
        rates.barh(names, [_median(of_case[name], lambda result: result.answered.rate) for name in names])
        rates.set(title=f"{case}: requests a second")
        times.barh(names, [_median(of_case[name], lambda result: result.answered.p99 * 1e3) for name in names])
        times.set(title=f"{case}: p99, milliseconds")
        for axis in (rates, times):
            axis.invert_yaxis()
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg")
    return drawn.getvalue().partition("<svg")[1] + drawn.getvalue().partition("<svg")[2]


def _names(results: Results) -> list[str]:
    """Return who took part; not everybody does in every case."""
    return list(dict.fromkeys(name for of_case in results.values() for name in of_case))


def _median(rounds: Sequence[Result], value: Callable[[Result], float | None]) -> float | None:
    values = [found for result in rounds if (found := value(result)) is not None]
    return statistics.median(values) if values else None


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
