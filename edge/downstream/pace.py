"""Whether a client takes what is sent to it, or only holds on to it."""

from edge.policy.limits import Limits


class SendingPace:
    """The pace of one connection, looked at from time to time.

    Attributes:
        written: octets given to the transport so far.
    """

    __slots__ = ("_limits", "_since", "_taken", "written")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since: float | None = None
        self._taken = 0
        self.written = 0

    def is_too_slow(self, unsent: int, now: float) -> bool:
        """Return whether the client took less than it must in the last `send_timeout` seconds, with `unsent` waiting.

        What the kernel has accepted counts as taken, so a client is measured once its socket buffer is full.
        """
        taken = self.written - unsent
        if unsent == 0:
            self._since = None
        elif self._since is None:
            self._since, self._taken = now, taken
        elif now - self._since >= self._limits.send_timeout:
            if taken - self._taken < self._limits.send_rate * self._limits.send_timeout:
                return True
            self._since, self._taken = now, taken
        return False
