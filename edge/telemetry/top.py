"""Which URLs had the most hits, misses, octets and errors since the start."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from edge.policy.sketch import Sketch, Weighed
from edge.ports import Record
from edge.telemetry.schema import HITS

By = Literal["hits", "misses", "bytes", "errors"]
#: Authority and path: a query may be a secret, and says little of what is asked for.
Url = tuple[bytes, bytes]

CAPACITY = 500
# Longer paths are cut.
_LONGEST = 256


class Top:
    """Sketches of what was asked for, one for each measure."""

    def __init__(self) -> None:
        self._sketches: dict[str, Sketch[Url]] = {by: Sketch(CAPACITY) for by in get_args(By)}

    def add(self, records: Sequence[Record], times: int) -> None:
        """Count exchanges that were alike, each so many `times`."""
        targets = [each.request.target for each in records if each.request is not None]
        if not targets:
            return
        urls = [(target.authority, target.path[:_LONGEST]) for target in targets]
        octets: dict[Url, int] = {}
        for url, record in zip(urls, records, strict=True):
            octets[url] = octets.get(url, 0) + record.bytes_out * times
        self._sketches["bytes"].add(octets)
        counts = Counter(urls)
        if times != 1:
            counts = Counter({url: count * times for url, count in counts.items()})
        if records[0].status >= 500:
            self._sketches["errors"].add(counts)
        if records[0].outcome in HITS:
            self._sketches["hits"].add(counts)
        elif records[0].outcome != "-":
            self._sketches["misses"].add(counts)

    def heaviest(self, by: By, count: int) -> list[Weighed[Url]]:
        """Return the `count` URLs that lead by a measure."""
        return self._sketches[by].heaviest(count)
