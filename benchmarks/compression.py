"""What compression saves and costs, beside nginx's gzip; and what it does to the latency of hits.

    python -m benchmarks.compression [--files 400]        octets by coding, and CPU for each MB of content
    python -m benchmarks.compression --latency [--seconds 2] [--rounds 9] [--rate 20]

The trees are the sample site and Debian's python3-doc, served by an nginx that codes nothing, or gzip.  Every URL is
asked for once by one client, so all are misses; the program under test has a core of its own, CPU is its alone, and `-` in
place of a coding is identity.  With --latency, one connection asks for a hit again and again while another one misses at a rate,
with identity and with each coding: what compression does is the difference.
"""

import argparse
import contextlib
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import LOAD_CORE, SERVER_CORE
from benchmarks.processes import cpu_seconds

ROOT = Path(__file__).parent.parent
TREES = {"sample site": ROOT / "origin" / "site", "python3-doc": Path("/usr/share/doc/python3-doc/html")}
TYPES = "text/css text/javascript application/javascript application/json image/svg+xml text/plain application/xml"
_NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit; {user}
events {{ worker_connections 512; }}
http {{
    include /etc/nginx/mime.types; access_log off; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    log_format octets '$bytes_sent';
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=c:10m max_size=1g;
    gzip_types {types}; gzip_min_length 1400; gzip_comp_level {level}; gzip_http_version 1.0; gzip_proxied any; gzip_vary on;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What a client got of a tree: its octets, those of the content, those that the origin sent, and seconds of CPU."""

    sent: int
    content: int
    origin: int
    cpu: float


class Server:
    """A program that serves on `port`."""

    def __init__(self, command: list[str], port: int, core: str) -> None:
        self.port = port
        environment = {**os.environ, "EDGE_LIMITS__REQUESTS_PER_CONNECTION": "1000000"}
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            ["taskset", "-c", core, *command], cwd=ROOT, env=environment, stdout=quiet, stderr=quiet
        )
        until = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit(f"{command[0]} does not serve")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression", description=__doc__)
    parser.add_argument("--files", type=int, default=400, help="about so many of each tree")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rate", type=float, default=20.0, help="misses a second, of 250 KB each")
    parser.add_argument("--misses", nargs=2, metavar=("PORT", "CODING"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    if arguments.misses:
        _miss(int(arguments.misses[0]), arguments.misses[1], arguments.rate)
    elif arguments.latency:
        _latency(arguments.seconds, arguments.rate, arguments.rounds)
    else:
        _octets(arguments.files)


def _octets(limit: int) -> None:
    print("| tree | program | coding | octets to the client | of identity | octets from the origin | CPU ms/MB |")
    print("|---|---|---|---|---|---|---|")
    for name, tree in TREES.items():
        files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
        chosen = [str(path.relative_to(tree)) for path in files[:: -(-len(files) // limit)]]
        # Of a few files more than once, each time under another URL.
        paths = [f"/{path}?{copy}" for copy in range(limit // len(chosen)) for path in chosen]
        for program, coding in (
            ("nginx", "-"), ("nginx gzip 1", "gzip"), ("nginx gzip 6", "gzip"), ("edge", "-"), ("edge", "gzip"),
            ("edge", "br"), ("edge", "zstd"), ("edge, origin gzip 1", "gzip"), ("edge, origin gzip 1", "-"),
        ):  # fmt: skip
            row = _row(tree, paths, program, coding)
            print(
                f"| {name} | {program} | {coding} | {row.sent:,} | {row.sent / row.content:.2f} | {row.origin:,} "
                f"| {row.cpu * 1e9 / row.content:.1f} |",
                flush=True,
            )


def _row(tree: Path, paths: list[str], program: str, coding: str) -> Row:
    with _serving(tree, program) as (server, origin_octets):
        began = cpu_seconds(server.process.pid)
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        sent = 0
        for path in paths:
            connection.request("GET", path, headers={"Host": "site.test", "Accept-Encoding": _accepted(coding)})
            response = connection.getresponse()
            sent += len(response.read())
            if response.status != 200:
                raise SystemExit(f"{program}: {response.status} for {path}")
        # What is stored behind the answer counts as well.
        time.sleep(1)
        cpu = cpu_seconds(server.process.pid) - began
        connection.close()
        content = sum((tree / path[1:].partition("?")[0]).stat().st_size for path in paths)
        return Row(sent, content, origin_octets(), cpu)


@contextlib.contextmanager
def _serving(tree: Path, program: str) -> Iterator[tuple[Server, Callable[[], int]]]:
    """Yield the program under test, and what says how many octets its origin has sent."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = folder / "octets"
        gzip = "gzip on;" if "origin gzip" in program else "gzip off;"
        location = f"location / {{ root {tree}; expires 1h; {gzip} access_log {log} octets; }}"
        origin = _nginx(folder / "origin", location, level=1, core=LOAD_CORE)
        stack.callback(origin.stop)
        if program.startswith("nginx"):
            gzip = "gzip on;" if "gzip" in program else "gzip off;"
            location = f"location / {{ proxy_pass http://127.0.0.1:{origin.port}; proxy_cache c; {gzip} }}"
            level = int(program[-1]) if "gzip" in program else 1
            server = _nginx(folder / "proxy", location, level, SERVER_CORE)
        else:
            server = _edge(folder / "edge", origin.port)
        stack.callback(server.stop)
        yield server, lambda: sum(map(int, log.read_text().split()))


def _nginx(folder: Path, location: str, level: int, core: str) -> Server:
    folder.mkdir()
    port = _free()
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX.format(folder=folder, user=user, types=TYPES, port=port, location=location, level=level))
    return Server(["nginx", "-e", str(folder / "start.log"), "-c", str(conf)], port, core)


def _edge(folder: Path, origin: int) -> Server:
    port = _free()
    command = [
        sys.executable, "-m", "edge", "serve", "--origin", f"http://127.0.0.1:{origin}", "--listen", f"127.0.0.1:{port}",
        "--cache", str(folder), "--cache-size", "1GiB", "--admin", "off", "--log", "off", "--workers", "1",
    ]  # fmt: skip
    return Server(command, port, SERVER_CORE)


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _accepted(coding: str) -> str:
    return "identity" if coding == "-" else coding


def _latency(seconds: float, rate: float, rounds: int) -> None:
    """Print the latency of hits while another client misses at a rate: medians of rounds, in which all take turns."""
    codings = (None, "-", "zstd", "br", "gzip")
    seen: dict[str | None, list[tuple[float, float, float, float]]] = {coding: [] for coding in codings}
    with _serving(TREES["python3-doc"], "edge") as (server, _):
        for coding in codings * rounds:
            asked = 0
            if coding is None:
                took = _hits(server.port, seconds)
            else:
                command = [sys.executable, "-m", "benchmarks.compression", "--misses", str(server.port), coding]
                missing = subprocess.Popen(
                    [*command, "--rate", str(rate)], stdout=subprocess.PIPE, text=True, cwd=ROOT
                )  # fmt: skip
                assert missing.stdout is not None
                missing.stdout.readline()
                took = _hits(server.port, seconds)
                missing.send_signal(signal.SIGINT)
                asked = int(missing.communicate()[0])
            p50, p99 = (took[int(len(took) * part)] * 1e3 for part in (0.5, 0.99))
            seen[coding].append((asked / seconds, len(took) / seconds, p50, p99))
    print("| misses | a second | hits a second | p50 ms | p99 ms | p99 beside identity |\n|---|---|---|---|---|---|")
    for coding, rows in seen.items():
        misses, hits, p50, p99 = map(statistics.median, zip(*rows, strict=True))
        moved = statistics.median(row[3] / other[3] for row, other in zip(rows, seen["-"], strict=True))
        print(f"| {coding or 'none'} | {misses:.0f} | {hits:.0f} | {p50:.3f} | {p99:.3f} | {moved:.2f} |")


def _hits(port: int, seconds: float) -> list[float]:
    """Ask for one page again and again, and return how long each answer took, sorted."""
    took: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        connection.request("GET", "/about.html", headers={"Host": "site.test", "Accept-Encoding": "gzip"})
        connection.getresponse().read()
        took.append(time.perf_counter() - began)
    connection.close()
    return sorted(took)


def _miss(port: int, coding: str, rate: float) -> None:
    """Ask for one page under a new URL each time, at `rate`, until interrupted; print how often."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    asked, began = 0, time.perf_counter()
    print("begins", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(max(0.0, began + asked / rate - time.perf_counter()))
            path = f"/library/functions.html?{time.time_ns()}"
            connection.request("GET", path, headers={"Host": "site.test", "Accept-Encoding": _accepted(coding)})
            connection.getresponse().read()
            asked += 1
    print(asked)


if __name__ == "__main__":
    main()
