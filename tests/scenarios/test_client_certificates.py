"""Sites that want certificates of their clients: by no way is a client answered for one that has not shown its own."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from edge.downstream.listener import PROTOCOLS, Listener, bind
from edge.downstream.ready import ReadyTable
from edge.downstream.tls_contexts import TlsContexts
from edge.exchange.driver import Driver
from edge.exchange.site import Site, Sites
from edge.policy.limits import Limits
from edge.testing.upstream import Answer
from tests.downstream.certificates import CA, issue, trusting
from tests.downstream.talking import Client
from tests.exchange.world import ETAG, FRESH, Page, World
from tests.scenarios.test_http2 import Speaker

SECRET = b"for clients of a.test alone"
#: Who may sign the certificates of two sites' clients, by the sites' names.
SIGNING = {"a.test": trustme.CA(), "b.test": trustme.CA()}
HTTP1, HTTP2 = "http/1.1", "h2"


class Node:
    """A driver with three sites behind a listener by TLS."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.world, self.told = folder, World(), []
        self.world.upstream.script = lambda _: Answer(fields=[FRESH, ETAG], content=[SECRET])
        for name, authority in SIGNING.items():
            authority.cert_pem.write_to_path(folder / f"{name}.ca.pem")
        self.cas = {name: str(folder / f"{name}.ca.pem") for name in SIGNING}
        everybody = (ip_network("127.0.0.0/8"),)
        sites = [
            Site(name, (name.encode(),), "main", client_ca=self.cas.get(name, ""), purge_from=everybody)
            for name in ("a.test", "b.test", "open.test")
        ]
        self.driver = Driver(Sites(sites), self.world.driver._context)
        self.clients: list[Client] = []

    async def start(self) -> None:
        driver, clock = self.driver, self.world.clock
        contexts = TlsContexts(
            [issue(self.folder, "127.0.0.1", "a.test", "b.test", "open.test")], protocols=PROTOCOLS,
            site_cas=self.cas.values(), site_ca=lambda name: self.cas.get(name, ""),
        )  # fmt: skip
        self.listener = Listener(
            driver.handle, driver.refuse_unparsed, Limits(), clock, begin=driver.begin, tls=contexts,
            ready=ReadyTable(driver.prepared.find, lambda answer, *_: self.told.append(answer), clock),
            known=lambda client_ca: partial(driver.handle, client_ca=client_ca),
        )  # fmt: skip
        bound = bind("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        await self.listener.start(bound)

    async def client(self, name: str, protocol: str = HTTP1, **choices) -> "Asking":
        """Return a client that has come for the site `name`, with a certificate of its own where that wants one."""
        context = trusting(**choices)
        context.set_alpn_protocols([protocol])
        if name in SIGNING:
            SIGNING[name].issue_cert("me@client.test").configure_cert(context)
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name))
        self.clients.append(client)
        return Asking(client, protocol)

    async def close(self) -> None:
        for client in self.clients:
            client.writer.close()
            with suppress(OSError):
                await client.writer.wait_closed()
        self.listener.drain()
        await self.listener.drained()
        self.listener.cut()


class Asking:
    """A client that asks in one of two protocols."""

    def __init__(self, client: Client, protocol: str) -> None:
        self.client = client
        self.speaker = Speaker(client) if protocol == HTTP2 else None

    async def ask(
        self, *lines: tuple[bytes, bytes], host: bytes, method: bytes = b"GET", path: bytes = b"/"
    ) -> tuple[int, bytes]:
        if self.speaker is not None:
            status, _, content = await self.speaker.get(*lines, method=method, path=path, host=host)
            return status, content
        fields = b"".join(b"%s: %s\r\n" % line for line in lines)
        await self.client.send(b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, path, host, fields))
        answer = await self.client.answer(method)
        return answer.status, answer.content


