"""`edge bench`, against servers that answer, and servers that do not."""

import asyncio
import contextlib
import json
import ssl
import sys
from pathlib import Path

import pytest
import trustme

ROOT = Path(__file__).parents[2]
HIT = b"HTTP/1.1 200 OK\r\nCache-Status: origin; fwd=miss, foreland; hit\r\nContent-Length: 5\r\n\r\nhello"
MISS = b"HTTP/1.1 200 OK\r\nCache-Status: origin; hit, foreland; fwd=miss\r\nContent-Length: 5\r\n\r\nhello"
CLOSING = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(answers, tls=None):
    """A server that answers each request for a path with what `answers` has for it, or its only one."""

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                answer = answers[head.split()[1]] if isinstance(answers, dict) else answers
                if not answer:
                    break
                writer.write(answer)
                if b"close" in answer:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def bench(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "bench", *arguments, cwd=ROOT, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_counts_hits_and_content():
    async with answering({b"/hit": HIT, b"/miss?a=b": MISS}) as port:
        base = f"http://127.0.0.1:{port}"
        code, out, err = await bench(f"{base}/hit", f"{base}/miss?a=b", "-c", "3", "-t", "0.3", "--json")
    said = json.loads(out)
    assert (code, err, said["failed"]) == (0, "", 0)
    assert said["statuses"] == {"200": said["requests"]}
    assert said["requests"] > 10
    assert 0.3 < said["hit_ratio"] < 0.7
    assert said["bytes_per_second"] == pytest.approx(5 * said["requests_per_second"], rel=0.01)
    assert said["latency_ms"]["p50"] <= said["latency_ms"]["p99"] <= said["latency_ms"]["max"]


async def test_connections_that_the_server_closes_are_made_again():
    async with answering(CLOSING) as port:
        code, out, _ = await bench(f"http://127.0.0.1:{port}/", "-c", "2", "-t", "0.3")
    assert code == 0
    assert "x 404" in out
    assert "0.0% hits" in out


async def test_tls():
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with answering(HIT, tls) as port:
        url = f"https://127.0.0.1:{port}/"
        code, out, _ = await bench(url, "-t", "0.2", "-c", "2", "--insecure")
        assert (code, "100.0% hits" in out) == (0, True)
        code, out, err = await bench(url, "-t", "0.2")
        assert (code, out) == (1, "")
        assert "certificate" in err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"", "closes connections without an answer", id="it closes"),
        pytest.param(b"SSH-2.0-x\r\n", "closes connections without an answer", id="it is no HTTP server"),
    ],
)
async def test_what_cannot_be_measured_is_said(answer, said):
    async with answering(answer) as port:
        code, out, err = await bench(f"http://127.0.0.1:{port}/", "-t", "0.2")
    assert (code, out) == (1, "")
    assert said in err
    assert "Traceback" not in err


async def test_a_request_that_is_cut_short_is_a_failure():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: close\r\n\r\nhello"
    async with answering({b"/": HIT, b"/cut": cut}) as port:
        base = f"http://127.0.0.1:{port}"
        code, out, _ = await bench(f"{base}/", f"{base}/cut", "-c", "1", "-t", "0.2")
    assert code == 1
    assert "requests failed" in out


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["ftp://a/"], id="another scheme"),
        pytest.param(["http://a:99999/"], id="no port"),
        pytest.param(["http://a/\nX: y"], id="a line break"),
        pytest.param(["http://a/", "http://b/"], id="two servers"),
        pytest.param([], id="no URL"),
    ],
)
async def test_wrong_usage(arguments):
    code, out, err = await bench(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Usage:")


async def test_nobody_listens():
    code, out, err = await bench("http://127.0.0.1:1/", "-t", "0.2")
    assert (code, out) == (1, "")
    assert "no connection to 127.0.0.1:1" in err
