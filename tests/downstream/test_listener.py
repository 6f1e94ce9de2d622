import asyncio
import socket

import pytest

from edge.downstream.content import Content
from edge.downstream.listener import bind
from edge.downstream.response import Http1Responder
from edge.policy.limits import Limits
from edge.semantics.dates import format_date, parse_date
from edge.semantics.messages import Request
from tests.downstream.talking import Hearing, hearing, say

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


class TestDraining:
    async def test_what_is_idle_is_closed_and_no_more_is_accepted(self, talking):
        listener, port = await talking.listener(hearing())
        idle, unused = await talking.client(port), await talking.client(port)
        await idle.send(GET)
        assert (await idle.answer()).status == 200
        listener.drain()
        assert [await client.rest() for client in (idle, unused)] == [b"", b""]
        await listener.drained()
        with pytest.raises(ConnectionRefusedError):
            await talking.client(port)

    async def test_an_answer_in_progress_is_finished_and_is_the_last(self, talking):
        handler = Hearing()
        listener, port = await talking.listener(handler)
        client = await talking.client(port)
        await client.send(GET)
        await handler.began.wait()
        listener.drain()
        handler.gate.set()
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert await client.rest() == b""
        client.writer.close()
        await listener.drained()

    async def test_an_answer_whose_head_is_out_is_finished_too(self, talking):
        sent, gate = asyncio.Event(), asyncio.Event()

        async def handle(request: Request, content: Content, responder: Http1Responder, client: str) -> None:
            if request.method == b"GET":
                await say(responder, 200, b"hello")
                sent.set()
                await gate.wait()

        listener, port = await talking.listener(handle)
        client = await talking.client(port)
        await client.send(GET)
        assert not (await client.answer()).closes
        await sent.wait()
        listener.drain()
        gate.set()
        assert await client.rest() == b""
        await listener.drained()

    async def test_who_cannot_be_drained_is_cut(self, talking):
        handler = Hearing()
        listener, port = await talking.listener(handler)
        client = await talking.client(port)
        await client.send(GET)
        await handler.began.wait()
        listener.drain()
        listener.cut()
        await listener.drained()
        with pytest.raises(ConnectionResetError):
            await client.rest()
        handler.gate.set()


class TestConnections:
    async def test_one_too_many_is_refused_and_the_others_are_served(self, talking):
        listener, port = await talking.listener(hearing(), Limits(connections=2))
        first, second = await talking.client(port), await talking.client(port)
        await first.send(GET)
        await second.send(GET)
        assert [(await client.answer()).status for client in (first, second)] == [200, 200]
        third = await talking.client(port)
        with pytest.raises(ConnectionResetError):
            await third.rest()
        assert listener.connections == 2
        await first.send(GET)
        assert (await first.answer()).status == 200


class TestBinding:
    def test_an_address_that_is_taken_is_an_error(self):
        with bind("127.0.0.1", 0) as bound:
            bound.listen()
            with pytest.raises(OSError, match="in use"):
                bind("127.0.0.1", bound.getsockname()[1])

    def test_all_ipv6_addresses_are_all_addresses(self):
        with bind("::", 0) as bound:
            assert not bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


async def test_responses_carry_the_present_date(talking):
    listener, port = await talking.listener(hearing())
    client = await talking.client(port)
    await client.send(GET)
    date = (await client.answer()).fields[b"date"]
    assert format_date(parse_date(date, 0.0)) == date
    assert listener.date() is listener.date()
