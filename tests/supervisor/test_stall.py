import asyncio
import logging
import threading

from edge.supervisor.stall import StallWatch


class Logged(logging.Handler):
    """Sets an event at the first record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())
        self.came.set()


async def test_the_stack_of_a_stall_is_logged_once():
    handler, beats = Logged(), []
    logging.getLogger("edge.stall").addHandler(handler)
    watch = StallWatch(0.1, lambda now, _: beats.append(now))

    def culprit() -> None:
        assert handler.came.wait(20)

    culprit()
    watch.stop()
    logging.getLogger("edge.stall").removeHandler(handler)
    assert "in culprit" in handler.records[0]
    assert (len(handler.records), len(beats)) == (1, 1)


async def test_a_loop_that_turns_beats_and_is_not_logged(caplog):
    beaten = asyncio.Event()
    beats: list[float] = []

    def beat(now: float, late: float) -> None:
        assert late >= 0
        beats.append(now)
        if len(beats) == 3:
            beaten.set()

    watch = StallWatch(30.0, beat)
    await beaten.wait()
    watch.stop()
    assert beats == sorted(beats)
    assert caplog.records == []
