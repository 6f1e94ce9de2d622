"""Real clients of HTTP/2: nghttp, h2load and curl.

FORELAND_LARGE_MIB sets the size of the large file; 64 by default.
"""

import asyncio
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pytest

from edge.downstream.http2.frames import HEADERS
from tests.downstream.http2.speaking import GET, Speaking, only, window_update
from tests.real.node import MIB, STUCK, client, demo_origin, edge, generated, get, running
from tests.real.programs import find

pytestmark = [pytest.mark.real, pytest.mark.slow]

LARGE = int(os.environ.get("FORELAND_LARGE_MIB", "64")) * MIB

_CONFIGURATION = """\
[[listen]]
address = "127.0.0.1:0"
h2c = true

[cache]
path = "{cache}"
max_size = "256MiB"
memory = "32MiB"

[admin]
address = "off"

[origins.demo]
urls = ["{origin}"]

[[site]]
hosts = ["*"]
origin = "demo"

[log]
format = "off"
"""


async def run(*command: str) -> bytes:
    """Return what a program writes, when it ends well."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(STUCK):
            written, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0
    return written


@pytest.fixture
async def node(tmp_path: Path):
    async with demo_origin() as origin:
        path = tmp_path / "edge.toml"
        path.write_text(_CONFIGURATION.format(cache=tmp_path / "cache", origin=origin.url))
        async with running("edge", "serve", "--config", str(path)) as edge:
            yield edge


async def test_they_agree_on_what_a_large_file_is(node):
    curl, nghttp = find("curl", "curl"), find("nghttp", "nghttp2-client")
    url = f"{node.url}/bytes/large?_size=8MiB"
    expected = hashlib.sha256(generated("/bytes/large", 0, 8 * MIB)).digest()
    for command in ([curl, "-sS", "--http2-prior-knowledge", url], [nghttp, url], [nghttp, "-w16", "-W16", url]):
        for _ in range(2):
            assert hashlib.sha256(await run(*command)).digest() == expected


async def test_many_streams_are_all_answered(node):
    h2load = find("h2load", "nghttp2-client")
    said = (await run(h2load, "-t1", "-c8", "-m10", "-n4000", f"{node.url}/bytes/small?_size=1KiB")).decode()
    assert "4000 succeeded, 0 failed, 0 errored, 0 timeout" in said


def resident(group: int) -> int:
    """Return the octets of memory that the processes of a group take."""
    pages = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                pages += int((process / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("control", "initial", "most"),
    [
        pytest.param("max-age%3D3600", 0, 16 * MIB, id="stored"),
        pytest.param("no-store", 0, 4 * MIB, id="passed on"),
        pytest.param("no-store", 1, 4 * MIB, id="passed on, windows of an octet"),
    ],
)
async def test_a_hundred_streams_without_a_window_take_no_memory_each(node, control, initial, most):
    path, size = f"/bytes/large?_size=16MiB&_cache_control={control}&of=", 16 * MIB
    speaking = Speaking()
    try:
        async with client() as session:

            async def taken(of: str, streams: range) -> int:
                """Return how much the node takes once streams have asked for a content, and what they take of it has arrived."""
                peer = await speaking.peer(node.port)
                await peer.greet((0x4, initial))
                lines = [*GET[:2], (b":authority", b"site.test"), (b":path", (path + of).encode())]
                await peer.send(window_update(0, 1 << 24), *[only(stream, *lines) for stream in streams])
                for _ in streams:
                    assert await peer.until(lambda got: got.kind == HEADERS)
                await get(session, f"{node.url}{path}{of}")
                assert await peer.pong()
                taken = resident(node.process.pid)
                # Nobody is held up by those that take nothing.
                await peer.send(window_update(streams[-1], size))
                assert (await peer.answer(streams[-1])).content == generated("/bytes/large", 0, size)
                return taken

            await taken("warm", range(1, 2, 2))
            alone = await taken("one", range(1, 2, 2))
            together = await taken("many", range(1, 200, 2))
    finally:
        await speaking.close()
    # The requests themselves take some megabytes, a piece for each would take 25.
    assert together - alone < most


async def test_a_large_file_is_whole_by_tls_under_flow_control(tmp_path):
    curl = find("curl", "curl")
    got, expected = tmp_path / "got", tmp_path / "expected"
    with expected.open("wb") as file:
        for start in range(0, LARGE, 8 * MIB):
            file.write(generated("/bytes/large", start, min(start + 8 * MIB, LARGE)))
    options = ("--cache-size", f"{3 * LARGE}B", "--memory", "32MiB")
    async with demo_origin() as origin, edge(origin.url, tmp_path / "cache", *options, is_secure=True) as node:
        url = f"{node.url}/bytes/large?_size={LARGE}B&_cache_control=max-age%3D3600"
        # As the origin sends it, from the store, and at the pace of a slower client.
        for pace in ([], [], ["--limit-rate", f"{LARGE // 4}"]):
            said = await run(curl, "-ksS", "--http2", *pace, "-o", str(got), "-w", "%{http_version} %{http_code}", url)
            assert said == b"2 200"
            assert await run("cmp", str(got), str(expected)) == b""
        # Four streams on two connections share their windows.
        said = (await run(find("h2load", "nghttp2-client"), "-t1", "-c2", "-m2", "-n4", "-w20", "-W22", url)).decode()
        assert "4 succeeded, 0 failed, 0 errored, 0 timeout" in said
        assert f"({4 * LARGE}) data" in said


async def test_a_client_that_cannot_is_spoken_to_by_http1(tmp_path):
    curl = find("curl", "curl")
    async with demo_origin() as origin, edge(origin.url, tmp_path / "cache", is_secure=True) as node:
        url = f"{node.url}/bytes/small?_size=1KiB"
        for _ in range(2):
            said = await run(curl, "-ksS", "--http1.1", "-w", "%{http_version}", url)
            assert said == generated("/bytes/small", 0, 1024) + b"1.1"
