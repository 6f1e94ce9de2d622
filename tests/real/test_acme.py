"""Certificates from an authority, with Debian's pebble: issued by both challenges, renewed, refused."""

import asyncio
import re
import signal
import ssl
import stat
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.real.node import STUCK, demo_origin
from tests.real.pebble import Pebble, free_ports, pebble

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONFIG = """
workers = {workers}
[[listen]]
address = "127.0.0.1:{http}"
[[listen]]
address = "127.0.0.1:{tls}"
tls = "acme"
[acme]
directory = "{directory}"
contact = ["ops@a.test"]
terms_agreed = true
ca_file = "{ca}"
challenges = ["{challenge}"]
[cache]
path = "{cache}"
max_size = "64MiB"
[admin]
address = "off"
[origins.app]
urls = ["{origin}"]
[[site]]
hosts = [{hosts}]
origin = "app"
https = "redirect"
[log]
format = "off"
"""


class Node:
    """A node that runs, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self.port = process, port
        self.said = ""

    async def says(self, pattern: str) -> str:
        """Return what has been said when a line like this has been."""
        assert self.process.stderr is not None
        try:
            # A refusal is waited out for a minute.
            async with asyncio.timeout(3 * STUCK):
                while re.search(pattern, self.said) is None:
                    line = await self.process.stderr.readline()
                    assert line, self.said
                    self.said += line.decode()
        except TimeoutError:
            pytest.fail(f"no {pattern!r} in {self.said}")
        return self.said

    async def shown(self, host: str) -> x509.Certificate:
        """Return the certificate that a client is shown; nothing is verified."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=host)
        try:
            octets = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        finally:
            writer.close()
        return x509.load_der_x509_certificate(octets)


def written(
    folder: Path,
    authority: Pebble,
    origin: str,
    challenge: str,
    *,
    hosts: str = '"a.test", "b.test"',
    workers: int = 1,
    http: int | None = None,
) -> Path:
    path = folder / "edge.toml"
    path.write_text(
        CONFIG.format(
            workers=workers,
            http=http or authority.http_port,
            tls=authority.tls_port,
            directory=authority.directory,
            ca=authority.ca,
            challenge=challenge,
            cache=folder / "cache",
            origin=origin,
            hosts=hosts,
        )
    )
    return path


@asynccontextmanager
async def node(path: Path, authority: Pebble) -> AsyncIterator[Node]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "serve", "-c", str(path), stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STUCK):
            assert (await process.stdout.readline()).startswith(b"ready")
        yield Node(process, authority.tls_port)
    finally:
        process.terminate()
        _, rest = await process.communicate()
    assert (process.returncode, b"Traceback" in rest) == (0, False)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(STUCK):
        while not await condition():
            await asyncio.sleep(0.05)


def issuer(certificate: x509.Certificate) -> str:
    return str(certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
@pytest.mark.parametrize("workers", [2])
async def test_a_certificate_is_issued_and_shown_and_the_account_kept(tmp_path, challenge, workers):
    folder = tmp_path / "cache" / "tls" / "acme"
    async with demo_origin() as origin, pebble(tmp_path) as authority:
        path = written(tmp_path, authority, origin.url, challenge, workers=workers)
        async with node(path, authority) as edge:
            await edge.says("a certificate was issued for a.test, b.test")
            (tmp_path / "root.pem").write_bytes(await authority.root())
            context = ssl.create_default_context(cafile=tmp_path / "root.pem")

            async def is_trusted() -> bool:
                try:
                    _, writer = await asyncio.open_connection(
                        "127.0.0.1", edge.port, ssl=context, server_hostname="b.test"
                    )
                except ssl.SSLCertVerificationError:
                    return False
                writer.close()
                return True

            await until(is_trusted)
        kept = (folder / "account.key").read_bytes()
        assert [stat.S_IMODE((folder / name).stat().st_mode) for name in ("account.key", "a.test.pem")] == [0o600] * 2
        assert list((folder / "challenges").iterdir()) == []
        (folder / "a.test.pem").unlink()
        async with node(path, authority) as edge:
            await edge.says("a certificate was issued for a.test, b.test")
        assert (folder / "account.key").read_bytes() == kept
        log = (tmp_path / "pebble.log").read_text()
        assert len(re.findall(r"There are now \d+ accounts", log)) == 1, log


async def test_it_is_renewed_with_a_third_of_its_time_left(tmp_path):
    async with (
        demo_origin() as origin,
        pebble(tmp_path, seconds=6) as authority,
        node(written(tmp_path, authority, origin.url, "tls-alpn-01"), authority) as edge,
    ):
        await edge.says("a certificate was issued")
        await until(lambda: is_from("Pebble", edge))
        first = await edge.shown("a.test")
        await edge.says("(?s)a certificate was issued.*a certificate was issued")
        await until(lambda: is_another(first, edge))
        assert "no certificate" not in edge.said


async def is_from(authority: str, edge: Node) -> bool:
    return authority in issuer(await edge.shown("a.test"))


async def is_another(first: x509.Certificate, edge: Node) -> bool:
    return (await edge.shown("a.test")).serial_number != first.serial_number


async def test_a_refusal_is_told_and_what_is_shown_stays(tmp_path):
    async with demo_origin() as origin, pebble(tmp_path) as authority:
        # Where it comes to see the challenge, nobody listens.
        path = written(tmp_path, authority, origin.url, "http-01", hosts='"a.test"', http=free_ports(1)[0])
        async with node(path, authority) as edge:
            await edge.says(r"no certificate for a.test, what is shown stays; again in 6\d s: a.test: .*refused")
            assert "Foreland local CA" in issuer(await edge.shown("a.test"))
            assert list((tmp_path / "cache" / "tls" / "acme" / "challenges").iterdir()) == []
            written(tmp_path, authority, origin.url, "tls-alpn-01", hosts='"a.test"')
            edge.process.send_signal(signal.SIGHUP)
            await edge.says("a certificate was issued for a.test\n")


async def test_an_authority_that_cannot_be_reached_is_no_reason_not_to_serve(tmp_path):
    async with demo_origin() as origin, pebble(tmp_path) as authority:
        path = written(tmp_path, authority, origin.url, "http-01")
        path.write_text(path.read_text().replace(authority.directory, "https://127.0.0.1:1/dir"))
        async with node(path, authority) as edge:
            await edge.says("no certificate for a.test, b.test, .* again in 6")
            assert "Foreland local CA" in issuer(await edge.shown("b.test"))
