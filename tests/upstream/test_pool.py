"""The pool over real connections to a scripted origin."""

import asyncio

import pytest

from edge.errors import NoHealthyOrigin, UpstreamConnectError
from edge.upstream.pool import PoolStatistics
from edge.upstream.settings import Limits
from tests.upstream.scripted import a_request, answering, content_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class ManualClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


async def fetch(edge) -> bytes:
    return await content_of(await edge.send(a_request(), None, None))


class Holding:
    """A script whose answers are held back until `go_on`."""

    def __init__(self) -> None:
        self.asked = asyncio.Semaphore(0)
        self.go_on = asyncio.Semaphore(0)
        self.order: list[bytes] = []

    async def __call__(self, peer) -> None:
        while True:
            head = await peer.head()
            self.order.append(head.split(b" ")[1])
            self.asked.release()
            await self.go_on.acquire()
            await peer.send(OK)


async def queued(edge, count: int) -> None:
    while edge.statistics().queued != count:
        await asyncio.sleep(0)


async def test_connection_used_last_is_reused_first(serving):
    numbers = []
    holding = Holding()

    async def script(peer):
        await holding(Numbered(peer, numbers))

    class Numbered:
        def __init__(self, peer, numbers) -> None:
            self.send = peer.send
            self.number, self.numbers, self.peer = peer.number, numbers, peer

        async def head(self) -> bytes:
            head = await self.peer.head()
            self.numbers.append(self.number)
            return head

    _, edge = await serving.pair(script)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(fetch(edge))
            await holding.asked.acquire()
        holding.go_on.release()
        holding.go_on.release()
    numbers.clear()
    holding.go_on.release()
    await fetch(edge)
    last = numbers[0]
    holding.go_on.release()
    await fetch(edge)
    assert numbers == [last, last]
    assert edge.statistics() == PoolStatistics(active=0, idle=2, queued=0, opened=2, reused=2)


async def test_exchanges_over_the_limit_wait_in_the_order_of_asking(serving):
    holding = Holding()
    scripted, edge = await serving.pair(holding, limits=Limits(connections=1))
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(edge.send(a_request(path=b"/%d" % number), None, None))
            await queued(edge, number)
        assert edge.statistics() == PoolStatistics(active=1, idle=0, queued=3, opened=0, reused=0)
        for _ in range(4):
            holding.go_on.release()
    assert holding.order == [b"/0", b"/1", b"/2", b"/3"]
    assert scripted.connections == 1
    assert edge.statistics() == PoolStatistics(active=0, idle=1, queued=0, opened=1, reused=3)


async def test_full_queue_refuses_at_once(serving):
    holding = Holding()
    _, edge = await serving.pair(holding, limits=Limits(connections=1, queue=1))
    async with asyncio.TaskGroup() as group:
        group.create_task(fetch(edge))
        await holding.asked.acquire()
        group.create_task(fetch(edge))
        await queued(edge, 1)
        with pytest.raises(NoHealthyOrigin):
            await fetch(edge)
        holding.go_on.release()
        holding.go_on.release()


async def test_wait_in_the_queue_has_an_end(serving):
    holding = Holding()
    _, edge = await serving.pair(holding, limits=Limits(connections=1, queue_seconds=0.02))
    async with asyncio.TaskGroup() as group:
        group.create_task(fetch(edge))
        await holding.asked.acquire()
        with pytest.raises(NoHealthyOrigin):
            await fetch(edge)
        assert edge.statistics().queued == 0
        holding.go_on.release()
    assert edge.statistics().idle == 1


async def test_slot_of_a_dead_connection_goes_to_the_first_who_waits(serving):
    async def script(peer):
        await peer.head()
        if peer.number:
            await peer.send(OK)
            await peer.closed_by_edge()

    _, edge = await serving.pair(script, limits=Limits(connections=1))
    results = await asyncio.gather(fetch(edge), fetch(edge), fetch(edge), return_exceptions=True)
    assert results[1:] == [b"hello", b"hello"]
    assert edge.statistics() == PoolStatistics(active=0, idle=1, queued=0, opened=2, reused=1)


