"""How the admin plane of a running node is reached: by a Unix socket, by TLS from elsewhere, and not otherwise."""

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.downstream.certificates import CA, issue
from tests.real.node import edge
from tests.scenarios.test_store_faults import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]
#: Nobody listens there.
NO_ORIGIN = "http://127.0.0.1:1"


async def command(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_unix_socket_is_used_by_clients_over_reloads_and_upgrades_and_replaced_after_a_crash(
    tmp_path: Path,
) -> None:
    path, tokens = tmp_path / "run" / "admin.sock", tmp_path / "tokens"
    given = ("--admin", f"unix:{path}", "--admin-token-file", str(tokens))
    there = ("--node", f"unix:{path}", "--token-file", f"{tokens}.secret")
    async with edge(NO_ORIGIN, tmp_path / "cache", *given) as node:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        code, told = await command("origin", "purge", "--everything", *there)
        assert (code, "purge 1 on foreland" in told) == (0, True), told
        for verb in ("reload", "upgrade"):
            code, told = await command("edge", verb, "--origin", NO_ORIGIN, "--cache", str(tmp_path / "cache"))
            assert code == 0, told
            code, told = await command("origin", "status", *there)
            assert (code, "stored" in told) == (0, True), told
        await node.stop(signal.SIGKILL)
    assert path.is_socket()
    code, told = await command("origin", "status", *there)
    assert (code, "no answer" in told) == (1, True), told
    async with edge(NO_ORIGIN, tmp_path / "cache", *given) as node:
        assert (await command("origin", "status", *there))[0] == 0
        code, told = await command(
            "edge",
            "serve",
            "--origin",
            NO_ORIGIN,
            "--listen",
            "127.0.0.1:0",
            "--cache",
            str(tmp_path / "other"),
            *given,
        )
        assert (code, "in use" in told) == (1, True), told
        assert (await command("origin", "status", *there))[0] == 0
        assert (await node.stop())[0] == 0
    assert not path.exists()


async def test_a_public_address_takes_tls_and_a_token(tmp_path: Path, monkeypatch) -> None:
    files, tokens, ca = issue(tmp_path, "127.0.0.1"), tmp_path / "tokens", tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(ca)
    port = free_port()
    usual = ("--origin", NO_ORIGIN, "--listen", "127.0.0.1:0", "--cache", str(tmp_path / "cache"))
    given = ("--admin", f"0.0.0.0:{port}", "--admin-token-file", str(tokens))
    for verb in ("check", "serve"):
        code, told = await command("edge", verb, *usual, *given)
        assert (code, "needs admin.cert_file and admin.key_file" in told) == (3, True), told
    monkeypatch.setenv("EDGE_ADMIN__CERT_FILE", str(files.cert))
    monkeypatch.setenv("EDGE_ADMIN__KEY_FILE", str(files.cert))
    for verb, failure in (("check", 3), ("serve", 1)):
        code, told = await command("edge", verb, *usual, *given)
        assert (code, "holds no private key" in told, "Traceback" in told) == (failure, True, False), told
    monkeypatch.setenv("EDGE_ADMIN__KEY_FILE", str(files.key))
    async with edge(NO_ORIGIN, tmp_path / "cache", *given):
        there = ("--node", f"https://127.0.0.1:{port}", "--token-file", f"{tokens}.secret")
        code, told = await command("origin", "purge", "--everything", *there, "--ca-file", str(ca))
        assert (code, "purge 1 on foreland" in told) == (0, True), told
        code, told = await command("origin", "status", *there)
        assert (code, "certificate" in told) == (1, True), told
        code, told = await command("origin", "status", *there[:2], "--ca-file", str(ca))
        assert (code, "401" in told) == (1, True), told
        code, told = await command("origin", "status", *there, "--ca-file", str(files.key))
        assert (code, "holds no certificates" in told, "Traceback" in told) == (2, True, False), told
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{port}/ping")
