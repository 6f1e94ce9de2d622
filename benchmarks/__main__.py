"""Alternates the contestants, case by case, and prints medians and ratios."""

import argparse
from pathlib import Path

from benchmarks import report
from benchmarks.cases import CASES, QUICK
from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.measure import measure


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the most telling cases, three rounds of one second")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cases", help="of " + ", ".join(case.name for case in CASES))
    parser.add_argument("--peers", help="of " + ", ".join(one.name for one in CONTESTANTS))
    parser.add_argument("--output", type=Path, help="folder for results.md, results.json and results.html")
    given = parser.parse_args()
    rounds = given.rounds or (3 if given.quick else 5)
    seconds = given.seconds or (1 if given.quick else 4)
    wanted = given.cases.split(",") if given.cases else QUICK if given.quick else [case.name for case in CASES]
    peers = given.peers.split(",") if given.peers else [one.name for one in CONTESTANTS]
    cases = [case for case in CASES if case.name in wanted]
    contestants = [one for one in CONTESTANTS if (one.name in peers or one.name == OURS) and one.is_there]
    if not cases:
        parser.error("there is no such case")
    results = measure(cases, contestants, rounds, seconds)
    print(report.markdown(results))
    if given.output:
        report.write(results, given.output)


if __name__ == "__main__":
    main()
