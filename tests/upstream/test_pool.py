"""The pool over real connections to a scripted origin."""

import asyncio

import pytest

from edge.clock import SystemClock
from edge.errors import NoHealthyOrigin, UpstreamClosed, UpstreamConnectError
from edge.upstream.connection import Connection
from edge.upstream.pool import Pool, PoolStatistics
from edge.upstream.settings import Limits, Timeouts
from tests.upstream.scripted import ManualClock, a_request, answering, content_of, outcome

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


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
    both_asked = asyncio.Barrier(2)

    async def script(peer):
        await peer.head()
        await both_asked.wait()
        while True:
            await peer.send(OK)
            await peer.head()
            numbers.append(peer.number)

    _, edge = await serving.pair(script)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(fetch(edge))
    for _ in range(3):
        await fetch(edge)
    assert len(set(numbers)) == 1
    assert edge.statistics() == PoolStatistics(active=0, idle=2, queued=0, opened=2, reused=3)


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
            await answering(OK)(peer)

    _, edge = await serving.pair(script, limits=Limits(connections=1))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(fetch(edge))) for _ in range(3)]
    first, *others = [task.result() for task in tasks]
    assert isinstance(first, UpstreamClosed)
    assert others == [b"hello", b"hello"]
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
    async with asyncio.TaskGroup() as group:
        first, second = [group.create_task(outcome(fetch(edge))) for _ in range(2)]
    assert isinstance(first.result(), UpstreamConnectError)
    assert second.result() == b"hello"


@pytest.mark.parametrize("moment", ["waiting", "handed a connection", "handed a slot"])
async def test_one_who_leaves_the_queue_takes_nothing_along(serving, moment):
    holding = Holding()
    _, edge = await serving.pair(holding, limits=Limits(connections=1))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(edge.send(a_request(), None, None))
        await holding.asked.acquire()
        second = group.create_task(edge.send(a_request(), None, None))
        await queued(edge, 1)
        if moment == "handed a connection":
            holding.go_on.release()
            await queued(edge, 0)
        elif moment == "handed a slot":
            first.cancel()
            await queued(edge, 0)
        second.cancel()
        # In the last case the origin does not know yet that nobody waits for its first answer.
        holding.go_on.release()
    assert second.cancelled()
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


async def test_connections_idle_for_less_than_the_limit_survive_the_sweep(serving):
    clock = ManualClock()
    _, edge = await serving.pair(answering(OK), limits=Limits(idle_seconds=0.02), clock=clock)
    await fetch(edge)
    pool = edge._pool
    first = pool._sweeper
    while pool._sweeper is first:
        await asyncio.sleep(0)
    assert edge.statistics().idle == 1
    clock.time += 1
    while pool._sweeper is not None:
        await asyncio.sleep(0)
    assert edge.statistics().idle == 0


async def test_fresh_connection_takes_the_place_of_the_one_idle_for_longest(serving):
    both_asked = asyncio.Barrier(2)

    async def script(peer):
        await peer.head()
        await both_asked.wait()
        await peer.send(OK)
        await peer.closed_by_edge()

    _, edge = await serving.pair(script, limits=Limits(connections=2))
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(fetch(edge))
    oldest = edge._pool._idle[0]
    connection = await edge._pool.acquire(fresh=True)
    assert not connection.is_reused
    assert not oldest.is_usable
    assert edge.statistics() == PoolStatistics(active=1, idle=1, queued=0, opened=3, reused=0)
    connection.close()


async def test_new_connection_that_is_closed_at_once_is_not_given_out(serving):
    clock = SystemClock()
    scripted = await serving.origin(answering())

    async def connect() -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(clock, Timeouts()), "127.0.0.1", scripted.port
        )
        connection.abort()
        return connection

    pool = Pool(connect, Limits(), clock)
    with pytest.raises(UpstreamConnectError):
        await pool.acquire()
    assert pool.statistics() == PoolStatistics(active=0, idle=0, queued=0, opened=0, reused=0)


async def test_closed_pool_refuses_and_lets_go(serving):
    holding = Holding()
    _, edge = await serving.pair(holding, limits=Limits(connections=1))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(fetch(edge))
        await holding.asked.acquire()
        second = group.create_task(outcome(fetch(edge)))
        await queued(edge, 1)
        edge.close()
        assert isinstance(await second, NoHealthyOrigin)
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
