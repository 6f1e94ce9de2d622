"""A million small objects: how soon after a start the first hit is answered, and what the index takes of the memory.

    python -m benchmarks.million [--objects N] [--folder DIR] [--peers nginx,varnish]

Each program is given the objects, stopped, and started again while one of them is asked for until it is a hit; then some
others are asked for once each, to see what is still there.  Then it is killed with SIGKILL while it stores new ones, and
started once more.  Files of nginx's cache are copies of one that nginx wrote, with another key; until its loader has read
all of them, a minute later at the earliest, it knows neither how many there are nor how much they take.  Varnish stores in
a file (`-s file`), and keeps nothing over a restart: its first hit is the second request for what it has fetched anew.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import uvloop

from benchmarks.contestants import CONTESTANTS, free_port, origin, running
from benchmarks.load import peak
from edge.caching.stored import StoredResponse
from edge.clock import SystemClock
from edge.policy.key import KeyPolicy, cache_key
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch
from edge.semantics.fields import FieldSection
from edge.semantics.target import Target
from edge.store.disk import Disk, Stats
from edge.store.settings import Settings

HOST = "site.test"
LENGTH = 1 << 10
STARTS = 5
# Objects that are asked for once after a start.
SAMPLE = 200
# Varnish is filled with paths from here on.
VARNISH_FIRST = 10_000_000
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


_VCL = """vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; .max_connections = 1000; }}
sub vcl_hash {{ hash_data(req.url); return (lookup); }}
sub vcl_deliver {{ set resp.http.X-Hits = "hits " + obj.hits; }}
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A program under measurement.

    Attributes:
        command: its command line.
        port: where it listens.
        field: the field that says of a response that it is a hit.
        is_hit: whether the value of that field says so.
    """

    command: Sequence[str]
    port: int
    field: str
    is_hit: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Running:
    """A program that was started: its process, and when it was, by the clock of `time.perf_counter`."""

    process: subprocess.Popen[bytes]
    began: float


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
        f"| program | objects | clean stop: first hit, hits of {SAMPLE} | kill -9: first hit, hits of {SAMPLE} "
        "| index whole after | index, bytes an object |\n|---|---|---|---|---|---|"
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
            print(varnish(folder / "varnish", arguments.objects, at_origin), flush=True)


def foreland(folder: Path, objects: int, at_origin: int) -> str:
    """Return Foreland's row."""
    quota = max(objects * QUOTA_OF_OBJECT, 256 << 20)
    began = time.perf_counter()
    stats = uvloop.run(fill(folder, objects, quota))
    print(f"filled at {objects / (time.perf_counter() - began):,.0f} objects/s, {stats}", file=sys.stderr)
    port = free_port()
    command = [
        sys.executable, "-m", "edge", "serve", "--origin", f"http://127.0.0.1:{at_origin}", "--log", "off",
        "--listen", f"127.0.0.1:{port}", "--admin", "off", "--cache", str(folder), "--cache-size", f"{quota}B",
    ]  # fmt: skip
    clean, killed = measure(Program(command, port, "Cache-Status", lambda value: "; hit" in value), objects)
    each = stats.index_bytes / stats.objects
    return f"| Foreland | {stats.objects:,} | {clean} | {killed} | before the first hit | {each:.0f} |"


async def fill(folder: Path, objects: int, quota: int) -> Stats:
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
    # Without one, an edge takes all that is stored for purged.
    PurgeLog(folder / "purges", LocalEpoch(), holds=False, now=time.time()).close()
    return stats


def nginx(folder: Path, objects: int, at_origin: int) -> str:
    """Return nginx's row; its zone takes 8,000 keys a megabyte, as its documentation says."""
    folder.mkdir()
    zone = objects // 8000 * 5 // 4 + 10
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(_NGINX.format(folder=folder, port=port, origin=at_origin, zone=zone))
    command = ["nginx", "-e", str(folder / "start.log"), "-c", str(conf)]
    program = Program(command, port, "X-Cache", lambda value: value == "HIT")
    with started(program) as node:
        until_hit(program, path_of(0), node.began)
        stop(node.process, signal.SIGTERM)
    _copy_files(folder / "cache", objects)
    clean, killed = measure(program, objects)
    with started(program) as node:
        loaded = _until_loaded(node)
    each = (1 << 20) / 8000
    return f"| nginx | {objects:,} | {clean} | {killed} | {loaded:.0f} s | {each:.0f} (its documentation) |"


def _until_loaded(node: Running) -> float:
    """Return the seconds until the process of nginx that reads its cache has ended; it begins after a minute."""
    has_begun = False
    while node.process.poll() is None:
        loaders = [name for name in _names_of_children(node.process.pid) if b"cache loader" in name]
        if has_begun and not loaders:
            return time.perf_counter() - node.began
        has_begun = has_begun or bool(loaders)
        time.sleep(0.05)
    raise SystemExit("nginx ended before it had read its cache")


