"""Connecting, TLS, and sending once more."""

import asyncio
import socket
import ssl

import pytest
import trustme

from edge.errors import EdgeError, UpstreamClosed, UpstreamConnectError, UpstreamTimeout
from edge.upstream.origin import Origin
from edge.upstream.settings import OriginSettings, Timeouts
from tests.upstream.scripted import Content, ManualClock, a_request, answering, content_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def fetch(edge, request=None, content=None) -> bytes:
    return await content_of(await edge.send(request or a_request(), content, None))


class DyingWhenReused:
    """Answers the first request of a connection; the second one kills it, or it dies just before."""

    def __init__(self, *, by_reset: bool = False, sent: bytes = b"") -> None:
        self.by_reset = by_reset
        self.sent = sent
        self.received: list[tuple[int, bytes]] = []

    async def __call__(self, peer) -> None:
        for sent in (OK, self.sent):
            head = await peer.head()
            self.received.append((peer.number, head.split(b" ")[0]))
            await peer.send(sent)
        if self.by_reset:
            peer.reset()


@pytest.mark.parametrize("by_reset", [False, True], ids=["by FIN", "by RST"])
@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
async def test_idempotent_request_is_sent_again_when_a_reused_connection_dies(serving, method, by_reset):
    script = DyingWhenReused(by_reset=by_reset)
    _, edge = await serving.pair(script)
    await fetch(edge)
    assert await fetch(edge, a_request(method)) == b"hello"
    assert script.received == [(0, b"GET"), (0, method), (1, method)]


async def test_second_attempt_never_goes_on_an_idle_connection(serving):
    script = DyingWhenReused()
    scripted, edge = await serving.pair(script)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(fetch(edge))
    assert edge.statistics().idle == 3
    assert await fetch(edge) == b"hello"
    assert scripted.connections == 4


@pytest.mark.parametrize(
    ("request_", "content", "sent"),
    [
        pytest.param(a_request(b"POST"), None, b"", id="a method that is not idempotent"),
        pytest.param(a_request(b"PUT", has_content=True, content_length=1), Content(b"a"), b"", id="content was read"),
        pytest.param(a_request(), None, b"H", id="the response had begun"),
        pytest.param(a_request(), None, b"HTTP/1.1 103 Early Hints\r\n\r\n", id="an interim response had come"),
    ],
)
async def test_request_that_must_not_be_sent_again(serving, request_, content, sent):
    script = DyingWhenReused(sent=sent)
    scripted, edge = await serving.pair(script)
    await fetch(edge)
    with pytest.raises(UpstreamClosed):
        await fetch(edge, request_, content and Content(b"a"))
    assert scripted.connections == 1


async def test_request_is_sent_again_only_once(serving):
    async def script(peer):
        await peer.head()
        if peer.number == 0:
            await peer.send(OK)
            await peer.head()

    scripted, edge = await serving.pair(script)
    await fetch(edge)
    with pytest.raises(UpstreamClosed):
        await fetch(edge)
    assert scripted.connections == 2


async def test_closing_connections_are_never_seen_by_the_client(serving):
    """The origin closes each connection at the moment when it may be used again."""
    received = []

    async def script(peer):
        while True:
            received.append(await peer.head())
            await peer.send(OK)
            if len(received) % 3 == 0:
                return

    _, edge = await serving.pair(script)
    for number in range(600):
        for _ in range(number % 7):
            await asyncio.sleep(0)
        assert await fetch(edge, a_request(path=b"/%d" % number)) == b"hello"


async def test_authority_of_the_settings_replaces_that_of_the_request(serving):
    async def script(peer):
        scripted.requests.append(await peer.head())
        await peer.send(OK)
        await peer.closed_by_edge()

    scripted, edge = await serving.pair(script, authority=b"inner.test")
    await fetch(edge, a_request(fields=[(b"accept", b"*/*")]))
    assert scripted.requests == [b"GET / HTTP/1.1\r\nHost: inner.test\r\nAccept: */*\r\n\r\n"]


async def test_next_address_is_tried_for_any_method_and_the_failure_remembered(serving):
    scripted = await serving.origin(answering(OK))

    async def lookup(host, port):
        # The first call begins with the second address, on which nobody listens.
        return ["127.0.0.1", "127.0.0.2"]

    edge = serving.edge(scripted.port, host="origin.test", lookup=lookup)
    assert await fetch(edge, a_request(b"POST")) == b"hello"
    assert edge._addresses._failed.keys() == {"127.0.0.2"}