@pytest.fixture
async def node(tmp_path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    await node.start()
    yield node
    await node.close()


SPOKEN = pytest.mark.parametrize("protocol", [HTTP1, HTTP2])
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
WAYS = [
    pytest.param({"path": b"/new"}, id="what is not stored"),
    pytest.param({}, id="a hit"),
    pytest.param({"method": b"HEAD"}, id="the head of a hit"),
    pytest.param({"lines": [(b"range", b"bytes=0-3")]}, id="a part of a hit"),
    pytest.param({"lines": [ETAG_MATCH := (b"if-none-match", b'"v1"')]}, id="whether a hit is another"),
    pytest.param({"lines": [ETAG_MATCH], "path": b"/new"}, id="a condition on what is not stored"),
    pytest.param({"lines": [(b"cache-control", b"only-if-cached")]}, id="what is stored or nothing"),
    pytest.param({"method": b"POST"}, id="what is written through"),
    pytest.param({"method": b"PURGE"}, id="a purge"),
    pytest.param({"method": b"OPTIONS", "path": b"*"}, id="about the node"),
    pytest.param({"method": b"TRACE"}, id="a method that is never served"),
    pytest.param({"lines": [(b"edge-debug", b"token")]}, id="the decisions"),
]


@SPOKEN
@VERSIONS
async def test_who_has_shown_a_certificate_of_the_site_is_answered(node, protocol, version):
    client = await node.client("a.test", protocol, maximum_version=version)
    for _ in range(4):
        assert await client.ask(host=b"a.test") == (200, SECRET)
        await node.world.settle()
    assert len(node.world.asked) == 1
    assert await client.ask(host=b"a.test", method=b"PURGE") != (421, b"421 client-certificate\n")
    # Nothing of it is ready for others.
    assert node.told == []


@SPOKEN
@pytest.mark.parametrize("come_for", ["open.test", "b.test", "127.0.0.1"])
@pytest.mark.parametrize("way", WAYS)
async def test_whoever_has_come_for_another_site_is_sent_to_a_connection_of_its_own(node, protocol, come_for, way):
    known = await node.client("a.test", protocol)
    for _ in range(3):
        assert await known.ask(host=b"a.test") == (200, SECRET)
        await node.world.settle()
    client, asked = await node.client(come_for, protocol), len(node.world.asked)
    request = {**way, "host": b"a.test"}
    said = await client.ask(*request.pop("lines", ()), **request)
    assert said == (421, b"" if way.get("method") == b"HEAD" else b"421 client-certificate\n")
    await node.world.settle()
    assert len(node.world.asked) == asked
    # The purge has not happened, and the connection is good for its own site.
    assert await known.ask(host=b"a.test") == (200, SECRET)
    assert len(node.world.asked) == asked
    own = come_for.encode() if come_for.endswith(".test") else b"open.test"
    assert await client.ask(host=own) == (200, SECRET)


@SPOKEN
async def test_an_open_site_is_answered_by_every_connection_and_ready(node, protocol):
    for come_for in ("open.test", "a.test"):
        client = await node.client(come_for, protocol)
        for _ in range(3):
            assert await client.ask(host=b"open.test") == (200, SECRET)
            await node.world.settle()
    assert len(node.world.asked) == 1
    assert len(node.told) >= 4


@SPOKEN
async def test_what_is_published_is_for_known_clients_alone(node, protocol):
    known = await node.client("a.test", protocol)
    await known.ask(host=b"a.test")
    await node.world.settle()
    (stored,) = next(iter(node.world.store.heads.values()))
    page = Page(node.world.store, stored)
    # At hand, it would be ready as well.
    page.at_hand = node.world.store.at_hand
    object.__setattr__(node.driver._context, "published", page)
    node.driver.prepared._published = node.driver.prepared._answers._published = page
    client = await node.client("open.test", protocol)
    for _ in range(3):
        assert await known.ask(host=b"a.test", path=b"/published") == (200, SECRET)
        assert await client.ask(host=b"a.test", path=b"/published") == (421, b"421 client-certificate\n")
    assert node.told == []


async def test_a_connection_becomes_no_tunnel(node):
    client = await node.client("open.test")
    upgrade = ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))
    assert await client.ask(*upgrade, host=b"a.test") == (421, b"421 client-certificate\n")
    assert node.world.asked == []


async def test_requests_that_come_together_are_told_apart(node):
    known = await node.client("a.test")
    for host in (b"a.test", b"open.test", b"open.test"):
        assert await known.ask(host=host) == (200, SECRET)
        await node.world.settle()
    client = (await node.client("open.test")).client
    requests = [b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host for host in (b"open.test", b"a.test", b"open.test")]
    await client.send(b"".join(requests))
    assert [(await client.answer()).status for _ in requests] == [200, 421, 200]


@pytest.mark.parametrize("host", [b"", b"Host: a.test\r\n"], ids=["no host", "its host"])
async def test_http_1_0_is_no_way_around(node, host):
    client = (await node.client("open.test")).client
    await client.send(b"GET / HTTP/1.0\r\n%s\r\n" % host)
    answer = await client.answer()
    assert answer.status == (421 if host else 400)
    assert SECRET not in answer.content


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(
    ("authority", "host", "expected"),
    [
        pytest.param("a.test", "a.test", (0, b"200"), id="its certificate"),
        pytest.param("b.test", "a.test", None, id="another one"),
        pytest.param(None, "a.test", None, id="none"),
        pytest.param(None, "open.test", (0, b"200"), id="none where none is wanted"),
    ],
)
@pytest.mark.parametrize("options", [["--http1.1", "--tls-max", "1.2"], ["--http2"]], ids=["older", "newer"])
async def test_curl_is_let_in_with_the_right_certificate(node, tmp_path, authority, host, expected, options):
    trust, own = tmp_path / "trust.pem", tmp_path / "me.pem"
    CA.cert_pem.write_to_path(trust)
    if authority is not None:
        SIGNING[authority].issue_cert("me@client.test").private_key_and_cert_chain_pem.write_to_path(own)
        options = [*options, "--cert", str(own)]
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-o", str(tmp_path / "content"), "-w", "%{http_code}", "--cacert", str(trust), *options,
        "--resolve", f"{host}:{node.port}:127.0.0.1", f"https://{host}:{node.port}/",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaint = await process.communicate()
    if expected is not None:
        assert (process.returncode, said, complaint) == (*expected, b"")
        assert (tmp_path / "content").read_bytes() == SECRET
    else:
        # Which of the alert and the end of the connection curl sees first is left to chance.
        assert process.returncode != 0
        assert node.world.asked == []
