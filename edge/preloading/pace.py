"""When the next may be asked for: the rate, the window and the waits between tries."""

from datetime import UTC, datetime, timedelta

# The longest wait between two tries, seconds.
_LONGEST = 60.0


class Pace:
    """A rate in octets a second, held on average since what was sent last."""

    def __init__(self, rate: int | None) -> None:
        """Hold `rate`, None for none."""
        self._rate = rate
        self._due = 0.0

    def wait(self, octets: int, now: float) -> float:
        """Count `octets` that came at `now`, in seconds of any clock, and return for how long nothing more should come."""
        if self._rate is None:
            return 0.0
        self._due = max(self._due, now) + octets / self._rate
        return self._due - now


def until_open(window: str | None, now: float) -> float:
    """Return the seconds from `now`, since 1970, until a `window` such as 22:00-06:00 in UTC is open, 0 when it is."""
    if window is None:
        return 0.0
    opens, closes = (
        int(hours) * 60 + int(minutes) for hours, _, minutes in (t.partition(":") for t in window.split("-"))
    )
    at = datetime.fromtimestamp(now, UTC)
    minute = at.hour * 60 + at.minute
    is_open = opens <= minute < closes if opens < closes else minute >= opens or minute < closes
    if is_open:
        return 0.0
    start = at.replace(hour=opens // 60, minute=opens % 60, second=0, microsecond=0)
    return ((start if start > at else start + timedelta(days=1)) - at).total_seconds()


def before_retry(tried: int, after: float) -> float:
    """Return the seconds to wait when a URL was `tried` so often; `after` is what the answer has asked for."""
    return min(max(2.0 ** (tried - 1), after), _LONGEST)
