"""What the processes that read one store tell each other without asking: stamps, visits and pins, in shared memory.

Every cell has one writer at a time, or loses nothing that matters when two write at once, so there are no locks.
"""

from collections import Counter
from collections.abc import Iterable

from edge.policy.ring import MOST_WORKERS, STRIPES, stripe_of

_CELL = 8
_VISITED, _PINS, _PIN_ROWS = 1 << 16, 1 << 10, 256
_MOST_VISITS = 3
#: How many bytes it takes.
SIZE = (STRIPES + MOST_WORKERS) * _CELL + _VISITED + _PINS * _PIN_ROWS


class Shared:
    """One process's view of the memory.

    Attributes:
        stamps: a number for each stripe, changed by its owner with every change of what is found under its keys; odd
            while a change is not in the index yet.
        incarnations: a number for each owner, changed when it opens its store; odd until that is open.
    """

    def __init__(self, memory: memoryview, row: int) -> None:
        """Look at `memory`, SIZE bytes; `row` is this process's own, as no other's at the same time."""
        cells = memory[: (STRIPES + MOST_WORKERS) * _CELL].cast("Q")
        self.stamps, self.incarnations = cells[:STRIPES], cells[STRIPES:]
        rest = memory[(STRIPES + MOST_WORKERS) * _CELL :]
        self._visited, self._pins = rest[:_VISITED], rest[_VISITED:]
        self._row = row * _PINS
        self._pinned: Counter[int] = Counter()
        # By stripe: changes that are not in the index yet.
        self._pending = [0] * STRIPES
        self._pins[self._row : self._row + _PINS] = bytes(_PINS)

    @classmethod
    def alone(cls) -> "Shared":
        """Return memory that no other process has."""
        return cls(memoryview(bytearray(SIZE)), 0)

    # Changes, noted by the owner.

    def begin(self, key_hash: bytes) -> None:
        """Note a change that is not in the index yet."""
        stripe = stripe_of(key_hash)
        self.stamps[stripe] += 2 if self._pending[stripe] else 1
        self._pending[stripe] += 1

    def end(self, key_hash: bytes) -> None:
        """Note that a change that had begun is in the index, or is not to be any more."""
        stripe = stripe_of(key_hash)
        self._pending[stripe] -= 1
        if not self._pending[stripe]:
            self.stamps[stripe] += 1

    def touch(self, key_hash: bytes) -> None:
        """Note a change that is in the index already."""
        self.stamps[stripe_of(key_hash)] += 2

    def open_stripes(self, stripes: Iterable[int]) -> None:
        """Let nothing be believed any more that was known of `stripes`, whose owner has just opened them."""
        for stripe in stripes:
            self.stamps[stripe] += 2 - (self.stamps[stripe] & 1)

    # Use, noted by whoever reads.

    def visit(self, name: bytes) -> None:
        """Note that a generation, or the heads of a key hash, were used by another process than the owner's."""
        at = _place(name, _VISITED)
        self._visited[at] = min(self._visited[at] + 1, _MOST_VISITS)

    def visits(self, name: bytes) -> int:
        """Return how often `name`, or another one in its place, was used since this was last asked."""
        at = _place(name, _VISITED)
        visits, self._visited[at] = self._visited[at], 0
        return visits

    def pin(self, generation: bytes) -> None:
        """Note that this process reads `generation`."""
        at = _place(generation, _PINS)
        self._pinned[at] += 1
        self._pins[self._row + at] = 1

    def unpin(self, generation: bytes) -> None:
        """Note that this process has read `generation`."""
        at = _place(generation, _PINS)
        self._pinned[at] -= 1
        if not self._pinned[at]:
            self._pins[self._row + at] = 0

    def is_pinned(self, generation: bytes) -> bool:
        """Return whether any process reads `generation`, or another one in its place."""
        return any(self._pins[_place(generation, _PINS) :: _PINS])


def _place(name: bytes, places: int) -> int:
    return int.from_bytes(name[-4:], "big") % places
