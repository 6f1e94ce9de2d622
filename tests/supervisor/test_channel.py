import socket

import pytest

from edge.supervisor.channel import (
    Begin,
    Channel,
    Failed,
    Order,
    Retire,
    Serving,
    Stop,
    Told,
    Word,
    first_order,
    framed,
)


@pytest.fixture
async def ends():
    ours, theirs = socket.socketpair()
    supervisor, worker = await Channel[Word].open(ours, Word), await Channel[Order].open(theirs, Order)
    yield supervisor, worker
    supervisor.close()
    worker.close()


async def test_what_is_said_is_heard_in_order(ends):
    supervisor, worker = ends
    for order in (Retire(), Stop()):
        supervisor.say(order)
    assert [await worker.hear(), await worker.hear()] == [Retire(), Stop()]
    for word in (Serving(), Failed("no"), Told(b"\0" * 100_000, ["why"])):
        worker.say(word)
    assert [await supervisor.hear() for _ in range(3)] == [Serving(), Failed("no"), Told(b"\0" * 100_000, ["why"])]


async def test_the_end_of_the_other_process_is_heard_once_all_it_said_was(ends):
    supervisor, worker = ends
    worker.say(Serving())
    await worker.flush()
    worker.close()
    assert await supervisor.hear() == Serving()
    assert await supervisor.hear() is None
    supervisor.say(Stop())
    await supervisor.flush()


async def test_hearing_can_be_ended_from_this_side(ends):
    _, worker = ends
    worker.end_hearing()
    assert await worker.hear() is None


def test_the_first_order_is_read_without_an_event_loop():
    ours, theirs = socket.socketpair()
    begin = Begin("node = 'x'\n" * 10_000, 1, 4, 7, [3, 4], 5)
    with ours, theirs:
        ours.sendall(framed(begin))
        assert first_order(theirs) == begin


def test_a_supervisor_that_has_gone_gives_no_order():
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs, pytest.raises(EOFError):
        first_order(theirs)
