"""Two listeners on one socket, as two processes have it."""

import asyncio
import logging
import resource
import socket

import pytest

from edge.downstream.accepting import Accepting
from edge.downstream.listener import bind


class Counting(asyncio.Protocol):
    """What one of the processes does with its connections."""

    def __init__(self, made: list["Counting"]) -> None:
        self.made = made

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.made.append(self)
        transport.write(b"hello")


class Share:
    """What one of two processes knows of the other."""

    def __init__(self, mine: list, others: list) -> None:
        self.mine, self.others = mine, others

    def changed(self) -> None:
        """Do nothing: the lists say all."""

    def has_more(self) -> bool:
        return len(self.mine) > len(self.others)


@pytest.fixture
def bound():
    bound = bind("127.0.0.1", 0)
    bound.setblocking(False)
    bound.listen(100)
    yield bound
    bound.close()


async def clients(bound: socket.socket, count: int) -> list[asyncio.StreamWriter]:
    """Return so many connections that have been accepted and greeted."""
    opened = []
    for _ in range(count):
        # Without waiting for the one before.
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(bound.getsockname())
        opened.append(client)
    writers = []
    for client in opened:
        reader, writer = await asyncio.open_connection(sock=client)
        async with asyncio.timeout(10):
            assert await reader.readexactly(5) == b"hello"
        writers.append(writer)
    return writers


async def test_connections_that_come_together_are_shared_out(bound) -> None:
    made: tuple[list[Counting], list[Counting]] = [], []
    # As a process of its own has it, with a descriptor of its own.
    accepting = [
        Accepting(bound.dup(), lambda m=mine: Counting(m), Share(mine, other)) for mine, other in (made, made[::-1])
    ]
    for writer in await clients(bound, 40):
        writer.close()
    for each in accepting:
        each.close()
    assert sum(map(len, made)) == 40
    assert min(map(len, made)) >= 15
    sockets = [each.transport.get_extra_info("socket") for each in made[0] + made[1]]
    assert all(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in sockets if each.fileno() >= 0)
    for each in made[0] + made[1]:
        each.transport.abort()


async def test_who_has_more_takes_what_nobody_else_does(bound) -> None:
    made: list[Counting] = []
    accepting = Accepting(bound.dup(), lambda: Counting(made), Share([1], []))
    for writer in await clients(bound, 5):
        writer.close()
    accepting.close()
    for each in made:
        each.transport.abort()


async def test_nothing_is_accepted_once_it_is_closed_and_closing_twice_does_nothing(bound) -> None:
    made: list[Counting] = []
    accepting = Accepting(bound.dup(), lambda: Counting(made), Share([], []))
    accepting.close()
    accepting.close()
    with socket.create_connection(bound.getsockname()) as client:
        client.setblocking(False)
        for _ in range(5):
            await asyncio.sleep(0)
        assert made == []


async def test_it_goes_on_when_there_are_descriptors_again(bound, caplog) -> None:
    made: list[Counting] = []
    accepting = Accepting(bound.dup(), lambda: Counting(made), Share([], []))
    waiting = socket.create_connection(bound.getsockname())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno(), limits[1]))
    try:
        async with asyncio.timeout(10):
            while not caplog.records:
                await asyncio.sleep(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    async with asyncio.timeout(10):
        while not made:
            await asyncio.sleep(0)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    accepting.close()
    made[0].transport.abort()
    waiting.close()
