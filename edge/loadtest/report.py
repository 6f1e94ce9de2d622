"""What a load showed, for people and for programs."""

from collections.abc import Sequence

from edge.loadtest.load import Counts

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def summary(counts: Counts) -> dict[str, object]:
    """Return the counts as JSON would have them: rates a second, latencies in milliseconds, shares from 0 to 1."""
    answered = len(counts.latencies)
    ordered = sorted(counts.latencies)
    return {
        "seconds": round(counts.seconds, 3),
        "requests": answered,
        "failed": counts.failed,
        "requests_per_second": round(answered / counts.seconds, 1),
        "bytes_per_second": round(counts.octets / counts.seconds),
        "hit_ratio": round(counts.hits / answered, 4),
        "latency_ms": {name: round(percentile(ordered, share) * 1e3, 3) for name, share in _SHARES.items()}
        | {"max": round(ordered[-1] * 1e3, 3)},
        "statuses": {str(status): number for status, number in sorted(counts.statuses.items())},
    }


def text(counts: Counts) -> str:
    """Return the counts for a terminal."""
    ordered = sorted(counts.latencies)
    answered = len(ordered)
    times = "  ".join(f"{name} {percentile(ordered, share) * 1e3:.2f}" for name, share in _SHARES.items())
    statuses = ", ".join(f"{number:,} x {status}" for status, number in sorted(counts.statuses.items()))
    return (
        f"{answered / counts.seconds:,.0f} requests/s  {counts.octets / counts.seconds / 1e6:,.1f} MB/s"
        f"  {counts.hits / answered:.1%} hits\n"
        f"latency ms: {times}  max {ordered[-1] * 1e3:.2f}\n"
        f"answers: {statuses}" + (f"; {counts.failed:,} requests failed" if counts.failed else "")
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of `ordered`, which is not empty, do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
