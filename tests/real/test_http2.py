"""Real clients of HTTP/2: nghttp, h2load and curl."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.real.node import MIB, STUCK, demo_origin, generated, running
from tests.real.programs import find

pytestmark = [pytest.mark.real, pytest.mark.slow]

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
