"""TLS as others see it: testssl.sh and OpenSSL on the default settings, and sessions at several workers.

FORELAND_TESTSSL=full has testssl.sh look at all it knows (half a minute) instead of what is most telling.
"""

import asyncio
import json
import os
import re
import socket
import ssl
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.downstream.certificates import CA, issue, trusting
from tests.real.node import demo_origin, running
from tests.real.programs import find
from tests.real.test_processes import children

pytestmark = [pytest.mark.real, pytest.mark.slow]

PATH = "/bytes/a?_size=10KiB&_cache_control=max-age%3D60"
CONFIG = """
workers = {workers}
[[listen]]
address = "127.0.0.1:0"
tls = {{ cert = "{files.cert}", key = "{files.key}" }}
[cache]
path = "{cache}"
max_size = "64MiB"
[admin]
address = "off"
[origins.app]
urls = ["{origin}"]
[[site]]
hosts = ["*"]
origin = "app"
[log]
format = "off"
"""
_LOOKED_AT = {"short": ["-p", "-h", "-R"], "full": ["-p", "-S", "-P", "-s", "-f", "-h", "-U"]}
_HARMLESS = {"DEBUG", "OK", "INFO", "LOW"}
# Of this machine's OpenSSL, or of the certificates of these tests: valid for decades, by an authority that publishes no
# revocations.  To look for resumption, a client is made that leaves at the end of its handshake, often before its ticket has
# come; whether sessions are resumed has a test of its own below.
_NOT_OURS = {"engine_problem", "RC4", "cert_revocation", "cert_validityPeriod", "sessionresumption_ticket"}


def written(folder: Path, origin: str, *, workers: int = 1) -> Path:
    files, path = issue(folder, "a.test", "127.0.0.1"), folder / "edge.toml"
    path.write_text(CONFIG.format(workers=workers, files=files, cache=folder / "cache", origin=origin))
    return path


async def test_testssl_finds_nothing_worse_than_low(tmp_path):
    testssl, found = find("testssl", "testssl.sh"), tmp_path / "found.json"
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    options = _LOOKED_AT[os.environ.get("FORELAND_TESTSSL", "short")]
    command = [testssl, "--quiet", "--color", "0", "--warnings", "batch", "--fast", "--nodns", "none", *options]
    async with demo_origin() as origin, running("edge", "serve", "-c", str(written(tmp_path, origin.url))) as edge:
        at = f"https://127.0.0.1:{edge.port}{PATH}"
        process = await asyncio.create_subprocess_exec(
            *command, "--add-ca", str(tmp_path / "ca.pem"), "--jsonfile", str(found), at, stdout=PIPE, stderr=STDOUT
        )
        said, _ = await process.communicate()
    findings = {each["id"]: each for each in json.loads(found.read_text())}
    assert findings["secure_client_renego"]["severity"] == findings["secure_renego"]["severity"] == "OK", said.decode()
    bad = [each for each in findings.values() if each["severity"] not in _HARMLESS and each["id"] not in _NOT_OURS]
    assert bad == []


async def test_no_session_lets_a_client_send_early(tmp_path):
    openssl = find("openssl", "openssl")
    async with demo_origin() as origin, running("edge", "serve", "-c", str(written(tmp_path, origin.url))) as edge:
        process = await asyncio.create_subprocess_exec(
            openssl, "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", "a.test", "-ign_eof",
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
        )  # fmt: skip
        said, _ = await process.communicate(b"BAD\r\n\r\n")
    tickets = re.findall(r"Max Early Data: (\d+)", said.decode())
    assert tickets
    assert set(tickets) == {"0"}


async def test_a_session_is_resumed_at_every_worker(tmp_path):
    async with (
        demo_origin() as origin,
        running("edge", "serve", "-c", str(written(tmp_path, origin.url, workers=2))) as edge,
    ):
        context = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
        with ExitStack() as clients:

            def connect(session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
                raw = clients.enter_context(socket.create_connection(("127.0.0.1", edge.port)))
                return clients.enter_context(context.wrap_socket(raw, server_hostname="a.test", session=session))

            session = (await asyncio.to_thread(connect)).session
            resumed = [(await asyncio.to_thread(connect, session)).session_reused for _ in range(24)]
            held = [count for child in children(edge.process.pid) if (count := connections(child, edge.port))]
        assert resumed == [True] * 24
        assert len(held) == 2, held


def connections(pid: int, port: int) -> int:
    """Return how many accepted connections at `port` a process has."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # 01 is established.
    inodes = {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            links.append(os.readlink(fd))
    return sum(link.removeprefix("socket:[").rstrip("]") in inodes for link in links)
