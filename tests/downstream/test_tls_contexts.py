"""Which certificate a client is shown, and how that changes while clients come and go."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from edge.clock import SystemClock
from edge.downstream.tls_contexts import TlsContexts
from edge.downstream.tls_files import CertificateFiles
from edge.downstream.tls_handshake import Handshake
from edge.downstream.tls_tickets import TicketKeys
from edge.errors import ParseError
from edge.testing.clock import ManualClock
from tests.downstream.certificates import Secure, issue, trusting
from tests.downstream.talking import hearing

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
SWAPS = int(os.environ.get("FORELAND_CERTIFICATE_SWAPS", "50"))


def shown(client) -> set[str]:
    """Return the names of the certificate that a client was shown."""
    certificate = client.writer.get_extra_info("ssl_object").getpeercert()
    return {name for _, name in certificate["subjectAltName"]}


class TestServerName:
    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            pytest.param("a.test", "a.test", id="the exact name"),
            pytest.param("A.Test", "a.test", id="the exact name in other letters"),
            pytest.param("b.test", "b.test", id="the second certificate"),
            pytest.param("x.wild.test", "*.wild.test", id="a name below a wildcard"),
            pytest.param("own.wild.test", "own.wild.test", id="an exact name before a wildcard"),
        ],
    )
    async def test_decides_on_the_certificate(self, talking, tmp_path, asked, expected):
        names = ["a.test", "b.test", "*.wild.test", "own.wild.test"]
        secure = await Secure.start(talking, *(issue(tmp_path, name) for name in names))
        assert shown(await secure.client(asked)) == {expected}

    @pytest.mark.parametrize(
        "asked",
        [
            pytest.param("c.test", id="another name"),
            pytest.param("wild.test", id="the name above a wildcard"),
            pytest.param("x.y.wild.test", id="a name two labels below a wildcard"),
        ],
    )
    async def test_that_is_unknown_is_refused(self, talking, tmp_path, asked):
        secure = await Secure.start(talking, issue(tmp_path, "a.test"), issue(tmp_path, "*.wild.test"))
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            await secure.client(asked)

    async def test_that_is_not_sent_gets_the_first_certificate(self, talking, tmp_path):
        secure = await Secure.start(talking, issue(tmp_path, "127.0.0.1"), issue(tmp_path, "b.test"))
        assert shown(await secure.client("127.0.0.1")) == {"127.0.0.1"}

    @pytest.mark.parametrize("address", [b"127.0.0.1", b"2001:db::1"])
    async def test_that_is_an_address_is_none(self, talking, tmp_path, address):
        secure = await Secure.start(talking, issue(tmp_path, "a.test"))
        client = await secure.plain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        placeholder = "x" * len(address)
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname=placeholder)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await client.send(outgoing.read().replace(placeholder.encode(), address))
        # A ServerHello, and no alert.
        assert await client.reader.readexactly(1) == b"\x16"


class TestClientCertificate:
    def client_ca(self, tmp_path: Path) -> tuple[trustme.CA, Path]:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "clients.pem")
        return authority, tmp_path / "clients.pem"

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_one_that_is_signed_is_let_in(self, talking, tmp_path, version):
        authority, path = self.client_ca(tmp_path)
        secure = await Secure.start(talking, issue(tmp_path, "a.test"), client_ca=path)
        context = trusting(maximum_version=version)
        authority.issue_cert("me@a.test").configure_cert(context)
        client = await secure.client(context=context)
        await client.send(GET)
        assert (await client.answer()).status == 200

    @pytest.mark.parametrize("issuer", [None, trustme.CA()], ids=["none at all", "one of somebody else"])
    async def test_none_that_is_signed_is_refused_with_an_alert(self, talking, tmp_path, issuer):
        _, path = self.client_ca(tmp_path)
        secure = await Secure.start(talking, issue(tmp_path, "a.test"), client_ca=path)
        context = trusting()
        if issuer is not None:
            issuer.issue_cert("me@a.test").configure_cert(context)
        client = await secure.client(context=context)
        with pytest.raises(ssl.SSLError, match="ALERT"):
            await client.answer()
        assert secure.counted == {Handshake.CLIENT_CERTIFICATE: 1}

    async def test_a_session_of_an_open_listener_does_not_get_in(self, talking, tmp_path):
        _, path = self.client_ca(tmp_path)
        files, tickets = issue(tmp_path, "a.test"), TicketKeys(tmp_path / "tickets", SystemClock())
        opened = await Secure.start(talking, files, tickets=tickets)
        closed = await Secure.start(talking, files, tickets=tickets, client_ca=path)
        context = trusting()
        session, _ = await asyncio.to_thread(visit, opened.port, context)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.to_thread(visit, closed.port, context, session)


class TestTickets:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_a_session_is_resumed_at_another_process(self, tmp_path, version):
        files = issue(tmp_path, "a.test")
        with worker(files, tmp_path / "tickets") as first, worker(files, tmp_path / "tickets") as second:
            context = trusting(maximum_version=version)
            session, was_resumed = visit(first, context)
            assert not was_resumed
            for port in (second, first):
                session, was_resumed = visit(port, context, session)
                assert was_resumed

    async def test_a_resumed_session_is_counted_as_such(self, talking, tmp_path):
        secure = await Secure.start(talking, issue(tmp_path, "a.test"))
        context = trusting()
        session, _ = await asyncio.to_thread(visit, secure.port, context)
        await asyncio.to_thread(visit, secure.port, context, session)
        assert secure.counted == {Handshake.FULL: 1, Handshake.RESUMED: 1}

    async def test_a_session_is_resumed_after_the_certificate_was_replaced(self, talking, tmp_path):
        files = issue(tmp_path, "a.test")
        contexts = TlsContexts([files], protocols=["http/1.1"])
        _, port = await talking.listener(None, tls=contexts)
        context = trusting()
        session, _ = await asyncio.to_thread(visit, port, context)
        issue(tmp_path, "a.test")
        contexts.refresh()
        assert (await asyncio.to_thread(visit, port, context, session))[1]

    async def test_a_session_is_not_resumed_once_the_key_was_replaced(self, talking, tmp_path):
        clock = ManualClock(1_000_000.0)
        contexts = TlsContexts(
            [issue(tmp_path, "a.test")], protocols=["http/1.1"], tickets=TicketKeys(tmp_path / "tickets", clock)
        )
        _, port = await talking.listener(None, tls=contexts)
        context = trusting()
        session, _ = await asyncio.to_thread(visit, port, context)
        clock.advance(13 * 3600)
        contexts.refresh()
        assert not (await asyncio.to_thread(visit, port, context, session))[1]


@contextmanager
def worker(files: CertificateFiles, tickets: Path) -> Iterator[int]:
    """Run a process that has nothing in common with another but its files, and yield its port."""
    command = [sys.executable, "-m", "tests.downstream.serves_tls", str(files.cert), str(files.key), str(tickets)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


def visit(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> tuple[ssl.SSLSession, bool]:
    """Make a connection as blocking programs do; return its session and whether it is one resumed."""
    with (
        socket.create_connection(("127.0.0.1", port)) as sock,
        context.wrap_socket(sock, server_hostname="a.test", session=session) as tls,
    ):
        # What is answered, be it 404, brings the tickets of TLS 1.3 along.
        tls.sendall(b"BAD\r\n\r\n")
        while tls.recv(4096):
            pass
        return tls.session, bool(tls.session_reused)


class TestReload:
    async def test_new_certificates_are_shown_and_old_connections_stay(self, talking, tmp_path):
        files = issue(tmp_path, "a.test")
        contexts = TlsContexts([files], protocols=["http/1.1"])
        _, port = await talking.listener(hearing(), tls=contexts)
        before = await talking.client(port, ssl=trusting(), server_hostname="a.test")
        issue(tmp_path, "a.test", "b.test")
        contexts.refresh()
        after = await talking.client(port, ssl=trusting(), server_hostname="b.test")
        assert (shown(before), shown(after)) == ({"a.test"}, {"a.test", "b.test"})
        for client in (before, after):
            await client.send(GET)
            assert (await client.answer()).status == 200

    async def test_what_cannot_be_used_changes_nothing_and_is_said_once(self, talking, tmp_path, caplog):
        files = issue(tmp_path, "a.test")
        secure = await Secure.start(talking, files)
        contexts = secure.listener._tls
        assert contexts is not None
        issue(tmp_path, "b.test")
        shutil.copy(tmp_path / "b.test.key", files.key)
        for _ in range(2):
            contexts.refresh()
        assert [record.getMessage() for record in caplog.records] == [
            f"the certificates in use are kept: {files.key} is not the key of {files.cert}"
        ]
        assert shown(await secure.client("a.test")) == {"a.test"}
        shutil.copy(tmp_path / "b.test.pem", files.cert)
        contexts.refresh()
        assert shown(await secure.client("b.test")) == {"b.test"}

    @pytest.mark.slow
    async def test_clients_come_and_go_without_a_failure_while_certificates_are_swapped(self, talking, tmp_path):
        files = issue(tmp_path, "a.test")
        secure = await Secure.start(talking, files)
        contexts = secure.listener._tls
        assert contexts is not None
        stop = asyncio.Event()
        served = 0

        async def visitor() -> None:
            nonlocal served
            context = trusting()
            while not stop.is_set():
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", secure.port, ssl=context, server_hostname="a.test"
                )
                for _ in range(2):
                    writer.write(GET)
                    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
                    await reader.readexactly(len(b"GET / "))
                    served += 1
                writer.close()
                await writer.wait_closed()

        spare = [issue(tmp_path, "a.test", stem=f"spare-{number}") for number in range(2)]
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(visitor())
            for number in range(SWAPS):
                replace(files, spare[number % 2])
                contexts.refresh()
                seen = served
                while served == seen:
                    await asyncio.sleep(0)
            stop.set()
        assert secure.counted.total() == secure.counted[Handshake.FULL]
        assert served >= SWAPS


def replace(files: CertificateFiles, by: CertificateFiles) -> None:
    """Put other files in the place of these, each in one step."""
    for old, new in ((files.cert, by.cert), (files.key, by.key)):
        shutil.copy(new, old.with_suffix(".new"))
        old.with_suffix(".new").replace(old)


class TestWhatCannotBeUsed:
    def test_a_file_with_client_authorities_that_is_none(self, tmp_path):
        path = tmp_path / "clients.pem"
        path.write_text("not a certificate")
        with pytest.raises(ParseError, match=r"clients\.pem holds no certificate"):
            TlsContexts([issue(tmp_path, "a.test")], protocols=["http/1.1"], client_ca=path)

    def test_a_certificate_that_is_not_there(self, tmp_path):
        files = CertificateFiles(tmp_path / "none.pem", tmp_path / "none.key")
        with pytest.raises(ParseError, match=r"none\.pem cannot be read: No such file"):
            TlsContexts([files], protocols=["http/1.1"])


def test_nothing_weaker_than_tls_1_2_with_forward_secrecy_is_offered(tmp_path):
    contexts = TlsContexts([issue(tmp_path, "a.test")], protocols=["http/1.1"])
    suites = {cipher["name"] for cipher in contexts.front.context.get_ciphers()}
    assert all(name.startswith("TLS_") or ("ECDHE-" in name and ("GCM" in name or "CHACHA" in name)) for name in suites)
    assert contexts.front.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert contexts.front.context.options & ssl.OP_NO_RENEGOTIATION