async def test_address_that_does_not_answer_takes_only_its_share_of_the_time(serving):
    scripted = await serving.origin(answering(OK))
    silent = socket.create_server(("127.0.0.2", scripted.port), backlog=0)
    blocking = [socket.socket() for _ in range(3)]
    for client in blocking:
        client.setblocking(False)
        client.connect_ex(("127.0.0.2", scripted.port))

    async def lookup(host, port):
        return ["127.0.0.1", "127.0.0.2"]

    try:
        edge = serving.edge(scripted.port, host="origin.test", lookup=lookup, timeouts=Timeouts(connect=0.2))
        assert await fetch(edge) == b"hello"
        alone = serving.edge(scripted.port, host="127.0.0.2", timeouts=Timeouts(connect=0.05))
        with pytest.raises(UpstreamTimeout):
            await fetch(alone)
        assert alone.statistics().active == 0
    finally:
        for each in (silent, *blocking):
            each.close()


async def test_name_that_is_not_resolved_in_time(serving):
    async def lookup(host, port):
        await asyncio.Event().wait()

    edge = serving.edge(80, host="origin.test", lookup=lookup, timeouts=Timeouts(connect=0.02))
    with pytest.raises(UpstreamTimeout):
        await fetch(edge)


async def test_name_without_addresses(serving):
    async def lookup(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    edge = serving.edge(80, host="origin.test", lookup=lookup)
    with pytest.raises(UpstreamConnectError) as raised:
        await fetch(edge)
    assert raised.value.retryable


async def test_ipv6(serving):
    scripted = await serving.origin(answering(OK), host="::1")
    assert await fetch(serving.edge(scripted.port, host="[::1]")) == b"hello"


# -- TLS --


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("origin.test").configure_cert(context)
    return context


async def loopback(host, port):
    return ["127.0.0.1"]


async def test_tls_asks_for_the_name_and_speaks_http_1_1(serving, tls, ca_file):
    asked = []
    tls.sni_callback = lambda connection, name, context: asked.append(name)
    protocols = []

    async def script(peer):
        protocols.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await answering(OK, OK)(peer)

    scripted = await serving.origin(script, tls=tls)
    edge = serving.edge(scripted.port, scheme="https", host="origin.test", ca_file=ca_file, lookup=loopback)
    assert await fetch(edge) == b"hello"
    assert await fetch(edge) == b"hello"
    assert (asked, protocols) == (["origin.test"], ["http/1.1"])
    assert edge.statistics().opened == 1


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"host": "origin.test"}, id="an unknown authority"),
        pytest.param({"host": "other.test", "ca_file": True}, id="a certificate for another name"),
        pytest.param({"host": "127.0.0.1", "ca_file": True}, id="a certificate without the address"),
        pytest.param(
            {"host": "origin.test", "ca_file": True, "server_name": "other.test"}, id="another name asked for"
        ),
    ],
)
async def test_certificate_that_is_not_valid(serving, tls, ca_file, settings):
    scripted = await serving.origin(answering(OK), tls=tls)
    if "ca_file" in settings:
        settings = settings | {"ca_file": ca_file}
    edge = serving.edge(scripted.port, scheme="https", lookup=loopback, **settings)
    with pytest.raises(UpstreamConnectError, match="certificate"):
        await fetch(edge)
    assert edge.statistics().active == 0


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"server_name": "origin.test", "ca_file": True}, id="valid for the name it is asked for"),
        pytest.param({"verify": False}, id="not verified"),
    ],
)
async def test_certificate_that_is_accepted(serving, tls, ca_file, settings):
    scripted = await serving.origin(answering(OK), tls=tls)
    if "ca_file" in settings:
        settings = settings | {"ca_file": ca_file}
    edge = serving.edge(scripted.port, scheme="https", host="127.0.0.1", **settings)
    assert await fetch(edge) == b"hello"


async def test_plain_origin_is_no_tls_origin(serving, ca_file):
    async def script(peer):
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.closed_by_edge()

    scripted = await serving.origin(script)
    edge = serving.edge(scripted.port, scheme="https", ca_file=ca_file)
    with pytest.raises(UpstreamConnectError):
        await fetch(edge)


