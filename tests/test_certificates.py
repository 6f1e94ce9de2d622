"""Certificates as an operator meets them: by the commands, and on a node that runs."""

import asyncio
import re
import shutil
import ssl
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from click.testing import CliRunner, Result

from edge.cli import main
from tests.downstream.certificates import issue, trusting
from tests.real.node import demo_origin

FILE = """
node = "edge"
[[listen]]
address = "127.0.0.1:0"
[[listen]]
address = "127.0.0.1:0"
tls = {tls}
[cache]
path = "{cache}"
max_size = "64MiB"
[admin]
address = "127.0.0.1:0"
[origins.app]
urls = ["{origin}"]
[[site]]
hosts = ["a.test", "localhost"]
origin = "app"
hsts = "365d"
[log]
format = "off"
"""


def written(tmp_path: Path, tls: str, *, origin: str = "http://127.0.0.1:1") -> str:
    path = tmp_path / "edge.toml"
    path.write_text(FILE.format(tls=tls, cache=tmp_path / "cache", origin=origin))
    return str(path)


def wanting(path: str, *, listener: Path | None = None, site: Path | None = None) -> str:
    """Leave the listener by TLS alone, and have it or the site want certificates of clients."""
    text = Path(path).read_text().replace('[[listen]]\naddress = "127.0.0.1:0"\n', "", 1)
    for authority, before in ((listener, "tls ="), (site, "hsts =")):
        if authority is not None:
            text = text.replace(before, f'client_ca = "{authority}"\n{before}')
    Path(path).write_text(text)
    return path


def table(files) -> str:
    return f'{{ cert = "{files.cert}", key = "{files.key}" }}'