async def test_slot_of_a_failed_attempt_goes_to_the_first_who_waits(serving):
    scripted = await serving.origin(answering(OK, OK))
    tried = []

    async def lookup(host, port):
        tried.append(host)
        await asyncio.sleep(0)
        if len(tried) == 1:
            raise OSError
        return ["127.0.0.1"]

    edge = serving.edge(scripted.port, host="origin.test", lookup=lookup, limits=Limits(connections=1))
    first, second = await asyncio.gather(fetch(edge), fetch(edge), return_exceptions=True)
    assert isinstance(first, UpstreamConnectError)
    assert second == b"hello"


@pytest.mark.parametrize("moment", ["waiting", "handed a connection", "handed a slot"])
async def test_one_who_leaves_the_queue_takes_nothing_along(serving, moment):
    holding = Holding()
    _, edge = await serving.pair(holding, limits=Limits(connections=1))
    first = asyncio.ensure_future(edge.send(a_request(), None, None))
    await holding.asked.acquire()
    second = asyncio.ensure_future(edge.send(a_request(), None, None))
    await queued(edge, 1)
    if moment == "handed a connection":
        holding.go_on.release()
        await queued(edge, 0)
    elif moment == "handed a slot":
        first.cancel()
        await queued(edge, 0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    if moment == "waiting":
        holding.go_on.release()
    await asyncio.gather(first, return_exceptions=True)
    assert edge.statistics().queued == edge.statistics().active == 0
    holding.go_on.release()
    assert await fetch(edge) == b"hello"


async def test_connection_closed_by_the_origin_while_idle_is_dropped_at_once(serving):
    close = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(OK)
        await close.wait()

    _, edge = await serving.pair(script)
    assert await fetch(edge) == b"hello"
    assert edge.statistics().idle == 1
    close.set()
    while edge.statistics().idle:
        await asyncio.sleep(0)
    assert edge.statistics() == PoolStatistics(active=0, idle=0, queued=0, opened=1, reused=0)


@pytest.mark.parametrize(
    ("answer", "limits", "seconds", "connections"),
    [
        pytest.param(OK, Limits(idle_seconds=60), 59, 1, id="idle for less than the limit"),
        pytest.param(OK, Limits(idle_seconds=60), 60, 2, id="idle for as long as the limit"),
        pytest.param(OK, Limits(idle_seconds=9000, age_seconds=100), 99, 1, id="younger than the age limit"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=5\r\n\r\n"), Limits(), 3, 1,
                     id="idle for less than the origin keeps it"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=5\r\n\r\n"), Limits(), 4, 2,
                     id="idle for nearly as long as the origin keeps it"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=0\r\n\r\n"), Limits(), 0, 2,
                     id="not kept by the origin at all"),
    ],
)  # fmt: skip
async def test_idle_limits(serving, answer, limits, seconds, connections):
    clock = ManualClock()
    scripted, edge = await serving.pair(answering(answer, answer), limits=limits, clock=clock)
    await fetch(edge)
    clock.time += seconds
    await fetch(edge)
    assert scripted.connections == connections


async def test_connection_over_its_age_is_closed_after_its_exchange(serving):
    clock = ManualClock()
    _, edge = await serving.pair(answering(OK, OK), limits=Limits(age_seconds=100, idle_seconds=9000), clock=clock)
    await fetch(edge)
    clock.time += 100
    await fetch(edge)
    assert edge.statistics() == PoolStatistics(active=0, idle=0, queued=0, opened=1, reused=1)


async def test_idle_connections_are_closed_without_being_asked_for(serving):
    closed = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(OK)
        await peer.closed_by_edge()
        closed.set()

    _, edge = await serving.pair(script, limits=Limits(idle_seconds=0.02))
    await fetch(edge)
    await closed.wait()
    assert edge.statistics().idle == 0


async def test_closed_pool_refuses_and_lets_go(serving):
    holding = Holding()
    _, edge = await serving.pair(holding, limits=Limits(connections=1))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(fetch(edge))
        await holding.asked.acquire()
        second = asyncio.ensure_future(fetch(edge))
        await queued(edge, 1)
        edge.close()
        with pytest.raises(NoHealthyOrigin):
            await second
        with pytest.raises(NoHealthyOrigin):
            await fetch(edge)
        holding.go_on.release()
    assert first.result() == b"hello"
    assert edge.statistics() == PoolStatistics(active=0, idle=0, queued=0, opened=1, reused=0)


async def test_close_closes_idle_connections(serving):
    closed = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(OK)
        await peer.closed_by_edge()
        closed.set()

    _, edge = await serving.pair(script)
    await fetch(edge)
    edge.close()
    await closed.wait()
