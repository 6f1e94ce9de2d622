"""A million small objects: how soon after a start the first hit is answered, and what the index takes of the memory.

    python -m benchmarks.million [--objects N] [--folder DIR] [--peers nginx,varnish]

Each program is given the objects, stopped, and started again with a request for one of them already waiting; then it is
killed with SIGKILL while it stores new ones, and started once more.  Files of nginx's cache are copies of one that nginx
wrote, with another key.  Varnish keeps nothing: only what an object costs it is measured.
"""

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import uvloop

from benchmarks.contestants import CONTESTANTS, free_port, origin, running
from benchmarks.load import ask
from edge.caching.stored import StoredResponse
from edge.clock import SystemClock
from edge.policy.key import KeyPolicy, cache_key
from edge.semantics.fields import FieldSection
from edge.semantics.target import Target
from edge.store.disk import Disk, Stats
from edge.store.settings import Settings

HOST = "site.test"
LENGTH = 1 << 10
STARTS = 5
# A third of the index's share may be live: see edge.store.layout.
QUOTA_OF_OBJECT = 14 << 10

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache levels=2:2 keys_zone=c:{zone}m inactive=1d use_temp_path=off;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{origin}; proxy_cache c; proxy_cache_key $uri;
      add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A program under measurement: its command line, its port, and the field that says of a response that it is a hit."""

    command: Sequence[str]
    port: int
    field: str
    token: str


def path_of(number: int) -> str:
    """Return the path of an object; all are equally long."""
    return f"/miss/1k/{number:08d}"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to put the objects; a temporary directory by default")
    parser.add_argument("--peers", default="nginx,varnish")
    arguments = parser.parse_args()
    peers = [one.name for one in CONTESTANTS if one.is_there and one.name in arguments.peers.split(",")]
    print(
        "| program | objects | first hit after a clean stop | after kill -9 | index, bytes an object |\n|---|---|---|---|---|"
    )
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.folder)))
        folder.chmod(0o755)
        at_origin = free_port()
        (folder / "origin").mkdir()
        stack.enter_context(running("origin", origin(at_origin, folder / "origin"), at_origin, folder / "origin", "1"))
        print(foreland(folder / "foreland", arguments.objects, at_origin), flush=True)
        if "nginx" in peers:
            print(nginx(folder / "nginx", arguments.objects, at_origin), flush=True)
        if "varnish" in peers:
            print(varnish(folder / "varnish", at_origin), flush=True)


def foreland(folder: Path, objects: int, at_origin: int) -> str:
    """Return Foreland's row."""
    quota = max(objects * QUOTA_OF_OBJECT, 256 << 20)
    began = time.perf_counter()
    stats = uvloop.run(_fill(folder, objects, quota))
    print(f"filled at {objects / (time.perf_counter() - began):,.0f} objects/s, {stats}", file=sys.stderr)
    port = free_port()
    command = [
        sys.executable, "-m", "edge", "serve", "--origin", f"http://127.0.0.1:{at_origin}", "--log", "off",
        "--listen", f"127.0.0.1:{port}", "--admin", "off", "--cache", str(folder), "--cache-size", f"{quota}B",
    ]  # fmt: skip
    clean, killed = measure(Program(command, port, "Cache-Status", "; hit"), objects)
    return f"| Foreland | {stats.objects:,} | {clean} | {killed} | {stats.index_bytes / stats.objects:.0f} |"


async def _fill(folder: Path, objects: int, quota: int) -> Stats:
    """Store `objects` small responses as the edge would."""
    disk = await Disk.start(folder, Settings(quota=quota, memory=0), SystemClock())
    fields = FieldSection([(b"content-type", b"text/plain"), (b"cache-control", b"max-age=864000")])
    content = os.urandom(LENGTH)
    for number in range(objects):
        target = Target(b"http", HOST.encode(), path_of(number).encode(), None)
        key, now = cache_key(target, KeyPolicy()), time.time()
        writer = await disk.writer(key, length=LENGTH)
        await writer.write(content)
        await writer.commit(
            StoredResponse(
                key, writer.generation, b"GET", (), 200, b"OK", fields, now, now, LENGTH, ((0, LENGTH),),
            )
        )  # fmt: skip
        if number % 200 == 0:
            await asyncio.sleep(0)
    await disk.flush()
    stats = disk.stats()
    await disk.close()
    return stats