@asynccontextmanager
async def serving(path: str) -> AsyncIterator[tuple[int, int, str]]:
    """Run an edge, and yield the ports of its listeners, the first and the last, and the URL of its admin plane."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "serve", "-c", path, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        while "http://" not in (said := (await process.stderr.readline()).decode()):
            assert said
        listeners = Path(path).read_text().count("[[listen]]")
        ports = [int((await process.stdout.readline()).rpartition(b":")[2]) for _ in range(listeners)]
        yield ports[0], ports[-1], said.split()[-1]
    finally:
        process.terminate()
        _, complaints = await process.communicate()
    assert (process.returncode, b"Traceback" in complaints) == (0, False)


async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, check=False, timeout=60)


async def preloaded(session: aiohttp.ClientSession, urls: list[str]) -> dict:
    """Return what is told of a job once it is done."""
    async with session.post("/v1/preloads", json={"urls": urls}) as response:
        told = await response.json()
    async with asyncio.timeout(60):
        while told["state"] != "done":
            async with session.get(f"/v1/preloads/{told['id']}") as response:
                told = await response.json()
    return told


def edge(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


class TestCheck:
    def test_what_is_good_is_good(self, tmp_path):
        done = edge("check", "-c", written(tmp_path, table(issue(tmp_path, "a.test", "localhost"))))
        assert (done.exit_code, done.stderr) == (0, "")

    def test_certificates_of_the_nodes_own_are_not_made_by_looking(self, tmp_path):
        done = edge("check", "-c", written(tmp_path, '"internal"'))
        assert (done.exit_code, done.stderr) == (0, "")
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize(
        ("days", "code", "said"),
        [
            pytest.param(-1, 3, "error: .* expired at", id="expired"),
            pytest.param(13, 0, r"warning: .* expires in 1\d days", id="expires soon"),
        ],
    )
    def test_time_is_looked_at(self, tmp_path, days, code, said):
        done = edge("check", "-c", written(tmp_path, table(issue(tmp_path, "a.test", "localhost", days=days))))
        assert done.exit_code == code
        assert re.match(said, done.stderr)

    def test_names_are_compared_with_those_of_the_sites(self, tmp_path):
        done = edge("check", "-c", written(tmp_path, table(issue(tmp_path, "*.test"))))
        assert done.exit_code == 0
        assert done.stderr == "warning: no certificate is for localhost: clients that ask for it by https are refused\n"

    def test_every_fault_is_named(self, tmp_path):
        one, other = issue(tmp_path, "a.test"), issue(tmp_path, "b.test")
        shutil.copy(one.key, tmp_path / "wrong.key")
        other.key.write_bytes((tmp_path / "wrong.key").read_bytes())
        one.key.write_text("nothing")
        done = edge("check", "-c", written(tmp_path, f"[{table(one)}, {table(other)}]"))
        assert done.exit_code == 3
        assert done.stderr == (
            f"error: {one.key} holds no private key in PEM\nerror: {other.key} is not the key of {other.cert}\n"
        )

    @pytest.mark.parametrize("places", [["listener"], ["site"], ["listener", "site"]], ids=" and ".join)
    def test_authorities_of_clients_are_looked_at(self, tmp_path, places):
        (tmp_path / "clients.pem").write_text("nothing")
        path = wanting(written(tmp_path, '"internal"'), **dict.fromkeys(places, tmp_path / "clients.pem"))
        done = edge("check", "-c", path)
        assert (done.exit_code, done.stderr) == (3, f"error: {tmp_path}/clients.pem holds no certificate in PEM\n")

    def test_it_is_said_that_both_hold_for_a_site_and_its_listener(self, tmp_path):
        one, other = trustme.CA(), trustme.CA()
        one.cert_pem.write_to_path(tmp_path / "one.pem")
        (tmp_path / "both.pem").write_bytes(one.cert_pem.bytes() + other.cert_pem.bytes())
        path = wanting(written(tmp_path, '"internal"'), listener=tmp_path / "both.pem", site=tmp_path / "one.pem")
        done = edge("check", "-c", path)
        assert done.exit_code == 0
        assert done.stderr == (
            "warning: a.test and 127.0.0.1:0 both have client_ca: a client there needs a certificate that an authority in "
            "both files has signed\n"
        )
        other.cert_pem.write_to_path(tmp_path / "both.pem")
        done = edge("check", "-c", path)
        assert done.exit_code == 3
        assert done.stderr.startswith(f"error: no authority is in {tmp_path}/one.pem and in {tmp_path}/both.pem: ")


class TestFlags:
    @pytest.mark.parametrize(
        "flags",
        [
            pytest.param(["--listen-tls", ":8443"], id="no certificate"),
            pytest.param(["--listen-tls", ":8443", "--tls-cert", "a.pem"], id="no key"),
            pytest.param(
                ["--listen-tls", ":8443", "--tls", "internal", "--tls-cert", "a", "--tls-key", "a"], id="both"
            ),
            pytest.param(["--tls", "internal"], id="no listener"),
        ],
    )
    def test_that_do_not_belong_together_are_wrong_usage(self, flags):
        done = edge("check", "--origin", "http://127.0.0.1:1", *flags)
        assert done.exit_code == 2
        assert "--listen-tls" in done.stderr


class TestTrust:
    def test_the_certificate_is_printed_and_how_to_trust_it(self, tmp_path):
        done = edge("trust", "-c", written(tmp_path, '"internal"'))
        assert done.exit_code == 0
        assert done.stdout == (tmp_path / "cache/tls/ca.pem").read_text()
        assert f"curl --cacert {tmp_path}/cache/tls/ca.pem" in done.stderr
        assert edge("trust", "-c", str(tmp_path / "edge.toml")).stdout == done.stdout

    def test_a_directory_that_cannot_be_used_is_named(self, tmp_path):
        (tmp_path / "cache").write_text("a file")
        done = edge("trust", "-c", written(tmp_path, '"internal"'))
        assert done.exit_code == 1
        assert done.stderr.startswith(f"error: {tmp_path}/cache")


@pytest.mark.slow
class TestNode:
    async def test_a_hit_by_https_is_the_hit_by_http_octet_for_octet(self, tmp_path):
        async with demo_origin() as at, serving(written(tmp_path, '"internal"', origin=at.url)) as (plain, secure, _):
            trust = ssl.create_default_context(cafile=tmp_path / "cache/tls/ca.pem")
            answers = []
            for port, context in ((plain, None), (secure, trust)):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname="localhost" if context else None
                )
                for _ in range(3):
                    writer.write(b"GET /images/dawn.png HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(re.findall(rb"Content-Length: (\d+)", head)[0])
                    content = await reader.readexactly(length)
                writer.close()
                await writer.wait_closed()
                assert b"; hit; ttl=" in head
                hsts = b"Strict-Transport-Security: max-age=31536000\r\n"
                assert (hsts in head) == (context is not None)
                changing = rb"(?:Date|Age|Cache-Status): [^\r]*\r\n"
                answers.append((re.sub(changing, b"", head).replace(hsts, b""), content))
            assert answers[0] == answers[1]

    async def test_a_certificate_that_is_replaced_on_disk_is_shown_and_its_expiry_measured(self, tmp_path):
        files = issue(tmp_path, "localhost")
        async with demo_origin() as at, serving(written(tmp_path, table(files), origin=at.url)) as (_, secure, admin):
            issue(tmp_path, "localhost", "a.test")
            names: set[str] = set()
            async with asyncio.timeout(60):
                while "a.test" not in names:
                    _, writer = await asyncio.open_connection(
                        "127.0.0.1", secure, ssl=trusting(), server_hostname="localhost"
                    )
                    certificate = writer.get_extra_info("ssl_object").getpeercert()
                    names = {name for _, name in certificate["subjectAltName"]}
                    writer.close()
                    await writer.wait_closed()
            async with aiohttp.ClientSession() as session, session.get(f"{admin}/metrics") as response:
                metrics = await response.text()
            not_after = ssl.cert_time_to_seconds(certificate["notAfter"])
            found = re.findall(r'edge_tls_cert_not_after_timestamp_seconds\{name="localhost"\} (\S+)', metrics)
            assert [float(value) for value in found] == [not_after]
            assert 'edge_events_total{event="tls-full-handshake"}' in metrics

    async def test_curl_and_edge_get_are_content(self, tmp_path):
        async with demo_origin() as at, serving(written(tmp_path, '"internal"', origin=at.url)) as (_, secure, _):
            ca, url = str(tmp_path / "cache/tls/ca.pem"), f"https://localhost:{secure}/"
            got = await run(sys.executable, "-m", "edge", "get", url, "--cacert", ca)
            assert got.returncode == 0, got.stderr
            refused = await run(sys.executable, "-m", "edge", "get", url)
            assert refused.returncode == 1
            assert "certificate verify failed" in refused.stderr
            if shutil.which("curl"):
                got = await run(
                    "curl", "-sS", "--cacert", ca, "--tlsv1.3", "-o", "/dev/null", "-w", "%{http_code}", url
                )
                assert (got.stdout, got.stderr) == ("200", "")

    async def test_a_site_that_wants_certificates_is_preloaded_and_answered_by_all_workers(self, tmp_path):
        clients, paths = trustme.CA(), [f"/images/dawn.png?{number}" for number in range(20)]
        clients.cert_pem.write_to_path(tmp_path / "clients.pem")
        async with demo_origin() as at:
            path = written(tmp_path, table(issue(tmp_path, "a.test", "localhost")), origin=at.url)
            text = Path(wanting(path, site=tmp_path / "clients.pem")).read_text()
            text = text.replace("[admin]\n", f'[admin]\ntoken_file = "{tmp_path}/tokens"\n')
            Path(path).write_text(f"workers = 2\n{text}")
            async with serving(path) as (_, secure, admin):
                headers = {"Authorization": f"Bearer {(tmp_path / 'tokens.secret').read_text().strip()}"}
                async with aiohttp.ClientSession(admin, headers=headers) as session:
                    assert (await preloaded(session, [f"https://a.test{each}" for each in paths[:10]]))["stored"] == 10
                    async with session.get("/v1/explain", params={"url": "https://a.test/"}) as response:
                        assert "certificate" in [step["name"] for step in (await response.json())["steps"]]
                context = trusting()
                clients.issue_cert("me@client.test").configure_cert(context)
                options = {"ssl": context, "server_hostname": "a.test", "headers": {"Host": "a.test"}}
                async with aiohttp.ClientSession(f"https://127.0.0.1:{secure}") as session:
                    for each in paths:
                        async with session.get(each, **options) as response:
                            is_hit = "; hit" in response.headers["Cache-Status"]
                            assert (response.status, is_hit) == (200, each in paths[:10])
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", secure, ssl=trusting(), server_hostname="a.test"
                )
                with pytest.raises(ssl.SSLError, match="ALERT"):
                    await reader.read()
                writer.close()

    def test_a_certificate_that_cannot_be_used_is_a_sentence(self, tmp_path):
        files = issue(tmp_path, "localhost")
        files.key.write_text("nothing")
        done = subprocess.run(
            [sys.executable, "-m", "edge", "serve", "-c", written(tmp_path, table(files))],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1
        assert f"error: no TLS on 127.0.0.1:0: {files.key} holds no private key in PEM\n" in done.stderr
        assert "Traceback" not in done.stderr
