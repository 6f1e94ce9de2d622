"""What a purge would hit, found by looking at all that is stored: only a dry run does that."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from edge.caching.stored import StoredResponse
from edge.errors import ParseError
from edge.exchange.purged import judge, labels
from edge.policy.key import parse_key
from edge.policy.purging import Kind, Mode, Purge, PurgeTable, Selector
from edge.ports import Purges
from edge.store.inspect import Inspection

#: So many URLs are shown, and so long it is looked, seconds.
SAMPLES, SECONDS = 10, 10.0


class Found(msgspec.Struct, frozen=True):
    """Stored responses that a purge would hit; `is_complete` is false when time was up before all were looked at."""

    count: int
    samples: list[str]
    is_complete: bool


def take(stores: Sequence[Path], purges: Purges, selectors: Sequence[Selector]) -> Found:
    """Return what a purge of `selectors` would hit of what is on disk in the store directories `stores`.

    Waits for the disk: not for the event loop.  StoreError if a directory cannot be looked into.
    """
    table = PurgeTable()
    table.apply(Purge(1, 0.0, Mode.HARD, tuple(selectors)))
    until = time.monotonic() + SECONDS
    count, urls = 0, dict[str, None]()
    for stored in (stored for store in stores for stored in _candidates(store, selectors)):
        if time.monotonic() > until:
            return Found(count, list(urls), is_complete=False)
        is_hit = table.verdict(stored.key, 0, partial(labels, stored)) is not None
        if is_hit and judge(purges, stored) is not None:
            count += 1
            if len(urls) < SAMPLES:
                urls[shown(stored.key)] = None
    return Found(count, list(urls), is_complete=True)


def shown(key: bytes) -> str:
    """Return the URL that a key stands for."""
    try:
        return parse_key(key).uri.decode("ascii", "backslashreplace")
    except ParseError:
        return key.decode("ascii", "backslashreplace")


def _candidates(store: Path, selectors: Sequence[Selector]) -> Iterator[StoredResponse]:
    with Inspection(store) as inspection:
        if all(selector.kind is Kind.URL for selector in selectors):
            for selector in selectors:
                yield from (located.stored for located in inspection.lookup(selector.value))
        else:
            yield from (located.stored for located in inspection.responses())
