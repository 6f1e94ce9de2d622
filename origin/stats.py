"""What has reached the origin, for those who want to know what the edge kept from it."""

import weakref
from collections import Counter

from aiohttp import web

#: Paths counted by name; requests for further ones are in the total only.
MAX_PATHS = 10_000


class Stats:
    """Counts of requests and of the connections they came on."""

    def __init__(self) -> None:
        self._paths: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._requests = 0
        self._connections = 0
        self._known: weakref.WeakSet[object] = weakref.WeakSet()

    def arrived(self, request: web.Request) -> None:
        """Count a request, and its connection if it is the first one there."""
        self._requests += 1
        path = request.path
        if path in self._paths or len(self._paths) < MAX_PATHS:
            self._paths[path] += 1
        transport = request.transport
        if transport is not None and transport not in self._known:
            self._known.add(transport)
            self._connections += 1

    def answered(self, status: int) -> None:
        """Count the status of an answer."""
        self._statuses[status] += 1

    def reset(self) -> None:
        """Start again from zero; a connection that is already open is not counted again."""
        self._paths.clear()
        self._statuses.clear()
        self._requests = self._connections = 0

    def snapshot(self) -> dict[str, object]:
        """Return the counts since the start or the last reset."""
        return {
            "requests": self._requests,
            "connections": self._connections,
            "paths": dict(self._paths),
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
        }
