import asyncio

import pytest

from edge.clock import SystemClock
from edge.downstream.choosing import Choosing
from edge.downstream.http1 import Http1
from edge.downstream.http2.connection import Http2
from edge.downstream.http2.frames import PREFACE
from edge.downstream.listener import Listener, bind
from edge.policy.limits import Limits
from tests.downstream.http2.speaking import Peer, headers, settings
from tests.downstream.talking import hearing, refuse

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def listening():
    listener = Listener(hearing(), refuse, Limits(), SystemClock(), h2c=True)
    bound = bind("127.0.0.1", 0)
    await listener.start(bound)
    yield listener, bound.getsockname()[1]
    listener.drain()
    listener.cut()
    await listener.drained()


async def connected(port: int) -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", port))


async def accepted(listener: Listener, count: int = 1) -> None:
    while listener.connections < count:
        await asyncio.sleep(0)


class TestFirstOctets:
    @pytest.mark.parametrize("size", [1, 3, 1000])
    async def test_they_tell(self, listening, size):
        for sent in (GET, PREFACE + settings() + headers(1)):
            peer = await connected(listening[1])
            for at in range(0, len(sent), size):
                await peer.send(sent[at : at + size])
            if sent is GET:
                assert (await peer.reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
            else:
                assert (await peer.answer()).content == b"GET / "
            peer.writer.close()

    async def test_who_says_nothing_is_not_kept(self, listening):
        listener, port = listening
        peer = await connected(port)
        await accepted(listener)
        (connection,) = listener._connections
        assert isinstance(connection, Choosing)
        connection.check(asyncio.get_running_loop().time() + 9)
        connection.check(asyncio.get_running_loop().time() + 11)
        assert await peer.reader.read() == b""
        peer.writer.close()

    async def test_draining_closes_who_has_said_nothing(self, listening):
        listener, port = listening
        peer = await connected(port)
        await accepted(listener)
        listener.drain()
        assert await peer.reader.read() == b""
        peer.writer.close()

    async def test_a_connection_keeps_its_place(self, listening):
        listener, port = listening
        peers = [await connected(port) for _ in range(2)]
        await accepted(listener, 2)
        await peers[0].send(PREFACE[:10])
        await peers[1].send(PREFACE)
        await peers[1].until(lambda _: True)
        assert listener.connections == 2
        assert {type(one) for one in listener._connections} == {Choosing, Http2}
        for peer in peers:
            peer.writer.close()


@pytest.mark.parametrize(("negotiated", "kind"), [("h2", Http2), ("http/1.1", Http1), (None, Http1)])
async def test_what_tls_negotiated_needs_no_choosing(listening, negotiated, kind):
    assert isinstance(listening[0].protocol(negotiated, None), kind)