def _names_of_children(pid: int) -> Iterator[bytes]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            yield Path(f"/proc/{child}/cmdline").read_bytes()


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


def varnish(folder: Path, objects: int, at_origin: int) -> str:
    """Return Varnish's row; an object costs it what its process grows by, which is the content in its file left out."""
    folder.mkdir()
    port = free_port()
    vcl = folder / "million.vcl"
    vcl.write_text(_VCL.format(origin=at_origin))
    size = max(objects * 16 * LENGTH, 256 << 20)
    command = [
        "varnishd", "-F", "-a", f"127.0.0.1:{port}", "-f", str(vcl), "-n", str(folder / "vw"),
        "-s", f"file,{folder / 'store'},{size}",
    ]  # fmt: skip
    program = Program(command, port, "X-Hits", lambda value: value not in {"", "hits 0"})
    sample = range(VARNISH_FIRST + 1, VARNISH_FIRST + 10 * SAMPLE + 1)
    with started(program) as node:
        until_hit(program, path_of(VARNISH_FIRST), node.began)
        before, stored = _private_memory(node.process.pid), 0
        url = f"http://127.0.0.1:{port}/miss/1k"
        while stored < objects:
            first = VARNISH_FIRST + stored
            stored += round(peak(url, connections=8, seconds=10, folder=folder, first=first, paths=0).rate * 10)
        each = (_private_memory(node.process.pid) - before) / stored
        if hits(program, sample[SAMPLE:]) == 0:
            raise SystemExit("varnish does not hold what was stored")
        stop(node.process, signal.SIGTERM)
    rows = []
    for number, end in enumerate((signal.SIGTERM, signal.SIGKILL)):
        with started(program) as node:
            seconds = until_hit(program, path_of(sample[number]), node.began)
            rows.append(f"{seconds:.2f} s, {hits(program, sample[10 : 10 + SAMPLE])}")
            stop(node.process, end)
    return f"| Varnish | {stored:,} | {rows[0]} | {rows[1]} | nothing is kept | {each:.0f} (growth of the process) |"


def _private_memory(pid: int) -> int:
    """Return the memory of a process and its children that no file stands behind, bytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = [Path(f"/proc/{one}/status").read_text() for one in [str(pid), *children]]
    return sum(int(text.split("RssAnon:")[1].split()[0]) * 1024 for text in status if "RssAnon:" in text)


def measure(program: Program, objects: int) -> tuple[str, str]:
    """Return what was seen after clean stops, and after kills in the middle of storing."""
    clean, killed, found = [], [], []
    for number in range(STARTS):
        with started(program) as node:
            clean.append(until_hit(program, path_of(objects // 3 + number), node.began))
            found.append(hits(program, _sample(objects, 5)))
            stop(node.process, signal.SIGTERM)
        with started(program) as node:
            until_hit(program, path_of(objects // 2 + number), node.began)
            storing = threading.Thread(target=_store_until_killed, args=(program, objects + number * 1_000_000))
            storing.start()
            time.sleep(2)
            stop(node.process, signal.SIGKILL)
            storing.join()
        with started(program) as node:
            killed.append(until_hit(program, path_of(objects // 4 + number), node.began))
            found.append(hits(program, _sample(objects, 7)))
            stop(node.process, signal.SIGTERM)
    return f"{_seconds(clean)}, {min(found[::2])}", f"{_seconds(killed)}, {min(found[1::2])}"


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s (at most {max(times):.2f})"


def _sample(objects: int, first: int) -> list[int]:
    """Return SAMPLE numbers of objects, from all of them."""
    return [first + number * (objects - first) // SAMPLE for number in range(SAMPLE)]


def hits(program: Program, numbers: Sequence[int]) -> int:
    """Return how many of SAMPLE objects are hits when they are asked for once."""
    return sum(program.is_hit(_ask(program, path_of(number))) for number in numbers[:SAMPLE])


@contextlib.contextmanager
def started(program: Program) -> Iterator[Running]:
    """Start a program, and end it with the block, however that ends."""
    began = time.perf_counter()
    process = subprocess.Popen(program.command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield Running(process, began)
    finally:
        stop(process, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process, and SIGKILL to all of its group, and wait for its end."""
    if process.poll() is None:
        (os.killpg if number is signal.SIGKILL else os.kill)(process.pid, number)
        process.wait()


def until_hit(program: Program, path: str, began: float) -> float:
    """Return the seconds from `began` until `path` is answered with a hit; SystemExit when it is not, a minute long."""
    while time.perf_counter() - began < 60:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if program.is_hit(_ask(program, path)):
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
