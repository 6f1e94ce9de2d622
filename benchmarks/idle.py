"""What rate active connections keep beside idle ones: alone and beside them in turns, in one process.

python -m benchmarks.idle
"""

import statistics

from benchmarks import load
from benchmarks.cases import CASES
from benchmarks.contestants import CONTESTANTS, OURS
from benchmarks.measure import IDLE, placed

_ROUNDS, _SECONDS = 9, 2.0


def main() -> None:
    """Print the rates of each round, and the median of what is kept."""
    case = next(each for each in CASES if each.name == "hit-1k-2000")
    ours = [each for each in CONTESTANTS if each.name == OURS]
    with placed(ours, is_disk=False) as (place,):
        place.warm(case)
        url, kept = place.url(case), []

        def rate() -> float:
            return load.peak(url, connections=case.connections, seconds=_SECONDS, folder=place.folder).rate

        rate()
        for _ in range(_ROUNDS):
            alone = rate()
            with load.held(url, IDLE):
                beside = rate()
            kept.append(beside / alone)
            print(f"{alone:,.0f}/s alone, {beside:,.0f}/s beside {IDLE:,} idle connections: {kept[-1]:.2f}", flush=True)
    print(f"median of {_ROUNDS}: {statistics.median(kept):.2f}")


if __name__ == "__main__":
    main()
