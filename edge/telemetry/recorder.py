"""The port `Telemetry`: everything that happened passes here once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import final

from edge.clock import Clock
from edge.ports import ReadyAnswer, Record
from edge.semantics.messages import Request
from edge.telemetry.access_log import AccessLog
from edge.telemetry.counters import Counters, Histogram, alike
from edge.telemetry.ring import Ring
from edge.telemetry.top import Top
from edge.telemetry.windows import Windows

RING_CAPACITY = 1000
# So many different answers are tallied, and so many exchanges wait, before they are counted.
_MOST_TALLIES, _MOST_WAITING = 1000, 100


class _Tally:
    """How often exchanges like `record` took place."""

    __slots__ = ("record", "times")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.times = 1


@final
class Recorder:
    """Counts, logs and remembers exchanges; never waits, never raises.

    Attributes:
        loop_lag: by how much the event loop was late, each time that was looked at.

    Args:
        clock: where the seconds of the windows come from.
        sites: the names of the sites there are; any other is counted as OTHER.
        access_log: where lines go, None for no log.
    """

    def __init__(self, clock: Clock, sites: Iterable[str], access_log: AccessLog | None = None) -> None:
        self.ring = Ring(RING_CAPACITY)
        self._top = Top()
        self.loop_lag = Histogram()
        self.access_log = access_log
        self._counters = Counters(sites)
        self._windows = Windows(clock)
        self._monotonic = clock.monotonic
        self._tallies: dict[ReadyAnswer, _Tally] = {}
        # Exchanges that ended in the present second: counting many that are alike is cheaper than one by one.
        self._waiting: list[Record] = []
        self._second = 0

    @property
    def counters(self) -> Counters:
        """The totals, with all that has ended, ready answers apart that were not settled."""
        self._count_waiting()
        return self._counters

    @property
    def windows(self) -> Windows:
        """The windows, with all that has ended, ready answers apart that were not settled."""
        self._count_waiting()
        return self._windows

    @property
    def top(self) -> Top:
        """What was asked for most, with all that has ended, ready answers apart that were not settled."""
        self._count_waiting()
        return self._top

    def exchange_ended(self, record: Record) -> None:
        """Log and remember one exchange, and count it before anybody looks."""
        second = int(self._monotonic())
        if second != self._second or len(self._waiting) >= _MOST_WAITING:
            self._count_waiting()
            self._second = second
        self._waiting.append(record)
        self.ring.add(record)
        if self.access_log is not None:
            self.access_log.write(record)

    def relayed(self, record: Record) -> None:
        """Count what an exchange for another worker asked of the origin."""
        self._counters.add_origin([record])

    def answered(self, answer: ReadyAnswer, request: Request, client: str, now: float) -> None:
        """Count one exchange that a ready answer was the answer of; without a log, no sooner than it is looked at."""
        if self.access_log is not None:
            self.exchange_ended(answer.record(request, client, now))
            return
        tally = self._tallies.get(answer)
        if tally is not None:
            tally.times += 1
        else:
            self._tallies[answer] = _Tally(answer.record(request, client, now))
            if len(self._tallies) > _MOST_TALLIES:
                self.settle()

    def answered_named(self, answer: ReadyAnswer, request: Request, client: str, now: float) -> None:
        """Count and remember by itself one exchange that its client has named, so that it can be found."""
        self.exchange_ended(answer.record(request, client, now))

    def settle(self) -> None:
        """Count what was tallied."""
        tallies, self._tallies = self._tallies, {}
        by_times: defaultdict[int, list[Record]] = defaultdict(list)
        for tally in tallies.values():
            by_times[tally.times].append(tally.record)
            self.ring.add(tally.record)
        second = self._windows.second()
        for times, tallied in by_times.items():
            for records in alike(tallied):
                self._count(records, second, times)

    def _count_waiting(self) -> None:
        """Count the exchanges that wait, those that are alike together."""
        waiting, self._waiting = self._waiting, []
        for records in alike(waiting):
            self._count(records, self._second, 1)

    def _count(self, records: Sequence[Record], second: int, times: int) -> None:
        self._counters.add(records, times)
        self._windows.add(records, second, times)
        self._top.add(records, times)

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to a named counter."""
        self._counters.add_event(counter, amount)

    def coded(self, coding: bytes, octets_in: int, octets_out: int) -> None:
        """Count a content that was made in a coding."""
        self._counters.add_coded(coding.decode("ascii"), octets_in, octets_out)

    @property
    def log_dropped(self) -> int:
        """How many access log lines were lost."""
        return 0 if self.access_log is None else self.access_log.dropped
