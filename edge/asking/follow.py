"""Following the log of a node, through its reloads."""

import time
from collections.abc import Callable, Iterator

from edge.control.inquiries import Lines
from edge.supervisor.faults import NotAnswered

#: A node is asked so often, seconds; and it may be silent for so long before it is taken for gone.
EVERY, PATIENCE = 0.25, 15.0
# So many are given along: more than there are workers in two generations.
_MOST_KNOWN = 512


def following(
    ask: Callable[[list[str]], Lines],
    known: list[str],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Lines]:
    """Yield what has come, again and again.

    Args:
        ask: returns what has come since the exchanges it is given were the newest.
        known: the newest so far.
        sleep: waits for so many seconds.
        now: seconds of a clock that only goes forward.

    Raises:
        NotAnswered: the node is gone.
    """
    answered = now()
    while True:
        sleep(EVERY)
        try:
            told = ask(known)
        except NotAnswered:
            # Between two generations of workers there is nobody to ask.
            if now() - answered > PATIENCE:
                raise
            continue
        answered = now()
        # Who has nothing to tell yet, or is being replaced, is not forgotten.
        known = [*told.newest, *(name for name in known if name not in told.newest)][:_MOST_KNOWN]
        yield told
