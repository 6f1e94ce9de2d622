"""Which new contents are worth writing while the disk is written over too fast.

Most keys are asked for once.  As long as there is room, or what is written stays for long, storing them costs nothing
that matters; when the capacity is written over in a few hours, they push out what would have been asked for again.
Then a large content is written only when its key was offered before, within the time in which it would still be held.
(The doorkeeper of
Einziger et al., "TinyLFU: a highly efficient cache admission policy", 2017.)
"""

from math import inf

#: Content of up to so many octets is always admitted: it takes little room, and each hit on it saves a whole request.
ALWAYS = 32 << 10

# Bits of a filter for each key that it can be given at most.  Those contents are mostly far larger than ALWAYS.
_BITS_PER_KEY = 4


class Doorkeeper:
    """Remembers names for one to two turns; now and then it takes a new one for one it has seen.

    Two Bloom filters: the newer is written, both are asked, and a turn drops the older one.
    """

    def __init__(self, names: int) -> None:
        """Make room for so many `names` a turn."""
        self._size = max(1, names * _BITS_PER_KEY // 8)
        self._older, self._newer = bytearray(self._size), bytearray(self._size)

    def remembers(self, name: bytes) -> bool:
        """Return whether `name`, 16 bytes of a hash, was noted in this turn or the last one."""
        places = self._places(name)
        return any(all(bits[at >> 3] & 1 << (at & 7) for at in places) for bits in (self._newer, self._older))

    def note(self, name: bytes) -> None:
        """Remember `name`, 16 bytes of a hash."""
        for at in self._places(name):
            self._newer[at >> 3] |= 1 << (at & 7)

    def turn(self) -> None:
        """Forget what was noted before the last turn."""
        self._older, self._newer = self._newer, bytearray(self._size)

    def _places(self, name: bytes) -> list[int]:
        return [int.from_bytes(name[first : first + 4], "little") % (8 * self._size) for first in (0, 4, 8, 12)]


class Admission:
    """Decides what is written.

    Attributes:
        refused: how many contents were not admitted.
    """

    def __init__(self, capacity: int, *, min_age: float, now: float) -> None:
        """Begin at `now`.

        Args:
            capacity: what is held at most, bytes.
            min_age: everything is admitted while at least so many seconds pass until `capacity` bytes are offered; 0
                admits everything always.
            now: seconds of a clock that never goes back, here and below.
        """
        self.refused = 0
        self._capacity, self._min_age = max(1, capacity), min_age
        # No more keys than this are noted while `capacity` bytes are offered.
        self._doorkeeper = Doorkeeper(capacity // ALWAYS if min_age else 0)
        self._offered, self._since, self._turnover = 0, now, inf

    def is_pressed(self, now: float) -> bool:
        """Return whether what is written is written over too soon: in the last turn, and so far in this one."""
        return max(self._turnover, now - self._since) < self._min_age

    def admits(self, name: bytes, length: int | None, *, is_known: bool, has_room: bool, now: float) -> bool:
        """Return whether content that is offered is to be written.

        Args:
            name: 16 bytes of a hash of its key.
            length: its octets; None, when they are not known, admits it.
            is_known: whether something is stored for the key already, which admits it.
            has_room: whether nothing need go for it, which admits it.
            now: seconds.
        """
        is_exempt = is_known or length is None or length <= ALWAYS
        is_admitted = is_exempt or has_room or not self.is_pressed(now) or self._doorkeeper.remembers(name)
        self._offer(ALWAYS if length is None else length, now)
        if self._min_age and not is_exempt:
            self._doorkeeper.note(name)
        self.refused += not is_admitted
        return is_admitted

    def _offer(self, length: int, now: float) -> None:
        self._offered += length
        if self._offered >= self._capacity:
            self._turnover, self._since, self._offered = now - self._since, now, 0
            self._doorkeeper.turn()