@pytest.mark.parametrize("is_meant", [True, False], ids=["close_notify", "a cut line"])
async def test_tls_content_ended_by_the_connection_is_whole_only_with_close_notify(serving, tls, ca_file, is_meant):
    read = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await read.wait()
        if not is_meant:
            # FIN from below TLS: what anyone on the way can send.
            raw = socket.socket(fileno=socket.dup(peer.writer.get_extra_info("socket").fileno()))
            raw.shutdown(socket.SHUT_WR)
            await peer.closed_by_edge()
            raw.close()

    scripted = await serving.origin(script, tls=tls)
    edge = serving.edge(scripted.port, scheme="https", host="origin.test", ca_file=ca_file, lookup=loopback)
    response = await edge.send(a_request(), None, None)
    assert await response.read() == b"hello"
    read.set()
    if is_meant:
        assert await response.read() == b""
    else:
        with pytest.raises(UpstreamClosed):
            await response.read()


def test_authorities_that_cannot_be_read():
    with pytest.raises(OSError):
        Origin(OriginSettings("main", "https", "a.test", 443, ca_file="/nonexistent"), ManualClock())


async def told(edge, request=None, interim=None):
    """Send without waiting; return the outcome and whether it was whole when it was told."""
    outcome = asyncio.get_running_loop().create_future()

    def answered(response) -> None:
        content = None if isinstance(response, EdgeError) else response.whole()
        outcome.set_result((response, content))

    assert edge.send_nowait(request or a_request(), interim, answered)
    return await outcome


async def always_ok(peer) -> None:
    while True:
        await peer.head()
        await peer.send(OK)


class TestWithoutWaiting:
    async def test_nothing_is_sent_without_an_idle_connection(self, serving):
        scripted, edge = await serving.pair(always_ok)
        assert not edge.send_nowait(a_request(), None, lambda _: None)
        assert scripted.connections == 0

    async def test_a_response_in_one_piece_is_whole_and_its_connection_free_again(self, serving):
        scripted, edge = await serving.pair(always_ok)
        await fetch(edge)
        for _ in range(3):
            response, content = await told(edge)
            assert (response.head.status, content, await content_of(response)) == (200, b"hello", b"hello")
        assert (scripted.connections, edge.statistics().idle) == (1, 1)

    async def test_one_in_two_pieces_is_told_with_its_head_and_read_on(self, serving):
        rest = asyncio.Event()

        async def script(peer) -> None:
            await peer.head()
            await peer.send(OK)
            await peer.head()
            await peer.send(OK[:-3])
            await rest.wait()
            await peer.send(OK[-3:])

        _, edge = await serving.pair(script)
        await fetch(edge)
        response, content = await told(edge)
        assert content is None
        rest.set()
        assert await content_of(response) == b"hello"

    async def test_interim_responses_are_handed_on(self, serving):
        async def script(peer) -> None:
            await peer.head()
            await peer.send(OK)
            await peer.head()
            await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)

        _, edge = await serving.pair(script)
        await fetch(edge)
        interims = []
        _, content = await told(edge, interim=interims.append)
        assert content == b"hello"
        assert [response.status for response in interims] == [103]

    @pytest.mark.parametrize("by_reset", [False, True], ids=["by FIN", "by RST"])
    async def test_the_request_is_sent_again_when_the_connection_dies(self, serving, by_reset):
        script = DyingWhenReused(by_reset=by_reset)
        _, edge = await serving.pair(script)
        await fetch(edge)
        _, content = await told(edge)
        assert content == b"hello"
        assert script.received == [(0, b"GET"), (0, b"GET"), (1, b"GET")]

    async def test_a_request_that_is_not_idempotent_is_not(self, serving):
        _, edge = await serving.pair(DyingWhenReused())
        await fetch(edge)
        error, _ = await told(edge, a_request(b"POST"))
        assert isinstance(error, UpstreamClosed)

    async def test_nor_is_one_whose_response_had_begun(self, serving):
        _, edge = await serving.pair(DyingWhenReused(sent=b"HTTP/1.1 2"))
        await fetch(edge)
        error, _ = await told(edge)
        assert isinstance(error, UpstreamClosed)

    async def test_the_second_attempt_may_fail_as_well(self, serving):
        async def script(peer) -> None:
            await peer.head()
            if peer.number == 0:
                await peer.send(OK)
                await peer.head()

        _, edge = await serving.pair(script)
        await fetch(edge)
        error, _ = await told(edge)
        assert isinstance(error, UpstreamClosed)

    async def test_an_origin_that_keeps_us_waiting_is_told(self, serving):
        async def script(peer) -> None:
            await peer.head()
            await peer.send(OK)
            await peer.closed_by_edge()

        _, edge = await serving.pair(script, timeouts=Timeouts(first_byte=0.05))
        await fetch(edge)
        error, _ = await told(edge)
        assert isinstance(error, UpstreamTimeout)
