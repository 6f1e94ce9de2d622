"""Asking for things with wrk, on the load's core, and reading what it says."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import LOAD_CORE

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
# Unique URLs: a counter, begun anew in each thread at a place that no earlier round has used.
_UNIQUE = """
local n = {first}
request = function()
  n = n + 1
  return wrk.format("GET", "{path}/" .. n)
end
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement: requests and octets a second, latencies in seconds, requests that failed."""

    rate: float
    octets: float
    p50: float
    p99: float
    failed: int


def ask(url: str, *, connections: int, seconds: float, unique_from: int | None = None, folder: Path) -> Result:
    """Ask for `url` as fast as it is answered; with `unique_from`, for a new path below it each time."""
    command = [
        "taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency",
    ]  # fmt: skip
    if unique_from is not None:
        script = folder / "unique.lua"
        path = "/" + url.split("/", 3)[3]
        script.write_text(_UNIQUE.format(first=unique_from, path=path))
        command += ["-s", str(script)]
    done = subprocess.run([*command, url], check=True, capture_output=True, text=True)
    return parse(done.stdout)


def parse(text: str) -> Result:
    """Return what wrk measured."""
    rate = _number(r"Requests/sec:\s+([\d.]+)", text)
    failed = sum(int(count) for count in re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text))
    return Result(
        rate=rate,
        octets=_transfer(text),
        p50=_latency("50%", text),
        p99=_latency("99%", text),
        failed=failed,
    )


def _number(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"wrk said something else than expected:\n{text}")
    return float(match[1])


def _latency(percentile: str, text: str) -> float:
    match = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0


def _transfer(text: str) -> float:
    match = re.search(r"Transfer/sec:\s+([\d.]+)(B|KB|MB|GB)", text)
    return float(match[1]) * {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[match[2]] if match else 0.0
