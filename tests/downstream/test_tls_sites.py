"""Sites that want certificates of their clients: who is asked for one in a handshake, and what a connection is known by."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from edge.clock import SystemClock
from edge.downstream.listener import PROTOCOLS, Listener
from edge.downstream.tls_contexts import TlsContexts
from edge.downstream.tls_files import CertificateFiles
from edge.downstream.tls_handshake import Handshake
from edge.downstream.tls_tickets import TicketKeys
from edge.errors import ParseError
from tests.downstream.certificates import issue, trusting
from tests.downstream.talking import Client, Talking, saying

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
# The authority of each site's clients.
A, B = trustme.CA(), trustme.CA()


@dataclass
class Gate:
    """A listener for sites with and without authorities; it answers with the one that a connection is known by."""

    talking: Talking
    folder: Path
    files: CertificateFiles
    sites: dict[str, str]
    options: dict = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    contexts: TlsContexts = field(init=False)
    listener: Listener = field(init=False)
    port: int = 0

    async def open(self, **options) -> "Gate":
        self.contexts = TlsContexts(
            [self.files], protocols=PROTOCOLS, site_cas=set(self.sites.values()) - {""},
            site_ca=lambda name: self.sites.get(name, ""), **options,
        )  # fmt: skip
        self.listener, self.port = await self.talking.listener(
            saying(content=b"nobody"), tls=self.contexts, count=lambda event: self.counted.update([event]),
            known=lambda client_ca: saying(content=Path(client_ca).stem.encode()),
        )  # fmt: skip
        return self

    async def client(self, name: str, context: ssl.SSLContext | None = None) -> Client:
        return await self.talking.client(self.port, ssl=context or trusting(), server_hostname=name)

    async def known(self, name: str, context: ssl.SSLContext | None = None) -> bytes:
        """Return what a new connection is known by."""
        client = await self.client(name, context)
        await client.send(GET)
        return (await client.answer()).content

    async def refuses(self, name: str, context: ssl.SSLContext | None = None) -> None:
        """Assert that a new connection ends with an alert: by TLS 1.3 after the client's side of the handshake."""
        with pytest.raises(ssl.SSLError, match="ALERT"):
            await (await self.client(name, context)).answer()

    def visit(self, name: str, context: ssl.SSLContext, session: ssl.SSLSession | None = None):
        """Make a connection as blocking programs do; return its session, whether it is one resumed, and the answer."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as sock,
            context.wrap_socket(sock, server_hostname=name, session=session) as tls,
        ):
            tls.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            received = b""
            while data := tls.recv(4096):
                received += data
            return tls.session, bool(tls.session_reused), received.rpartition(b"\r\n")[2]


Opening = Callable[..., Gate]


@pytest.fixture
def gate(talking, tmp_path) -> Gate:
    for authority, stem in ((A, "a"), (B, "b")):
        authority.cert_pem.write_to_path(tmp_path / f"{stem}.pem")
    a, b = str(tmp_path / "a.pem"), str(tmp_path / "b.pem")
    files = issue(tmp_path, "127.0.0.1", "open.test", "a.test", "b.test", "*.wild.test")
    sites = {"a.test": a, "b.test": b, "a.wild.test": a}
    return Gate(talking, tmp_path, files, sites)


def with_one_of(authority: trustme.CA | None, **choices) -> ssl.SSLContext:
    """Return a client's context, with a certificate of `authority` if there is one."""
    context = trusting(**choices)
    if authority is not None:
        authority.issue_cert("me@client.test").configure_cert(context)
    return context


def listening(context: ssl.SSLContext) -> list[str]:
    """Return the names of the handshake messages that a client will have heard from now on."""
    heard: list[str] = []

    def hear(_connection, direction, _version, _content_type, message, _data) -> None:
        if direction == "read":
            heard.append(getattr(message, "name", ""))

    context._msg_callback = hear
    return heard


