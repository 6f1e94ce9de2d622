"""TLS to an origin that does by hand what the libraries would not, on real sockets."""

import _ssl
import asyncio
import ctypes
import hashlib
import ssl

import pytest
import trustme

from edge.errors import UpstreamClosed, UpstreamConnectError, UpstreamTimeout
from edge.tasks import spawn
from edge.upstream.settings import Timeouts
from tests.upstream.scripted import Content, a_request, content_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CONTENT = bytes(range(256)) * 16384  # 4 MiB
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT


@pytest.fixture(scope="module")
def context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


class ByHand:
    """The origin's side of TLS on a plain connection."""

    def __init__(self, context: ssl.SSLContext, peer) -> None:
        self.peer = peer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    async def take(self, step, *arguments):
        """Do a step of TLS, and receive and send what it needs."""
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self.peer.reader.read(1 << 16)
                if not data:
                    raise ConnectionError from None
                self.incoming.write(data)

    async def flush(self) -> None:
        await self.peer.send(self.outgoing.read())

    async def request(self) -> bytes:
        """Shake hands if need be, and read one request."""
        await self.take(self.tls.do_handshake)
        await self.flush()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self.take(self.tls.read, 1 << 16)
        return head

    def encrypted(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def asking_for_keys(self, times: int) -> bytes:
        """Return requests for new keys (RFC 8446 §4.6.3), which Python has no function for."""
        library = ctypes.CDLL(_ssl.__file__)
        connection = ctypes.c_void_p.from_address(id(self.tls._sslobj) + 3 * ctypes.sizeof(ctypes.c_void_p))
        for _ in range(times):
            library.SSL_key_update(connection, 1)
            library.SSL_do_handshake(connection)
        return self.outgoing.read()


@pytest.fixture
def by_hand(serving, context):
    """Return what starts an origin that does as `script` says with each connection, and an edge to it."""

    async def by_hand(script, **settings):
        scripted = await serving.origin(lambda peer: script(ByHand(context, peer)))
        settings = {"verify": False} | settings
        return scripted, serving.edge(scripted.port, scheme="https", **settings)

    return by_hand


async def fetch(edge, request=None, content=None) -> bytes:
    return await content_of(await edge.send(request or a_request(), content, None))


@pytest.mark.parametrize("size", [1, 5, 1000, 20_000])
async def test_records_arrive_whole_however_they_are_cut(by_hand, size):
    answer = OK if size == 1 else LARGE

    async def script(origin):
        for _ in range(2):
            await origin.request()
            sent = origin.encrypted(answer)
            # Short segments only at the beginning, and at the end.
            middle = max(0, len(sent) - 200 * size)
            pieces = [sent[at : at + size] for at in range(0, min(len(sent), 200 * size), size)]
            if middle > 200 * size:
                pieces += [sent[200 * size : middle], *(sent[at : at + size] for at in range(middle, len(sent), size))]
            elif len(sent) > 200 * size:
                pieces.append(sent[200 * size :])
            assert b"".join(pieces) == sent
            for piece in pieces:
                origin.peer.writer.write(piece)
                await asyncio.sleep(0)
            await origin.peer.writer.drain()

    scripted, edge = await by_hand(script)
    expected = b"hello" if size == 1 else CONTENT
    assert await fetch(edge) == expected
    assert await fetch(edge) == expected
    assert scripted.connections == 1


async def test_what_is_sent_arrives_whole(by_hand):
    received = hashlib.sha256()

    async def script(origin):
        await origin.request()
        left = len(CONTENT)
        while left:
            data = await origin.take(origin.tls.read, 1 << 16)
            received.update(data)
            left -= len(data)
        await origin.peer.send(origin.encrypted(OK))
        await origin.peer.closed_by_edge()

    _, edge = await by_hand(script)
    request = a_request(b"PUT", has_content=True, content_length=len(CONTENT))
    pieces = [CONTENT[:1], CONTENT[1 : 1 << 20], CONTENT[1 << 20 :]]
    assert await fetch(edge, request, Content(*pieces)) == b"hello"
    assert received.digest() == hashlib.sha256(CONTENT).digest()


async def test_what_was_tampered_with_does_not_pass_for_whole_and_the_origin_is_told(by_hand):
    told = asyncio.get_running_loop().create_future()

    async def script(origin):
        await origin.request()
        await origin.peer.send(origin.encrypted(b"HTTP/1.1 200 OK\r\n\r\nhello"))
        damaged = bytearray(origin.encrypted(b"world"))
        damaged[-1] ^= 1
        await origin.peer.send(bytes(damaged))
        try:
            await origin.take(origin.tls.read, 1)
        except (OSError, ssl.SSLError) as error:
            told.set_result(str(error))

    _, edge = await by_hand(script)
    response = await edge.send(a_request(), None, None)
    with pytest.raises(UpstreamClosed) as raised:
        await content_of(response)
    assert isinstance(raised.value.__cause__, ssl.SSLError)
    assert "BAD_RECORD_MAC" in await told


@pytest.mark.parametrize("has_begun", [False, True])
async def test_who_closes_within_the_handshake_is_not_connected_to(by_hand, has_begun):
    async def script(origin):
        if has_begun:
            origin.incoming.write(await origin.peer.reader.read(1 << 16))
            with pytest.raises(ssl.SSLWantReadError):
                origin.tls.do_handshake()
            await origin.peer.send(origin.outgoing.read()[:100])

    _, edge = await by_hand(script)
    with pytest.raises(UpstreamConnectError, match="during the TLS handshake"):
        await fetch(edge)
    assert edge.statistics().active == 0


async def test_who_does_not_shake_hands_is_given_up(by_hand):
    ended = asyncio.Event()

    async def script(origin):
        await origin.peer.closed_by_edge()
        ended.set()

    _, edge = await by_hand(script, timeouts=Timeouts(0.1, 5.0, 5.0))
    with pytest.raises(UpstreamTimeout):
        await fetch(edge)
    await ended.wait()
    assert edge.statistics().active == 0


async def test_who_gives_up_within_the_handshake_leaves_nothing(by_hand):
    asked, ended = asyncio.Event(), asyncio.Event()

    async def script(origin):
        asked.set()
        await origin.peer.closed_by_edge()
        ended.set()

    _, edge = await by_hand(script)
    fetching = spawn(fetch(edge), name="fetch")
    await asked.wait()
    fetching.cancel()
    await ended.wait()
    assert edge.statistics().active == 0


@pytest.mark.parametrize("times", [30, 3000])
async def test_who_asks_for_new_keys_is_answered_unless_it_does_nothing_else(by_hand, times):
    async def script(origin):
        await origin.request()
        for _ in range(0, times, 30):
            await origin.peer.send(origin.asking_for_keys(30))
        await origin.peer.send(origin.encrypted(OK))
        await origin.peer.closed_by_edge()

    _, edge = await by_hand(script)
    if times == 30:
        assert await fetch(edge) == b"hello"
    else:
        with pytest.raises(UpstreamClosed):
            await fetch(edge)


async def test_the_end_may_come_with_the_last_octet(by_hand):
    async def script(origin):
        await origin.request()
        origin.tls.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        with pytest.raises(ssl.SSLWantReadError):
            origin.tls.unwrap()
        await origin.flush()
        await origin.peer.closed_by_edge()

    _, edge = await by_hand(script)
    assert await fetch(edge) == b"hello"


async def test_an_idle_connection_is_ended_with_close_notify(by_hand):
    ended = asyncio.get_running_loop().create_future()

    async def script(origin):
        await origin.request()
        await origin.peer.send(origin.encrypted(OK))
        # Nothing at the end of the stream; ConnectionError if it had been cut.
        ended.set_result(await origin.take(origin.tls.read, 1))

    _, edge = await by_hand(script)
    assert await fetch(edge) == b"hello"
    edge.close()
    assert await ended == b""


async def test_of_what_nobody_reads_no_more_than_a_record_is_received(by_hand):
    async def script(origin):
        await origin.request()
        await origin.peer.send(origin.encrypted(LARGE))
        await origin.peer.closed_by_edge()

    _, edge = await by_hand(script)
    response = await edge.send(a_request(), None, None, lambda ahead: -ahead)
    while not response.unread:
        await asyncio.sleep(0)
    tls = response._flow._transport
    for _ in range(200):
        await asyncio.sleep(0)
    # What has come of the next record is the rest of what was received at once.
    assert response.unread + tls._incoming.pending + tls._ssl.pending() <= 2 * (16 << 10) + (1 << 10)
    assert await content_of(response) == CONTENT
