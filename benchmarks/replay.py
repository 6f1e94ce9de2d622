"""Caches that a trace is replayed through: their policies are the classes that serve, their bytes are only counted."""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from math import inf

from benchmarks.traces import Trace
from edge.policy.admission import Admission
from edge.policy.eviction import Evictor
from edge.policy.reinsertion import MOST_VISITS, Reinsertion, visits_left
from edge.store.layout import SMALLEST_QUOTA, Layout
from edge.store.memory import AGAIN, MEDIUM, SMALL
from edge.store.record import CHUNK_SIZE


@dataclass(frozen=True, slots=True)
class Result:
    """Shares of the requests, and of the octets asked for: `written` is None where nothing is written to a disk."""

    hits: float
    bytes: float
    written: float | None = None


def lru(trace: Trace, capacity: int) -> Result:
    """Replay through LRU that stores everything."""
    held: OrderedDict[bytes, int] = OrderedDict()
    used = hits = octets = written = 0
    for key, size in zip(trace.keys, trace.sizes, strict=True):
        if key in held:
            held.move_to_end(key)
            hits += 1
            octets += size
        elif size <= capacity:
            held[key] = size
            used += size
            written += size
            while used > capacity:
                used -= held.popitem(last=False)[1]
    return _result(trace, hits, octets, written)


def memory(trace: Trace, capacity: int) -> Result:
    """Replay through the memory tier: contents of up to SMALL octets, and of up to MEDIUM as `Memory.awaits` says."""
    evictor: Evictor[bytes] = Evictor(capacity)
    uses: Counter[bytes] = Counter()
    hits = octets = asked = 0
    for key, size in zip(trace.keys, trace.sizes, strict=True):
        uses[key] += 1
        if key in evictor:
            evictor.visit(key)
            hits += 1
            octets += size
        elif size <= SMALL:
            evictor.admit(key, size)
        elif size <= MEDIUM and uses[key] >= AGAIN and evictor.would_stay(size, uses[key]):
            asked += 1
            if not evictor.is_full or not asked & 7:
                evictor.admit(key, size, uses[key])
    return _result(trace, hits, octets, None)


def disk(trace: Trace, capacity: int, *, min_age: float) -> Result:
    """Replay through the disk tier, whose admission looks after `min_age`, in seconds; 0 admits everything."""
    tier = DiskTier(capacity, min_age, trace.times[0])
    hits = octets = 0
    for now, key, size in zip(trace.times, trace.keys, trace.sizes, strict=True):
        found = tier.ask(key, size, now)
        hits += found == size
        octets += found
    return _result(trace, hits, octets, tier.written)


class Held:
    """A chunk on the disk."""

    __slots__ = ("at", "generation", "size", "visits")
    is_content, is_needed, is_pinned = True, False, False

    def __init__(self, generation: bytes, at: int, size: int) -> None:
        self.generation, self.at, self.size, self.visits = generation, at, size, 0


class DiskTier:
    """Segments of chunks, as the log and its reclaim keep them; heads and headers are left out of account.

    Attributes:
        written: octets written, new and once more.
    """

    def __init__(self, capacity: int, min_age: float, now: float) -> None:
        layout = Layout.of(max(capacity, SMALLEST_QUOTA))
        self.written = 0
        self._capacity, self._size = capacity, min(layout.segment_size, capacity // 5)
        self._admission = Admission(capacity, min_age=min_age, now=now)
        self._reinsertion = Reinsertion(min(CHUNK_SIZE, self._size // 2))
        self._chunks: dict[tuple[bytes, int], Held] = {}
        self._segments: deque[list[Held]] = deque()
        self._active: list[Held] = []
        self._room = self._size

    def ask(self, key: bytes, size: int, now: float) -> int:
        """Return how many octets of a content are held, and store the others if they are admitted."""
        found, missing = 0, []
        for at in range(0, size, CHUNK_SIZE):
            chunk = self._chunks.get((key, at))
            if chunk is None:
                missing.append(at)
                continue
            chunk.visits = min(chunk.visits + 1, MOST_VISITS)
            found += chunk.size
        if missing and self._admission.admits(key, size - found, is_known=found > 0, has_room=self._has_room, now=now):
            for at in missing:
                self._append(Held(key, at, min(CHUNK_SIZE, size - at)))
        return found

    @property
    def _has_room(self) -> bool:
        return (len(self._segments) + 3) * self._size <= self._capacity

    def _append(self, chunk: Held) -> None:
        if chunk.size > self._size:
            return
        while chunk.size > self._room:
            self._roll()
        self._write(chunk)

    def _write(self, chunk: Held) -> None:
        self._active.append(chunk)
        self._chunks[chunk.generation, chunk.at] = chunk
        self._room -= chunk.size
        self.written += chunk.size

    def _roll(self) -> None:
        self._segments.append(self._active)
        self._active, self._room = [], self._size
        while (len(self._segments) + 2) * self._size > self._capacity:
            self._free(self._segments.popleft())

    def _free(self, segment: list[Held]) -> None:
        choice = self._reinsertion.choose(segment, size=self._size, room=self._room)
        for chunk in choice.drop:
            del self._chunks[chunk.generation, chunk.at]
        for chunk in choice.keep:
            chunk.visits = visits_left(chunk)
            self._write(chunk)


def _result(trace: Trace, hits: int, octets: int, written: int | None) -> Result:
    asked = sum(trace.sizes)
    return Result(hits / len(trace.keys), octets / asked, None if written is None else written / asked)


#: A min_age under which the disk is always under pressure once it was written over.
ALWAYS_PRESSED = inf
