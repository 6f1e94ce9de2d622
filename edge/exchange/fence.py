"""Invalidations, so that what was asked of the origin before one is not stored after it (RFC 9111 §4.4)."""

from collections import OrderedDict


class Fence:
    """When keys were invalidated, counted in invalidations; of keys long ago only the latest count is remembered.

    Attributes:
        mark: the present moment, to be noted when the origin is asked.
    """

    __slots__ = ("_forgotten", "_last", "_limit", "mark")

    def __init__(self, *, limit: int = 10_000) -> None:
        """Remember `limit` keys; what was asked before an invalidation that was forgotten counts as behind it."""
        self._limit = limit
        self.mark = 0
        self._forgotten = 0
        self._last = OrderedDict[bytes, int]()

    def invalidate(self, key: bytes) -> None:
        """Shut out every response for `key` that has been asked for so far."""
        self.mark += 1
        self._last[key] = self.mark
        self._last.move_to_end(key)
        if len(self._last) > self._limit:
            _, self._forgotten = self._last.popitem(last=False)

    def lets_through(self, key: bytes, mark: int) -> bool:
        """Return whether a response for `key` that was asked for at `mark` may be stored now."""
        return mark >= max(self._forgotten, self._last.get(key, 0))
