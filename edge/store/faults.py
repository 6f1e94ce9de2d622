"""What can be wrong with a store on disk, and what was looked at to say so."""

from dataclasses import dataclass
from enum import StrEnum

from edge.store.record import Kind


class Fault(StrEnum):
    """What is wrong with a record, or with what should lead to one."""

    INDEX = "index"  #: the index cannot be read
    SEGMENT = "segment"  #: a segment cannot be read, or its own header is damaged
    HEADER = "header"  #: the header of a record is damaged
    CHECKSUM = "checksum"  #: the body of a record is damaged or cannot be read
    HEAD = "head"  #: a whole head record holds something that must not be used
    MISPLACED = "misplaced"  #: another record lies where the index names this one
    DANGLING = "dangling"  #: the index names a place at which nothing lies
    LACKING = "lacking"  #: a head says more than is held of its content


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that fails.

    Attributes:
        fault: what is wrong.
        problem: the same as a sentence.
        segment: id of its segment, None for the index as a whole.
        offset: where it lies there, 0 for the segment itself.
        kind: what kind of record it is, None if that is not known.
        generation: to which generation it belongs, None if that is not known.
        start: the content offset of a chunk, 0 otherwise.
        key: the key it belongs to, None if that is not known.
        is_live: whether the index names it, so that a stored response depends on it.
    """

    fault: Fault
    problem: str
    segment: int | None = None
    offset: int = 0
    kind: Kind | None = None
    generation: bytes | None = None
    start: int = 0
    key: bytes | None = None
    is_live: bool = False


@dataclass(slots=True)
class Tally:
    """What was looked at.

    Attributes:
        segments: segments read.
        records: records found in them.
        size: length of these, bytes.
        live: those that the index names.
        unindexed: records behind the indexed part of a segment: just written, or left by a node that was killed.
        orphans: entries of the index for chunks without a head: being filled, or about to be forgotten.
        dangling: entries of the index at whose place no such record lies.
        vanished: entries of the index whose segment was freed meanwhile.
        failures: how many records, entries or files fail.
    """

    segments: int = 0
    records: int = 0
    size: int = 0
    live: int = 0
    unindexed: int = 0
    orphans: int = 0
    dangling: int = 0
    vanished: int = 0
    failures: int = 0
