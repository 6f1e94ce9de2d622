"""What a second worker brings on a machine with two cores, with a load that takes as little of them as can be.

    python -m benchmarks.scaling [--rounds 3] [--seconds 2]

The load is wrk with requests sent sixteen at a time, so that it has few system calls to make, for hits that are ready; and
one at a time for ranges of a hit, which take the full path.  Neither the node nor the load is bound to a core.
"""

import argparse
import contextlib
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks import load
from benchmarks.contestants import CONTESTANTS, OURS, Site, Started, certify, free_port, origin, running

_CORES = "0,1"
_CASES = {"hits, 16 at a time": (16, ""), "ranges of a hit": (1, "bytes=0-99")}
_SCRIPT = """
init = function()
  local each = {{}}
  for i = 1, {depth} do each[i] = wrk.format("GET", "{path}", {{["Range"] = {range}}}) end
  all = table.concat(each)
end
request = function() return all end
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    arguments = parser.parse_args()
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        Path(folder).chmod(0o755)
        ports = {workers: stack.enter_context(_node(Path(folder), workers)) for workers in (1, 2)}
        for number in range(arguments.rounds + 1):
            for case in _CASES:
                for workers, port in ports.items():
                    rate = _measure(Path(folder), port, case, arguments.seconds if number else 1)
                    # The first round warms up.
                    if number:
                        rates[case, workers].append(rate)
    print("| load | 1 worker | 2 workers | |\n|---|---|---|---|")
    for case in _CASES:
        one, two = (statistics.median(rates[case, workers]) for workers in (1, 2))
        print(f"| {case} | {one:,.0f}/s | {two:,.0f}/s | {two / one:.2f}x |")


@contextlib.contextmanager
def _node(folder: Path, workers: int) -> Iterator[int]:
    home = folder / f"node-{workers}"
    home.mkdir()
    certify(home / "site.pem")
    with contextlib.ExitStack() as stack:
        at_origin = free_port()
        (home / "origin").mkdir()
        stack.enter_context(
            running("origin", origin(at_origin, home / "origin"), at_origin, home / "origin", _CORES)
        )  # fmt: skip
        site = Site(free_port(), free_port(), at_origin, home / "site.pem")
        foreland = next(one for one in CONTESTANTS if one.name == OURS)
        started = foreland.start(site, home, False)
        command = [*started.command[:-1], str(workers)]
        stack.enter_context(running(OURS, Started(command, started.environment), site.port, home, _CORES))
        yield site.port


def _measure(folder: Path, port: int, case: str, seconds: int) -> float:
    depth, ranges = _CASES[case]
    script = folder / "load.lua"
    script.write_text(_SCRIPT.format(depth=depth, path="/hit/1k", range=f'"{ranges}"' if ranges else "nil"))
    command = [
        "wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-s", str(script), f"http://127.0.0.1:{port}/hit/1k",
    ]  # fmt: skip
    answered = load.parse(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if answered.failed:
        raise SystemExit(f"{answered.failed} requests failed")
    return answered.rate


if __name__ == "__main__":
    main()
