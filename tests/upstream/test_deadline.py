import asyncio

from edge.upstream.deadline import Deadline


class Log:
    def __init__(self) -> None:
        self.count = 0
        self.passed = asyncio.Event()

    def add(self) -> None:
        self.count += 1
        self.passed.set()


def timers_of(deadline: Deadline) -> object:
    return deadline._timer


async def test_limit_passes_once():
    log = Log()
    deadline = Deadline(log.add)
    deadline.set(0.001)
    await log.passed.wait()
    assert (log.count, timers_of(deadline)) == (1, None)


async def test_limit_moved_further_keeps_its_timer_and_passes_only_once():
    log = Log()
    first = Log()
    deadline = Deadline(log.add)
    deadline.set(0.001)
    timer = timers_of(deadline)
    deadline.set(0.05)
    assert timers_of(deadline) is timer
    Deadline(first.add).set(0.005)
    await first.passed.wait()
    assert log.count == 0
    await log.passed.wait()
    assert (log.count, timers_of(deadline)) == (1, None)


async def test_limit_moved_nearer_passes_at_the_new_time():
    log = Log()
    deadline = Deadline(log.add)
    deadline.set(3600)
    deadline.set(0.001)
    await log.passed.wait()
    assert timers_of(deadline) is None


async def test_cleared_limit_never_passes_and_can_be_set_again():
    log = Log()
    other = Log()
    deadline = Deadline(log.add)
    deadline.set(0.001)
    deadline.clear()
    Deadline(other.add).set(0.005)
    await other.passed.wait()
    assert (log.count, timers_of(deadline)) == (0, None)
    deadline.set(0.001)
    await log.passed.wait()


async def test_closed_limit_lets_go_of_the_loop():
    log = Log()
    deadline = Deadline(log.add)
    deadline.close()
    deadline.set(0.001)
    deadline.close()
    assert (log.count, timers_of(deadline)) == (0, None)
