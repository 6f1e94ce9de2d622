"""The port `Telemetry`: everything that happened passes here once."""

from collections.abc import Iterable
from typing import final

from edge.clock import Clock
from edge.ports import ReadyAnswer, Record
from edge.semantics.messages import Request
from edge.telemetry.access_log import AccessLog
from edge.telemetry.counters import Counters
from edge.telemetry.ring import Ring
from edge.telemetry.windows import Windows

RING_CAPACITY = 1000
# So many different answers are tallied before they are counted.
_MOST_TALLIES = 1000


class _Tally:
    """How often exchanges like `record` took place."""

    __slots__ = ("record", "times")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.times = 1


@final
class Recorder:
    """Counts, logs and remembers exchanges; never waits, never raises.

    Args:
        clock: where the seconds of the windows come from.
        sites: the names of the sites there are; any other is counted as OTHER.
        access_log: where lines go, None for no log.
    """

    def __init__(self, clock: Clock, sites: Iterable[str], access_log: AccessLog | None = None) -> None:
        self.counters = Counters(sites)
        self.windows = Windows(clock)
        self.ring = Ring(RING_CAPACITY)
        self.access_log = access_log
        self._tallies: dict[ReadyAnswer, _Tally] = {}

    def exchange_ended(self, record: Record) -> None:
        """Count, log and remember one exchange."""
        self.counters.add(record)
        self.windows.add(record)
        self.ring.add(record)
        if self.access_log is not None:
            self.access_log.write(record)

    def relayed(self, record: Record) -> None:
        """Count what an exchange for another worker asked of the origin."""
        self.counters.add_origin(record)

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

    def settle(self) -> None:
        """Count what was tallied."""
        tallies, self._tallies = self._tallies, {}
        for tally in tallies.values():
            self.counters.add(tally.record, tally.times)
            self.windows.add(tally.record, tally.times)
            self.ring.add(tally.record)

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to a named counter."""
        self.counters.add_event(counter, amount)

    @property
    def log_dropped(self) -> int:
        """How many access log lines were lost."""
        return 0 if self.access_log is None else self.access_log.dropped
