"""Connections from a balancer that says who the client is."""

from collections import Counter
from ipaddress import ip_network

import pytest

from edge.downstream.listener import PROTOCOLS
from edge.downstream.tls_contexts import TlsContexts
from edge.policy.limits import Limits
from tests.downstream.certificates import issue, trusting
from tests.downstream.talking import say

HEADER = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
LOOPBACK = (ip_network("127.0.0.0/8"),)


async def tell(_request, _content, responder, client):
    """Answer with who the client is."""
    await say(responder, 200, client.encode())


async def announcing(talking, *, networks=LOOPBACK, limits=None, tls=None) -> tuple[int, Counter[str]]:
    counted: Counter[str] = Counter()
    _, port = await talking.listener(
        tell, limits, announcing=networks, tls=tls, count=lambda event: counted.update([event])
    )
    return port, counted


@pytest.mark.parametrize(
    ("header", "client"),
    [
        pytest.param(HEADER, b"192.0.2.1", id="an announced client"),
        pytest.param(b"PROXY UNKNOWN\r\n", b"127.0.0.1", id="an unknown one is the peer"),
    ],
)
@pytest.mark.parametrize("cut", [3, 20, None], ids=["cut early", "cut late", "whole"])
async def test_a_client_is_who_the_header_says(talking, header, client, cut):
    port, _ = await announcing(talking)
    connection = await talking.client(port)
    if cut is not None:
        await connection.send(header[:cut])
    await connection.send(header[cut or 0 :] + GET)
    assert (await connection.answer()).content == client
    await connection.send(GET)
    assert (await connection.answer()).content == client


async def test_the_header_comes_before_tls(talking, tmp_path):
    contexts = TlsContexts([issue(tmp_path, "a.test")], protocols=PROTOCOLS)
    port, counted = await announcing(talking, tls=contexts)
    connection = await talking.client(port)
    await connection.send(HEADER)
    await connection.writer.start_tls(trusting(), server_hostname="a.test")
    await connection.send(GET)
    assert (await connection.answer()).content == b"192.0.2.1"
    assert counted == {"tls-full-handshake": 1}


@pytest.mark.parametrize(
    ("networks", "sent", "event"),
    [
        pytest.param([ip_network("192.0.2.0/24")], b"", "proxy-untrusted", id="a peer that is not trusted"),
        pytest.param([ip_network("::/0")], b"", "proxy-untrusted", id="a peer of the other family"),
        pytest.param(LOOPBACK, GET, "proxy-malformed", id="a request without a header"),
        pytest.param(LOOPBACK, HEADER[:-20], "proxy-timeout", id="a header that does not end"),
    ],
)
async def test_a_connection_without_a_header_to_believe_is_closed(talking, networks, sent, event):
    port, counted = await announcing(talking, networks=networks, limits=Limits(handshake_timeout=0.01))
    connection = await talking.client(port)
    if sent:
        await connection.send(sent)
    assert await connection.ended() == b""
    assert counted == {event: 1}


async def test_the_oldest_of_too_many_gives_way(talking):
    port, counted = await announcing(talking, limits=Limits(handshakes=1))
    stalled = await talking.client(port)
    await stalled.send(b"PROXY")
    connection = await talking.client(port)
    await connection.send(HEADER + GET)
    assert (await connection.answer()).status == 200
    assert await stalled.ended() == b""
    assert counted == {"proxy-given-up": 1}


async def test_draining_does_not_wait_for_a_header(talking):
    port, _ = await announcing(talking)
    stalled = await talking.client(port)
    await stalled.send(b"PROXY")
    talking.listeners[0].drain()
    assert await stalled.ended() == b""
