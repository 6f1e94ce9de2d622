import asyncio
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from origin.cli import main


async def started(*arguments: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "origin", "serve", *arguments)
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    word, address = (await process.stdout.readline()).decode().split()
    assert word == "ready"
    return address


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "page.html").write_text("page")
    process = await started("--root", str(tmp_path), "--listen", "127.0.0.1:0", "--rule", "*.html=max-age=7")
    async with aiohttp.ClientSession(await url(process)) as session, session.get("/page.html") as response:
        assert (await response.text(), response.headers["Cache-Control"]) == ("page", "max-age=7")
    process.send_signal(number)
    _, log = await process.communicate()
    assert process.returncode == 0
    assert b'"GET /page.html HTTP/1.1" 200' in log
    assert b"Traceback" not in log


@pytest.mark.slow
async def test_quiet_says_nothing_and_a_slow_answer_does_not_hold_the_stop() -> None:
    process = await started("--listen", "127.0.0.1:0", "--quiet", "--bandwidth", "1KiB")
    async with aiohttp.ClientSession(await url(process)) as session, session.get("/large.bin") as response:
        assert await response.content.readany()
        process.terminate()
        _, log = await process.communicate()
    assert (process.returncode, log) == (0, b"")


@pytest.mark.slow
async def test_address_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await started("--listen", address)
        _, log = await process.communicate()
    assert process.returncode == 1
    assert log.startswith(f"Error: cannot listen on {address}: ".encode())
    assert log.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--root", "/nonexistent"], "root: /nonexistent is not a directory", id="no such root"),
        pytest.param(["--delay", "soon"], "'soon' is not a duration", id="not a duration"),
        pytest.param(["--rule", "x"], "is not PATTERN=VALUE", id="not a rule"),
        pytest.param(["--config", "/nonexistent.toml"], "No such file", id="no such file"),
        pytest.param(["--listen", "9000"], "is not an address and a port", id="not an address"),
    ],
)
def test_usage(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 2
    assert sentence in result.output