def nginx(folder: Path, objects: int, at_origin: int) -> str:
    """Return nginx's row; its zone takes 8,000 keys a megabyte, as its documentation says."""
    folder.mkdir()
    zone = objects // 8000 * 5 // 4 + 10
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX.format(folder=folder, port=port, origin=at_origin, zone=zone))
    command = ["nginx", "-e", str(folder / "start.log"), "-c", str(conf)]
    program = Program(command, port, "X-Cache", "HIT")
    with started(program) as process:
        until_hit(program, path_of(0))
        stop(process, signal.SIGTERM)
    _copy_files(folder / "cache", objects)
    clean, killed = measure(program, objects)
    return f"| nginx | {objects:,} | {clean} | {killed} | {(1 << 20) / 8000:.0f} (its documentation) |"


def _copy_files(cache: Path, objects: int) -> None:
    """Make the file of object 0 those of all."""
    (first,) = (path for path in cache.rglob("*") if path.is_file())
    key = path_of(0).encode()
    before, between = first.read_bytes().split(crc32(key).to_bytes(4, "little"), 1)
    head, content = between.split(b"\nKEY: " + key, 1)
    owner = first.stat()
    for number in range(1, objects):
        other = path_of(number).encode()
        name = hashlib.md5(other).hexdigest()
        folder = cache / name[-2:] / name[-4:-2]
        if not folder.is_dir():
            for made in (folder.parent, folder):
                made.mkdir(exist_ok=True)
                os.chown(made, owner.st_uid, owner.st_gid)
        path = folder / name
        path.write_bytes(before + crc32(other).to_bytes(4, "little") + head + b"\nKEY: " + other + content)
        os.chown(path, owner.st_uid, owner.st_gid)


def varnish(folder: Path, at_origin: int) -> str:
    """Return Varnish's row: what its process grows by with each object, less the content."""
    folder.mkdir()
    contestant = next(one for one in CONTESTANTS if one.name == "varnish")
    port = free_port()
    with running("varnish", contestant.start(port, at_origin, folder), port, folder, "0") as pid:
        url = f"http://127.0.0.1:{port}/miss/1k"
        ask(url, connections=8, seconds=2, unique_from=0, folder=folder)
        before = _memory(pid)
        result = ask(url, connections=8, seconds=10, unique_from=10_000_000, folder=folder)
        stored = round(result.rate * 10)
        each = (_memory(pid) - before) / stored - LENGTH
    return f"| Varnish | {stored:,} | nothing is kept | nothing is kept | {each:.0f} (growth of the process) |"


def _memory(pid: int) -> int:
    """Return the resident memory of a process and its children, bytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in [str(pid), *children])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(program: Program, objects: int) -> tuple[str, str]:
    """Return how long the first hit took after clean stops, and after kills in the middle of storing."""
    clean, killed = [], []
    for number in range(STARTS):
        with started(program) as process:
            clean.append(until_hit(program, path_of(objects // 3 + number)))
            stop(process, signal.SIGTERM)
        with started(program) as process:
            until_hit(program, path_of(objects // 2 + number))
            storing = threading.Thread(target=_store_until_killed, args=(program, objects + number * 1_000_000))
            storing.start()
            time.sleep(2)
            stop(process, signal.SIGKILL)
            storing.join()
        with started(program) as process:
            killed.append(until_hit(program, path_of(objects // 4 + number)))
            stop(process, signal.SIGTERM)
    return _seconds(clean), _seconds(killed)


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s (at most {max(times):.2f})"


@contextlib.contextmanager
def started(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and end it with the block, however that ends."""
    process = subprocess.Popen(program.command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        stop(process, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process, and SIGKILL to all of its group, and wait for its end."""
    if process.poll() is None:
        (os.killpg if number is signal.SIGKILL else os.kill)(process.pid, number)
        process.wait()


def until_hit(program: Program, path: str) -> float:
    """Return the seconds until `path` is answered with a hit; SystemExit when it is not, a minute long."""
    began = time.perf_counter()
    while time.perf_counter() - began < 60:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if program.token in _ask(program, path):
                return time.perf_counter() - began
        time.sleep(0.002)
    raise SystemExit(f"{program.command[0]} answers {path} with no hit")


def _store_until_killed(program: Program, first: int) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            _ask(program, path_of(first))
            first += 1


def _ask(program: Program, path: str) -> str:
    """Return the field that says whether the response, which is read whole, is a hit."""
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": HOST})
        response = connection.getresponse()
        if len(response.read()) != LENGTH:
            raise SystemExit(f"{program.command[0]} answers {path} with something else")
        return response.getheader(program.field, "")


if __name__ == "__main__":
    if shutil.which("nginx") is None:
        sys.exit("the origin of this measurement is nginx, which is not installed")
    main()
