"""Asking for things from the load's core, with wrk, h2load and `driver`, and reading what they say."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import LOAD_CORE

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
# Paths below one: as many as asked for in turn, or without end from a place that no earlier round has used.
_PATHS = """
local n = {first}
request = function()
  n = (n + 1) % {modulus}
  return wrk.format("GET", "{path}/" .. n)
end
"""
_ENDLESS = 1 << 53


@dataclass(frozen=True, slots=True)
class Answered:
    """What the load saw: requests and octets a second, latencies in seconds, requests that failed."""

    rate: float
    p50: float
    p99: float
    failed: int
    octets: float = 0.0
    p999: float | None = None


def peak(
    url: str,
    *,
    connections: int,
    seconds: float,
    folder: Path,
    first: int = 0,
    paths: int = 1,
    fields: tuple[str, ...] = (),
) -> Answered:
    """Ask for `url` as fast as it is answered; for `paths` paths below it in turn when there are more (0: no end)."""
    command = [
        "taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency",
    ]  # fmt: skip
    for field in fields:
        command += ["-H", field]
    if paths != 1:
        script = folder / "paths.lua"
        path = "/" + url.split("/", 3)[3]
        script.write_text(_PATHS.format(first=first, modulus=paths or _ENDLESS, path=path))
        command += ["-s", str(script)]
    return parse(subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout)


def steady(url: str, *, connections: int, rate: float, seconds: float, folder: Path) -> Answered:
    """Ask for `url` at a fixed rate."""
    each = f"--rps={max(1, round(rate / connections))}"
    return _h2load(url, "--h1", each, connections=connections, seconds=seconds, folder=folder)


def multiplexed(url: str, *, connections: int, streams: int, seconds: float, folder: Path) -> Answered:
    """Ask for `url` by HTTP/2 as fast as it is answered, `streams` at a time on each connection."""
    return _h2load(url, f"-m{streams}", connections=connections, seconds=seconds, folder=folder)


def _h2load(url: str, *options: str, connections: int, seconds: float, folder: Path) -> Answered:
    log = folder / "requests.tsv"
    log.unlink(missing_ok=True)
    command = [
        "taskset", "-c", LOAD_CORE, "h2load", f"-c{connections}", f"-D{max(1, round(seconds))}", *options,
        "--log-file", str(log), url,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    times = sorted(int(row[2]) / 1e6 for row in rows)
    if not times:
        raise SystemExit(f"h2load had no answer from {url}")
    return Answered(
        rate=len(times) / seconds,
        p50=times[len(times) // 2],
        p99=times[len(times) * 99 // 100],
        failed=sum(row[1] != "200" for row in rows),
    )


def drive(load: str, url: str, **options: float) -> Answered:
    """Ask as `driver` does."""
    said = json.loads(subprocess.run(_driver(load, url, options), check=True, capture_output=True, text=True).stdout)
    return Answered(said.get("rate", 0), said.get("p50", 0), said.get("p99", 0), said["failed"], p999=said.get("p999"))


@contextlib.contextmanager
def held(url: str, connections: int) -> Iterator[None]:
    """Keep connections open that ask for nothing; SystemExit when the server does not."""
    command = _driver("idle", url, {"connections": connections})
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "held\n":
            raise SystemExit(f"{connections} connections cannot be held")
        yield
        said, _ = process.communicate("")
        if json.loads(said)["lost"]:
            raise SystemExit(f"{url}: idle connections were lost")
    finally:
        process.kill()


@contextlib.contextmanager
def pressing(load: str, url: str, **options: float) -> Iterator[None]:
    """Ask as `driver` does, as long as the block lasts."""
    process = subprocess.Popen(_driver(load, url, {"seconds": 86400, **options}), stdout=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise SystemExit(f"the load on {url} ended early")
    finally:
        process.kill()
        process.wait()


def _driver(load: str, url: str, options: dict[str, float]) -> list[str]:
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "benchmarks.driver", load, url, *given]


def parse(text: str) -> Answered:
    """Return what wrk measured."""
    failed = sum(int(count) for count in re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text))
    return Answered(
        rate=_number(r"Requests/sec:\s+([\d.]+)", text),
        p50=_latency("50%", text),
        p99=_latency("99%", text),
        failed=failed,
        octets=_transfer(text),
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
