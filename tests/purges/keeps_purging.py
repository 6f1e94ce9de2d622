"""A process that purges until it cannot: `python -m tests.purges.keeps_purging PATH`.

It prints the id and the tag of each purge once that is acknowledged.  The log is made shorter all the time, so that a cut
falls into that as well.
"""

import sys
from pathlib import Path

from edge.errors import PurgeNotWritten
from edge.policy.purging import Kind, Mode, Selector
from edge.purges import log
from edge.purges.node import LocalEpoch

TAGS = 7


def purge_until_refused(path: Path) -> None:
    log.COMPACT_EVERY = 10
    purges = log.PurgeLog(path, LocalEpoch(), holds=False, now=1_800_000_000.0)
    number = 0
    while True:
        tag = b"tag-%d" % (number % TAGS)
        try:
            purge = purges.append(Mode.HARD, (Selector(Kind.TAG, tag),), 1_800_000_000.0)
        except PurgeNotWritten:
            return
        print(purge.id, tag.decode(), flush=True)  # noqa: T201
        number += 1


if __name__ == "__main__":
    purge_until_refused(Path(sys.argv[1]))