class TestWhoIsAsked:
    @VERSIONS
    @pytest.mark.parametrize(
        ("name", "is_asked"),
        [
            pytest.param("a.test", True, id="a site that wants a certificate"),
            pytest.param("A.Test", True, id="the same in other letters"),
            pytest.param("a.wild.test", True, id="one whose certificate is a wildcard's"),
            pytest.param("open.test", False, id="a site that does not"),
            pytest.param("other.wild.test", False, id="one of the same certificate that does not"),
            pytest.param("127.0.0.1", False, id="nobody by name"),
        ],
    )
    async def test_is_decided_by_the_server_name(self, gate, version, name, is_asked):
        await gate.open()
        context = with_one_of(A, maximum_version=version)
        heard = listening(context)
        assert await gate.known(name, context) == (b"a" if is_asked else b"nobody")
        assert ("CERTIFICATE_REQUEST" in heard) == is_asked
        assert gate.counted == {Handshake.FULL: 1}

    async def test_a_client_that_sends_no_name_is_asked_for_the_site_of_all_others(self, gate):
        gate.sites[""] = gate.sites["b.test"]
        await gate.open()
        assert await gate.known("127.0.0.1", with_one_of(B)) == b"b"
        await gate.refuses("127.0.0.1")

    async def test_a_name_without_a_certificate_is_refused_as_ever(self, gate):
        gate.sites["none.test"] = gate.sites["a.test"]
        await gate.open()
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            await gate.client("none.test", with_one_of(A))
        assert gate.counted == {Handshake.UNKNOWN_NAME: 1}

    async def test_an_authority_that_looks_for_a_challenge_is_not_asked(self, gate):
        files = issue(gate.folder, "a.test")
        (gate.folder / "challenge.pem").write_bytes(files.cert.read_bytes() + files.key.read_bytes())
        await gate.open(answer=lambda _: gate.folder / "challenge.pem")
        context = trusting()
        context.set_alpn_protocols(["acme-tls/1"])
        heard = listening(context)
        client = await gate.client("a.test", context)
        assert await client.ended() == b""
        assert gate.counted == {Handshake.FULL: 1}
        assert "CERTIFICATE_REQUEST" not in heard


class TestWhoIsLetIn:
    @VERSIONS
    @pytest.mark.parametrize(
        "authority", [None, B, trustme.CA()], ids=["no certificate", "one of another site", "one of somebody else"]
    )
    @pytest.mark.parametrize("name", ["a.test", "a.wild.test"])
    async def test_nobody_without_a_certificate_of_the_site(self, gate, version, authority, name):
        await gate.open()
        await gate.refuses(name, with_one_of(authority, maximum_version=version))
        assert gate.counted == {Handshake.CLIENT_CERTIFICATE: 1}

    @VERSIONS
    async def test_each_site_has_clients_of_its_own(self, gate, version):
        await gate.open()
        assert await gate.known("a.test", with_one_of(A, maximum_version=version)) == b"a"
        assert await gate.known("b.test", with_one_of(B, maximum_version=version)) == b"b"
        assert await gate.known("open.test", trusting(maximum_version=version)) == b"nobody"

    async def test_an_authority_need_not_be_a_root(self, gate):
        root = trustme.CA()
        one, other = root.create_child_ca(), root.create_child_ca()
        (gate.folder / "a.pem").write_bytes(one.cert_pem.bytes())
        await gate.open()
        assert await gate.known("a.test", with_one_of(one)) == b"a"
        for refused in (other, root):
            await gate.refuses("a.test", with_one_of(refused))

    async def test_what_the_listener_wants_holds_as_well(self, gate):
        both, site, listener = trustme.CA(), trustme.CA(), gate.folder / "listener.pem"
        (gate.folder / "a.pem").write_bytes(both.cert_pem.bytes() + site.cert_pem.bytes())
        listener.write_bytes(both.cert_pem.bytes() + B.cert_pem.bytes())
        await gate.open(client_ca=listener)
        assert await gate.known("a.test", with_one_of(both)) == b"a"
        assert await gate.known("open.test", with_one_of(B)) == b"nobody"
        for name, refused in (("a.test", site), ("a.test", B), ("open.test", site), ("open.test", None)):
            await gate.refuses(name, with_one_of(refused))

    async def test_an_authority_has_to_be_one_of_both(self, gate):
        with pytest.raises(ParseError, match=r"no authority is in .*/a\.pem and in .*/b\.pem: no client"):
            await gate.open(client_ca=gate.folder / "b.pem")


