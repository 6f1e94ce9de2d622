"""A hit over TLS takes the short way that a hit over plain HTTP takes."""

import asyncio
import re

from edge.downstream.listener import PROTOCOLS, Listener, bind
from edge.downstream.ready import ReadyTable
from edge.downstream.tls_contexts import TlsContexts
from edge.policy.limits import Limits
from edge.testing.upstream import Answer
from tests.downstream.certificates import issue, trusting
from tests.downstream.talking import Client
from tests.exchange.world import FRESH, World

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


async def test_the_second_hit_is_a_ready_answer(tmp_path):
    world = World(hsts=b"max-age=60")
    world.upstream.answers(Answer(fields=[FRESH], content=[b"content"]))
    told = []
    driver = world.driver
    table = ReadyTable(driver.prepared.find, lambda answer, *_: told.append(answer), world.clock)
    contexts = TlsContexts([issue(tmp_path, "a.test")], protocols=PROTOCOLS)
    listener = Listener(driver.handle, driver.refuse_unparsed, Limits(), world.clock, ready=table, tls=contexts)
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    await listener.start(bound)
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=trusting(), server_hostname="a.test"))
    answers = []
    for _ in range(4):
        await client.send(GET)
        answers.append(await client.answer())
        await world.settle()
    client.writer.close()
    await client.writer.wait_closed()
    listener.drain()
    await listener.drained()
    listener.cut()
    kinds = [re.sub(rb"^edge; ", b"", answer.fields[b"cache-status"]) for answer in answers]
    assert kinds == [b"fwd=uri-miss; fwd-status=200; ttl=60; stored", *[b"hit; ttl=60"] * 3]
    # One by the full path, which makes it ready; one parsed; one known by its octets alone.
    assert len(told) == 2
    assert answers[1] == answers[2] == answers[3]
    assert answers[3].fields[b"strict-transport-security"] == b"max-age=60"
    assert table.heads == 1
