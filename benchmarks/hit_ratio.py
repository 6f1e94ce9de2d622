"""What stays: replays a trace through the policies that serve, through LRU, and through libcachesim's policies.

    python -m benchmarks.hit_ratio                      all presets; three minutes of one core, seconds with --quick
    python -m benchmarks.hit_ratio --presets web        one of them
    python -m benchmarks.hit_ratio --trace trace.csv    time (seconds), key, size (octets)

Each cell is object hit ratio / byte hit ratio, and what was written to the disk, in percent of what was asked for.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from benchmarks import replay
from benchmarks.replay import ALWAYS_PRESSED, Result
from benchmarks.traces import PRESETS, Trace, generate, read
from edge.config.kinds import DURATION
from edge.config.schema import BY_PATH

# What a node looks after that is not told otherwise, seconds.
MIN_AGE = DURATION.read(BY_PATH["cache.min_age"].default)
SHARES = (0.01, 0.02, 0.05, 0.10, 0.30)
QUICK_SHARES = (0.02, 0.10)
QUICK_SCALE = 0.2

Replay = Callable[[Trace, int], Result]

# By their names in libcachesim.
ORACLES = {"LRU": "LRU", "SIEVE": "Sieve", "S3-FIFO": "S3FIFO", "GDSF": "GDSF"}


def main(arguments: list[str] | None = None) -> None:
    """Replay, and print a table for each trace."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hit_ratio", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", default=",".join(PRESETS), help="which, with commas (default: all)")
    parser.add_argument("--trace", type=Path, help="a CSV file to replay instead")
    parser.add_argument("--quick", action="store_true", help="a fifth of the requests, two cache sizes")
    parser.add_argument("--scale", type=float, help="so many times the requests of the presets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--min-age", type=float, default=MIN_AGE, help="seconds, for the admission (%(default)s)")
    options = parser.parse_args(arguments)
    scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    shares = QUICK_SHARES if options.quick else SHARES
    oracle = _oracle()
    if oracle is None:
        print("libcachesim is not installed, so its policies are left out: pip install 'foreland[bench]'\n")
    if options.trace:
        report(options.trace.name, read(options.trace), shares, options.min_age, oracle)
        return
    for name in options.presets.split(","):
        if name not in PRESETS:
            parser.error(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
        report(name, generate(PRESETS[name], scale=scale, seed=options.seed), shares, options.min_age, oracle)


def report(name: str, trace: Trace, shares: tuple[float, ...], min_age: float, oracle: ModuleType | None) -> None:
    """Replay `trace` through caches of `shares` of its footprint, and print the table."""
    began = time.monotonic()
    footprint, asked = trace.footprint, sum(trace.sizes)
    print(
        f"### {name}: {len(trace.keys):,} requests, {len(set(trace.keys)):,} keys, {footprint / 1e9:.1f} GB,"
        f" at most {_ratio(1 - len(set(trace.keys)) / len(trace.keys))} / {_ratio(1 - footprint / asked)}\n"
    )
    print("| policy |" + "".join(f" {share:.0%} |" for share in shares))
    print("|---|" + "---|" * len(shares))
    with tempfile.TemporaryDirectory() as folder:
        for policy, run in _policies(min_age, oracle, trace, Path(folder)).items():
            cells = [_cell(run(trace, int(footprint * share))) for share in shares]
            print(f"| {policy} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{time.monotonic() - began:.0f} s\n", flush=True)


def _policies(min_age: float, oracle: ModuleType | None, trace: Trace, folder: Path) -> dict[str, Replay]:
    policies: dict[str, Replay] = {"LRU": replay.lru, "memory tier": replay.memory}
    ages = {
        "disk tier, everything admitted": 0.0,
        f"disk tier, admission below {min_age / 3600:g} h": min_age,
        "disk tier, admission always": ALWAYS_PRESSED,
    }
    for policy, age in ages.items():
        policies[policy] = lambda trace, capacity, age=age: replay.disk(trace, capacity, min_age=age)
    if oracle is not None:
        reader = _reader(oracle, trace, folder / "trace.csv")
        for policy, kind in ORACLES.items():
            policies[f"libcachesim {policy}"] = _judged(getattr(oracle, kind), reader)
    return policies


def _oracle() -> ModuleType | None:
    try:
        import libcachesim  # noqa: PLC0415 - the table is of use without it
    except ImportError:
        return None
    return libcachesim


def _reader(oracle: ModuleType, trace: Trace, path: Path) -> object:
    """Return `trace` as libcachesim reads it: keys as numbers from 1 on."""
    numbers: dict[bytes, int] = {}
    with path.open("w") as file:
        file.write("time,key,size\n")
        for now, key, size in zip(trace.times, trace.keys, trace.sizes, strict=True):
            file.write(f"{int(now)},{numbers.setdefault(key, len(numbers) + 1)},{size}\n")
    columns = oracle.ReaderInitParam(has_header=True, has_header_set=True, obj_id_is_num=True, obj_id_is_num_set=True)
    columns.time_field, columns.obj_id_field, columns.obj_size_field = 1, 2, 3
    return oracle.TraceReader(str(path), oracle.TraceType.CSV_TRACE, columns)


def _judged(kind: Callable[[int], object], reader: object) -> Replay:
    def run(_: Trace, capacity: int) -> Result:
        reader.reset()
        missed, bytes_missed = kind(capacity).process_trace(reader)
        return Result(1 - missed, 1 - bytes_missed)

    return run


def _cell(result: Result) -> str:
    written = "" if result.written is None else f", {_ratio(result.written)}"
    return f"{_ratio(result.hits)} / {_ratio(result.bytes)}{written}"


def _ratio(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