class Blocking:
    """A client whose octets go to the edge as a test wants it."""

    def __init__(self, name: str, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def hello(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()


class TestTheFirstOctets:
    @VERSIONS
    async def test_may_come_one_by_one(self, gate, version):
        await gate.open()
        client = await gate.talking.client(gate.port)
        blocking = Blocking("a.test", with_one_of(A, maximum_version=version))
        hello = blocking.hello()
        await client.send(hello[:1])
        while not gate.listener._arriving or not next(iter(gate.listener._arriving))._has_begun:
            await asyncio.sleep(0)
        (tls,) = gate.listener._arriving
        for octet in hello[1:]:
            tls.data_received(bytes([octet]))
        is_done = False
        while not is_done:
            blocking.incoming.write(await client.reader.read(1 << 16))
            try:
                blocking.tls.do_handshake()
                blocking.tls.write(GET)
                is_done = True
            except ssl.SSLWantReadError:
                pass
            await client.send(blocking.outgoing.read())
        received = b""
        while not received.endswith(b"\r\n\r\na"):
            blocking.incoming.write(await client.reader.read(1 << 16))
            try:
                received += blocking.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                continue
        assert gate.counted == {Handshake.FULL: 1}

    async def test_cannot_name_another_site_once_they_were_answered(self, gate):
        await gate.open()
        client = await gate.talking.client(gate.port)
        # A key share of a group that nobody knows, among others: it is asked for one of these (RFC 8446 §4.1.4).
        first = Blocking("open.test", trusting()).hello()
        for known, unknown in (
            (b"\x1d\x00\x17\x00\x1e", b"\x1d\x00\x17\x0a\x0a"),
            (b"\x00\x1d\x00\x20", b"\x0a\x0a\x00\x20"),
        ):
            assert first.count(known) == 1
            first = first.replace(known, unknown)
        await client.send(first)
        retry = await client.reader.readexactly(5)
        assert (retry[0], (await client.reader.readexactly(int.from_bytes(retry[3:], "big")))[0]) == (22, 2)
        (tls,) = gate.listener._arriving
        assert tls._hello is None
        await client.send(Blocking("a.test", trusting()).hello())
        rest = await client.ended()
        # A change of cipher specs, for middleboxes, and a fatal alert.
        assert rest[-7:-2] == b"\x15\x03\x03\x00\x02"
        assert gate.counted == {Handshake.UNKNOWN_NAME: 1}


class TestSessions:
    @pytest.fixture(params=[True, False], ids=["keys in a file", "keys of its own"])
    async def opened(self, gate, request, tmp_path) -> Gate:
        return await gate.open(tickets=TicketKeys(tmp_path / "tickets", SystemClock()) if request.param else None)

    @VERSIONS
    @pytest.mark.parametrize("name", ["a.test", "a.wild.test"])
    async def test_are_resumed_at_sites_of_the_same_authorities(self, opened, version, name):
        context = with_one_of(A, maximum_version=version)
        session, was_resumed, _ = await asyncio.to_thread(opened.visit, "a.test", context)
        assert not was_resumed
        assert (await asyncio.to_thread(opened.visit, name, context, session))[1:] == (True, b"a")

    @pytest.mark.parametrize(
        ("version", "authority", "name"),
        [
            pytest.param(ssl.TLSVersion.TLSv1_3, None, "open.test", id="of an open site, without a certificate"),
            pytest.param(ssl.TLSVersion.TLSv1_3, A, "a.test", id="of another site, with its certificate"),
            pytest.param(ssl.TLSVersion.TLSv1_2, A, "a.test", id="of another site, with its certificate, by TLS 1.2"),
        ],
    )
    async def test_of_one_site_do_not_get_into_another(self, opened, version, authority, name):
        context = with_one_of(authority, maximum_version=version)
        session, *_ = await asyncio.to_thread(opened.visit, name, context)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(opened.visit, "b.test", context, session)
        # It is good for what it was made for.
        assert (await asyncio.to_thread(opened.visit, name, context, session))[1]
        assert opened.counted == {Handshake.FULL: 1, Handshake.CLIENT_CERTIFICATE: 1, Handshake.RESUMED: 1}

    async def test_of_an_open_site_make_nobody_known_by_tls_1_2_where_they_have_the_name_in_them(self, opened):
        context = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
        session, *_ = await asyncio.to_thread(opened.visit, "open.test", context)
        _, was_resumed, said = await asyncio.to_thread(opened.visit, "b.test", context, session)
        assert (was_resumed, said) == (True, b"nobody")

    @VERSIONS
    async def test_with_a_certificate_are_not_resumed_where_none_is_wanted(self, opened, version):
        context = with_one_of(A, maximum_version=version)
        session, *_ = await asyncio.to_thread(opened.visit, "a.test", context)
        _, was_resumed, said = await asyncio.to_thread(opened.visit, "open.test", context, session)
        assert (was_resumed, said) == (False, b"nobody")


class TestReload:
    @VERSIONS
    async def test_other_authorities_hold_for_new_connections_and_end_sessions(self, gate, version):
        await gate.open()
        context = with_one_of(A, maximum_version=version)
        before = await gate.client("a.test", context)
        session, *_ = await asyncio.to_thread(gate.visit, "a.test", context)
        (gate.folder / "a.pem").write_bytes(B.cert_pem.bytes())
        gate.contexts.refresh()
        assert await gate.known("a.test", with_one_of(B, maximum_version=version)) == b"a"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(gate.visit, "a.test", context, session)
        await before.send(GET)
        assert (await before.answer()).content == b"a"

    async def test_the_same_authorities_written_anew_change_nothing(self, gate):
        await gate.open()
        context = with_one_of(A)
        session, *_ = await asyncio.to_thread(gate.visit, "a.test", context)
        (gate.folder / "a.pem").write_bytes(b"# ours\n" + A.cert_pem.bytes() * 2)
        gate.contexts.refresh()
        assert (await asyncio.to_thread(gate.visit, "a.test", context, session))[1]

    async def test_a_file_without_any_is_said_and_changes_nothing(self, gate, caplog):
        await gate.open()
        (gate.folder / "a.pem").write_text("nothing")
        gate.contexts.refresh()
        told = f"the certificates in use are kept: {gate.folder}/a.pem holds no certificate in PEM"
        assert [record.getMessage() for record in caplog.records] == [told]
        assert await gate.known("a.test", with_one_of(A)) == b"a"
        await gate.refuses("a.test")
