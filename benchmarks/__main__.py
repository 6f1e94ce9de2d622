"""Alternates the contestants, case by case, and prints medians and ratios."""

import argparse
import contextlib
import itertools
import json
import statistics
import tempfile
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, LOAD_CORE, SERVER_CORE, Contestant, free_port, origin, running
from benchmarks.load import Result, ask


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked: a path, by how many connections, and whether each request is for a path of its own."""

    name: str
    path: str
    connections: int = 64
    is_unique: bool = False


CASES = [
    Case("hit-1k", "/hit/1k"),
    Case("hit-10k", "/hit/10k"),
    Case("hit-100k", "/hit/100k"),
    Case("hit-10m", "/hit/10m", connections=8),
    Case("miss-1k", "/miss/1k", is_unique=True),
    Case("pass-1k", "/pass/1k", is_unique=True),
]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds of one second")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cases", default=",".join(case.name for case in CASES))
    parser.add_argument("--peers", default=",".join(contestant.name for contestant in CONTESTANTS))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    seconds = arguments.seconds or (1 if arguments.quick else 4)
    cases = [case for case in CASES if case.name in arguments.cases.split(",")]
    contestants = [one for one in CONTESTANTS if one.name in arguments.peers.split(",") and one.is_there]
    results = measure(cases, contestants, rounds, seconds)
    print(markdown(results, contestants))
    if arguments.output:
        arguments.output.write_text(
            json.dumps(
                {case: {name: [asdict(r) for r in rs] for name, rs in of.items()} for case, of in results.items()},
                indent=1,
            )
        )


def measure(
    cases: list[Case], contestants: list[Contestant], rounds: int, seconds: float
) -> dict[str, dict[str, list[Result]]]:
    """Return for each case and contestant the result of each round, the contestants taking turns."""
    results: dict[str, dict[str, list[Result]]] = {}
    counter = itertools.count(1)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        at_origin = free_port()
        (folder / "origin").mkdir()
        stack.enter_context(
            running("origin", origin(at_origin, folder / "origin"), at_origin, folder / "origin", LOAD_CORE)
        )
        ports = {}
        for contestant in contestants:
            home = folder / contestant.name
            home.mkdir()
            home.chmod(0o755)
            ports[contestant.name] = free_port()
            started = contestant.start(ports[contestant.name], at_origin, home)
            stack.enter_context(running(contestant.name, started, ports[contestant.name], home, SERVER_CORE))
        for case in cases:
            of_case: dict[str, list[Result]] = {contestant.name: [] for contestant in contestants}
            for number in range(rounds + 1):
                for contestant in contestants:
                    url = f"http://127.0.0.1:{ports[contestant.name]}{case.path}"
                    with urllib.request.urlopen(url + ("/warm" if case.is_unique else "")) as response:
                        response.read()
                    result = ask(
                        url,
                        connections=case.connections,
                        seconds=seconds if number else 1,
                        unique_from=next(counter) * 10_000_000 if case.is_unique else None,
                        folder=folder,
                    )
                    # The first round warms caches and branch predictors up.
                    if number:
                        of_case[contestant.name].append(result)
            results[case.name] = of_case
    return results


def markdown(results: dict[str, dict[str, list[Result]]], contestants: list[Contestant]) -> str:
    """Return the table: medians of requests a second, and of Foreland's ratio to each in the same round."""
    names = [contestant.name for contestant in contestants]
    lines = ["| case | " + " | ".join(names) + " | p99 ms | failed |", "|---" * (len(names) + 3) + "|"]
    for case, of_case in results.items():
        cells = []
        ours = of_case.get("foreland", [])
        for name in names:
            rate = statistics.median(result.rate for result in of_case[name])
            cell = f"{rate:,.0f}/s"
            if name != "foreland" and ours:
                ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, of_case[name], strict=True) if b.rate)
                cell += f" ({ratio:.2f}x)"
            cells.append(cell)
        p99 = " / ".join(f"{statistics.median(r.p99 for r in of_case[name]) * 1e3:.1f}" for name in names)
        failed = sum(result.failed for rs in of_case.values() for result in rs)
        lines.append(f"| {case} | " + " | ".join(cells) + f" | {p99} | {failed} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
