"""How much a client may send of what costs more to take than to send, or serves no request.

RFC 9113 §10.5 names most of it.  A budget is a bucket: it holds so many, is full at first, and fills up in a minute.
"""

from enum import StrEnum

from edge.downstream.http2.faults import ConnectionFault
from edge.downstream.http2.frames import ErrorCode

_MINUTE = 60.0
# A client that takes content in small steps needs a WINDOW_UPDATE or two for each; others need fewer.
_WINDOW_UPDATES, _PER_REQUEST, _OCTETS_EACH = 1000, 4, 256


class Kind(StrEnum):
    """What is counted; the value is the token of the fault."""

    PING = "ping-flood"
    SETTINGS = "settings-flood"
    PRIORITY = "priority-flood"
    EMPTY = "empty-flood"
    UNKNOWN = "unknown-flood"
    #: Streams that the client resets before they have ended, or makes us reset (CVE-2023-44487, CVE-2025-8671).
    RESET = "reset-flood"


#: Most within a minute.
BUDGETS: dict[Kind, int] = {
    Kind.PING: 60,
    Kind.SETTINGS: 14,
    Kind.PRIORITY: 120,
    Kind.EMPTY: 10,
    Kind.UNKNOWN: 120,
    Kind.RESET: 100,
}


class Budgets:
    """The budgets of one connection."""

    __slots__ = ("_left", "_window_updates")

    def __init__(self) -> None:
        self._left: dict[Kind, tuple[float, float]] = {}
        self._window_updates = 0

    def spend(self, kind: Kind, now: float) -> None:
        """Count one; ConnectionFault when it is one too many."""
        most = BUDGETS[kind]
        left, since = self._left.get(kind, (float(most), now))
        left = min(most, left + (now - since) * most / _MINUTE) - 1
        if left < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, kind.value)
        self._left[kind] = (left, now)

    def spend_window_update(self, requests: int, sent: int) -> None:
        """Count a WINDOW_UPDATE of a client that asked `requests` times and was sent so many octets of content."""
        self._window_updates += 1
        if self._window_updates > _WINDOW_UPDATES + requests * _PER_REQUEST + sent // _OCTETS_EACH:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "window-update-flood")
