"""The admin plane of a running node, against its own description: every request is answered as that says."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.real.test_push import Pushable, pushable

pytestmark = [pytest.mark.real, pytest.mark.slow]
#: How long to look for faults, seconds; more finds more.
SECONDS = int(os.environ.get("FORELAND_SCHEMATHESIS_SECONDS", "25"))
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "ignored_auth", "unsupported_method", "allow_header_conformance",
    "negative_data_rejection",
)  # fmt: skip
#: What is too long is refused as such (413), before anybody looks what it is.
CONFIGURATION = """\
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "408", "409", "413", "415", "421", "422"]
"""
#: It never ends when it is asked rightly; see the test below.
STREAM = "/v1/events"


async def schemathesis(there: Pushable, folder: Path) -> tuple[int, str]:
    """Run it on the node; return its exit code and its report."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    given = (
        "--config-file", str(configuration), "run", f"http://{there.admin}/openapi.json", "--exclude-path", STREAM,
        "-H", f"Authorization: Bearer {there.token}", "-H", f"Fastly-Key: {there.token}", "--checks", ",".join(CHECKS),
        "--mode", "all", "--phases", "coverage,fuzzing", "--request-timeout", "20", "--max-time", str(SECONDS),
        "--max-examples", str(SECONDS), "--no-shrink", "--continue-on-failure", "--no-color",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", *given, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    report, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, report.decode()


async def test_no_request_gets_an_answer_that_is_not_described(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("EDGE_PUSH__PATH", str(tmp_path / "pushed"))
    monkeypatch.setenv("EDGE_ADMIN__COMPATIBLE", "fastly,cloudflare")
    async with pushable(tmp_path, 2) as there, aiohttp.ClientSession(f"http://{there.admin}") as session:
        code, report = await schemathesis(there, tmp_path)
        # Contents can be a megabyte long.
        assert code == 0, "\n".join(line[:400] for line in report.splitlines())
        async with session.get("/openapi.json") as response:
            described = await response.json()
        operations = sum(len(methods) for methods in described["paths"].values())
        assert f"{operations - 1} selected / {operations} total" in report
        async with session.get("/healthz") as response:
            assert response.status == 200


async def test_the_stream_of_events_is_described_too(tmp_path: Path) -> None:
    async with pushable(tmp_path, 1) as there, aiohttp.ClientSession(f"http://{there.admin}") as session:
        async with session.get("/openapi.json") as response:
            responses = (await response.json())["paths"][STREAM]["get"]["responses"]
        token = {"Authorization": f"Bearer {there.token}"}
        for fields, status, media_type in (
            (token, 200, "text/event-stream"),
            ({}, 401, "application/problem+json"),
            ({**token, "Last-Event-ID": "-1"}, 400, "application/problem+json"),
            ({**token, "Last-Event-ID": "9" * 99}, 400, "application/problem+json"),
        ):
            async with session.get(STREAM, headers=fields) as response:
                assert (response.status, response.content_type) == (status, media_type)
            assert media_type in responses[str(status)]["content"]
