"""By which chunks a representation is fetched, and how far ahead of its clients.

Chunks begin at multiples of a unit.  What is fetched at once is a stretch: a chunk, or what of it is not held yet.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.semantics.ranges import Range, RangeSpec


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """How ranges are fetched.

    Attributes:
        unit: length of a chunk in octets.
        parallel: how many stretches of one representation are fetched at a time; 0 to ask for a range as the client does.
        read_ahead: how many octets at most are fetched that no client has asked for, or is close to reading.
    """

    unit: int = 1 << 20
    parallel: int = 4
    read_ahead: int = 8 << 20


def first_chunk(specs: Sequence[RangeSpec], unit: int) -> Range | None:
    """Return the chunk to ask for first, of a representation of which nothing is known yet.

    None when it is not known where a range begins: a suffix.  Should the chunk be unsatisfiable, so are all `specs`.
    """
    first = min((-1 if spec.first is None else spec.first for spec in specs), default=-1)
    if first < 0:
        return None
    start = first - first % unit
    return start, start + unit


def first_missing(held: Sequence[Range], start: int, end: int) -> int | None:
    """Return the first offset in [start, end) that is not in `held` (sorted and disjoint), None when all are."""
    for first, last in held:
        if first > start:
            break
        start = max(start, last)
    return start if start < end else None


def stretch_at(held: Sequence[Range], length: int, position: int, unit: int) -> Range:
    """Return the stretch with the octet at `position`, which is not held, of a representation of `length` octets."""
    start = position - position % unit
    end = min(start + unit, length)
    for first, last in held:
        if last <= position:
            start = max(start, last)
        else:
            return start, min(end, first)
    return start, end


def stretches(held: Sequence[Range], length: int, wanted: Range, unit: int) -> Iterator[Range]:
    """Return the stretches that make up what is missing of `wanted`, in order."""
    at, end = wanted
    while (missing := first_missing(held, at, end)) is not None:
        stretch = stretch_at(held, length, missing, unit)
        yield stretch
        at = stretch[1]


def reach(rules: ChunkRules, asked: Range, length: int, before: int) -> int:
    """Return the offset up to which to fetch for a request for `asked` that continues `before` octets."""
    return min(length, asked[1] + min(rules.read_ahead, before))


def stop(rules: ChunkRules, asked: Range, position: int, length: int, before: int) -> int:
    """Return the offset up to which to fetch now, for a client that asked for `asked` and has read to `position`.

    Whoever asks for everything up to the end seldom wants it: such a client is given as much ahead as it has read.
    """
    is_meant = asked[1] < length
    ahead = rules.parallel * rules.unit if is_meant else min(rules.read_ahead, before + position - asked[0])
    return min(reach(rules, asked, length, before), position + max(1, ahead))


class Runs:
    """Bounded memory of requests that begin where another has ended."""

    __slots__ = ("_begins", "_limit")

    def __init__(self, *, limit: int = 10_000) -> None:
        """Remember up to `limit` runs; one that is forgotten begins anew."""
        self._limit = limit
        self._begins = OrderedDict[tuple[bytes, int], int]()

    def continued(self, key: bytes, asked: Range) -> int:
        """Note a request for the range `asked`, and return how many octets it continues; 0 for one by itself."""
        start, end = asked
        begin = self._begins.pop((key, start), start)
        self._begins.pop((key, end), None)
        self._begins[key, end] = begin
        if len(self._begins) > self._limit:
            self._begins.popitem(last=False)
        return start - begin
