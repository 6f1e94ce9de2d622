"""Which records of the segment that is to be freed are written once more: first in, first out with re-insertion.

What was used since it was written goes on living, with one use less to its name, so that what is used again and again
outlasts what was used once.  Nothing is chosen by its size: small and large stay for the same reason, which keeps the
byte hit ratio near that of LRU, at sequential writes.  (After CLOCK and SIEVE: Zhang et al., "SIEVE is simpler than
LRU", 2024.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

#: More uses of a record than so many are not told apart: it outlasts as many rounds at most.
MOST_VISITS = 2


class Record(Protocol):
    """What counts of a record that is still findable."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...

    @property
    def generation(self) -> bytes:
        """The content it belongs to."""
        ...

    @property
    def is_content(self) -> bool:
        """Whether it is a chunk of the content, not the head."""
        ...

    @property
    def visits(self) -> int:
        """How often it was used since it was written, as far as that is told apart."""
        ...

    @property
    def is_needed(self) -> bool:
        """Whether its generation is being written or read at present."""
        ...

    @property
    def is_pinned(self) -> bool:
        """Whether its generation is never to be dropped."""
        ...


R = TypeVar("R", bound=Record)


@dataclass(slots=True)
class Choice(Generic[R]):
    """What to write again, what to forget, and which needed generations lose content."""

    keep: list[R] = field(default_factory=list)
    drop: list[R] = field(default_factory=list)
    lost: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Reinsertion:
    """Chooses among the records of a segment.

    Attributes:
        longest: the longest record there is, bytes; room for one of them is left to what is new.
    """

    longest: int

    def choose(self, records: Sequence[R], *, size: int, room: int) -> Choice[R]:
        """Choose among all findable `records` of a segment of `size` bytes what goes where there is `room`, in bytes.

        What is pinned goes first, and must fit.  Beside it, nine tenths of the segment are moved at most: each segment
        that is freed must make room for something new.
        """
        room -= sum(record.size for record in records if record.is_pinned)
        reserve = min(size // 2, room // 2)
        wanted = [record for record in records if record.is_content and record.is_needed and not record.is_pinned]
        needed = min(reserve, sum(record.size for record in wanted))
        allowance = max(0, min(size * 9 // 10, room - self.longest - needed))
        return choose(records, allowance=allowance, reserve=reserve)


def choose(records: Sequence[R], *, allowance: int, reserve: int) -> Choice[R]:
    """Choose all that is pinned, `allowance` bytes of visited and `reserve` bytes of needed content, with their heads."""
    choice: Choice[R] = Choice()
    generations = set()
    for record in records:
        if not record.is_content:
            continue
        if record.is_pinned:
            pass
        elif record.is_needed and record.size <= reserve:
            reserve -= record.size
        elif record.visits and record.size <= allowance:
            allowance -= record.size
        else:
            choice.drop.append(record)
            if record.is_needed:
                choice.lost.add(record.generation)
            continue
        choice.keep.append(record)
        generations.add(record.generation)
    for record in records:
        if record.is_content:
            continue
        is_used = bool(record.visits) and record.size <= allowance
        if record.is_pinned:
            choice.keep.append(record)
        elif record.generation in generations or record.is_needed or is_used:
            choice.keep.append(record)
            allowance -= record.size
        else:
            choice.drop.append(record)
    return choice


def visits_left(record: Record) -> int:
    """Return the uses that `record` keeps to its name when it is written again."""
    return max(0, record.visits - 1)
