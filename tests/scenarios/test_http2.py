"""Whole exchanges by TLS and HTTP/2, which ALPN chooses: the answers, ready ones too, are those of HTTP/1.1."""

import asyncio
from collections.abc import AsyncIterator

import h2.config
import h2.connection
import h2.events
import pytest

from edge.downstream.listener import PROTOCOLS, Listener, bind
from edge.downstream.ready import ReadyTable
from edge.downstream.tls_contexts import TlsContexts
from edge.policy.limits import Limits
from edge.testing.upstream import Answer
from tests.downstream.certificates import issue, trusting
from tests.downstream.talking import Client
from tests.exchange.world import FRESH, World

CONTENT = bytes(range(256)) * 1200


class Node:
    """A listener by TLS in front of a driver, and how many ready answers it gave."""

    def __init__(self, world: World, listener: Listener, port: int, told: list[object]) -> None:
        self.world, self.listener, self.port, self.told = world, listener, port, told
        self.clients: list[Client] = []

    async def client(self, *protocols: str) -> tuple[Client, str | None]:
        """Return a client that offers `protocols`, and what was chosen."""
        context = trusting()
        if protocols:
            context.set_alpn_protocols(protocols)
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="a.test"))
        self.clients.append(client)
        return client, client.writer.get_extra_info("ssl_object").selected_alpn_protocol()

    async def close(self) -> None:
        for client in self.clients:
            client.writer.close()
            await client.writer.wait_closed()
        self.listener.drain()
        await self.listener.drained()
        self.listener.cut()


@pytest.fixture
async def node(tmp_path) -> AsyncIterator[Node]:
    world, told = World(), []
    driver = world.driver
    table = ReadyTable(driver.prepared.find, lambda answer, *_: told.append(answer), world.clock)
    contexts = TlsContexts([issue(tmp_path, "a.test")], protocols=PROTOCOLS)
    listener = Listener(driver.handle, driver.refuse_unparsed, Limits(), world.clock, ready=table, tls=contexts)
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    await listener.start(bound)
    node = Node(world, listener, port, told)
    yield node
    await node.close()


class Speaker:
    """A client of HTTP/2 that asks for one thing after the other."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.conn.initiate_connection()

    async def get(
        self, *lines: tuple[bytes, bytes], method: bytes = b"GET", path: bytes = b"/", host: bytes = b"a.test"
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """Return status, fields and content of what is at a path."""
        stream = self.conn.get_next_available_stream_id()
        pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", host), (b":path", path)]
        self.conn.send_headers(stream, [*pseudo, *lines], end_stream=True)
        fields, content = {}, b""
        while True:
            self.client.writer.write(self.conn.data_to_send())
            received = await self.client.reader.read(1 << 16)
            assert received, "the connection ended"
            for event in self.conn.receive_data(received):
                match event:
                    case h2.events.ResponseReceived():
                        fields = dict(event.headers)
                    case h2.events.DataReceived():
                        content += event.data
                        self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded():
                        return int(fields.pop(b":status")), fields, content
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        raise AssertionError(event)


PROTOCOLS_CHOSEN = [
    pytest.param(["h2", "http/1.1"], "h2", id="HTTP/2 before HTTP/1.1"),
    pytest.param(["http/1.1", "h2"], "h2", id="whatever the client prefers"),
    pytest.param(["http/1.1"], "http/1.1", id="HTTP/1.1 for a client that offers nothing else"),
    pytest.param(["h3"], None, id="none for a client that offers others, which HTTP/1.1 is spoken to"),
    pytest.param([], None, id="none for a client that offers none"),
]


@pytest.mark.parametrize(("offered", "chosen"), PROTOCOLS_CHOSEN)
async def test_the_protocol_is_chosen_by_alpn(node, offered, chosen):
    node.world.upstream.answers(Answer(fields=[FRESH], content=[CONTENT]))
    client, protocol = await node.client(*offered)
    assert protocol == chosen
    if protocol == "h2":
        status, _, content = await Speaker(client).get()
    else:
        await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        answer = await client.answer()
        status, content = answer.status, answer.content
    assert (status, content) == (200, CONTENT)


@pytest.mark.parametrize(
    "content", [pytest.param(b"content", id="in one frame"), pytest.param(CONTENT, id="in several windows")]
)
async def test_a_hit_is_the_ready_answer_of_http1_too(node, content):
    node.world.upstream.answers(Answer(fields=[FRESH], content=[content]))
    client, _ = await node.client("h2")
    speaker = Speaker(client)
    answers = []
    for _ in range(4):
        answers.append(await speaker.get())
        await node.world.settle()
    plain, _ = await node.client("http/1.1")
    await plain.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    by_http1 = await plain.answer()
    assert [answer[2] for answer in answers] == [content] * 4
    assert b"fwd=uri-miss" in answers[0][1][b"cache-status"]
    assert answers[1] == answers[2] == answers[3]
    assert answers[3] == (by_http1.status, by_http1.fields, by_http1.content)
    # The first hit made it, the others took it.
    assert len(node.told) == 3
