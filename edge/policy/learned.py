"""What a node learns about keys from the responses it sees; forgetting any of it costs a little time, never truth."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Learned:
    """Bounded memory of what keys vary on, and of keys that were not storable, or not to be had by chunks, of late."""

    __slots__ = ("_as_is", "_limit", "_nominated", "_seconds", "_uncacheable")

    def __init__(self, *, limit: int = 10_000, seconds: float = 120.0) -> None:
        """Remember up to `limit` keys of each kind, and for how many `seconds` a key counts as not storable."""
        self._limit = limit
        self._seconds = seconds
        self._nominated = OrderedDict[bytes, tuple[bytes, ...]]()
        self._uncacheable = OrderedDict[bytes, float]()
        self._as_is = OrderedDict[bytes, float]()

    def varies(self, key: bytes, names: tuple[bytes, ...]) -> None:
        """Learn the nominated fields of a response that is being stored."""
        self._uncacheable.pop(key, None)
        remember(self._nominated, key, names, self._limit)

    def nominated(self, key: bytes) -> tuple[bytes, ...]:
        """Return what `key` varies on; most responses vary on the content coding if on anything."""
        return self._nominated.get(key, (b"accept-encoding",))

    def not_stored(self, key: bytes, now: float) -> None:
        """Learn that a response for `key` was not storable: others then do not wait for the next."""
        remember(self._uncacheable, key, now + self._seconds, self._limit)

    def is_uncacheable(self, key: bytes, now: float) -> bool:
        """Return whether the responses of `key` were not storable of late."""
        return self._uncacheable.get(key, 0.0) > now

    def asked_as_is(self, key: bytes, now: float) -> None:
        """Learn that `key` could not be fetched by chunks: for some time its ranges are asked for as clients do."""
        remember(self._as_is, key, now + self._seconds, self._limit)

    def is_asked_as_is(self, key: bytes, now: float) -> bool:
        """Return whether `key` could not be fetched by chunks of late."""
        return self._as_is.get(key, 0.0) > now


def remember(memory: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    """Keep a value, and of all that are kept the latest `limit`."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > limit:
        # The first one of a plain dict is found only behind the places of all that were deleted before it.
        memory.popitem(last=False)
