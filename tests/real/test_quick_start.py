"""What the README tells a newcomer to type, typed: `make run`, and the lines for the other terminal, word for word."""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.real.programs import find, missing

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
README = ROOT.joinpath("README.md").read_text()
#: Where `make run` is when nothing else is there.
PORTS = (9000, 8080, 8443, 8901)


def commands(section: str) -> list[tuple[str, str]]:
    """Return the lines to type that stand below a heading of the README, each with what is said of it there."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## )", README, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ").partition("  #") for block in blocks for line in block.splitlines()]
    return [(line.strip(), said.strip()) for line, _, said in lines]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which everything is installed: that needs a network, and is what `make` does first."""
    find("make", "make")
    find("curl", "curl")
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                missing(f"another program listens on port {port}, which the README names")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    tools = tmp_path / ".venv"
    tools.mkdir()
    (tools / "bin").symlink_to(Path(sys.executable).parent)
    for stamp in ("created", "installed"):
        (tools / stamp).touch()
    return tmp_path


async def typed(line: str, folder: Path) -> str:
    """Return what a line says; it has to succeed."""
    process = await asyncio.create_subprocess_shell(line, cwd=folder, stdout=PIPE, stderr=STDOUT, env=environment())
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{line}\n{said.decode()}"
    return said.decode()


def environment() -> dict[str, str]:
    """Return the environment of a terminal in which this tree is the one that is installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@asynccontextmanager
async def running(line: str, folder: Path, before: str = ":") -> AsyncIterator[str]:
    """Run the line that goes on, yield what it says at first, and end it as Ctrl-C does."""
    process = await asyncio.create_subprocess_shell(
        f"{before} && exec {line}", cwd=folder, stdout=PIPE, env=environment(), start_new_session=True
    )
    try:
        async with asyncio.timeout(150):
            yield (await process.stdout.readuntil(b"Ctrl-C stops both programs.\n")).decode()
        os.killpg(process.pid, signal.SIGINT)
        await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.timeout(180)
async def test_two_minutes_are_enough_for_what_the_readme_shows(clone: Path) -> None:
    (activate, _), (demo, _), *lines = commands("What to see")
    began = time.monotonic()
    async with running(demo, clone, activate) as welcome:
        assert "http://127.0.0.1:8080" in welcome
        for line, expected in lines:
            assert expected in await typed(f"{activate} && {line}", clone)
    assert time.monotonic() - began < 20


@pytest.mark.timeout(180)
async def test_what_the_readme_says_to_type_does_what_it_says(clone: Path) -> None:
    ((run, _), _) = commands("Two commands")
    (purge, _), (status, _), (bench, _) = commands("What there is today")
    async with running(run, clone) as welcome:
        assert "http://127.0.0.1:8901/ui" in welcome
        (shown,) = re.findall(r"^ +(curl .*)$", welcome, re.MULTILINE)
        assert "fwd=uri-miss" in await typed(shown, clone)
        assert "; hit; ttl=" in await typed(shown, clone)
        secret = re.search(r"--token-file (\S+)", welcome)
        assert secret is not None
        shutil.copy(secret[1], clone / "token.secret")
        assert "purge 1 on" in await typed(purge, clone)
        assert "stored" in await typed(status, clone)
        assert " requests/s" in await typed(bench, clone)
