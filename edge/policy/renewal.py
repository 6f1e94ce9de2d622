"""When a certificate is asked for: with a third of its lifetime left, and ever more slowly while that fails."""

#: The first wait after a failure, what each further one multiplies it by, and the longest, in seconds: an authority
#: takes five failures an hour at most from one account.
FIRST_RETRY, RETRY_FACTOR, LONGEST_RETRY = 60.0, 4.0, 6 * 3600.0
# How much of a wait is left to chance, so that many nodes do not ask in the same second.
_SPREAD = 0.1


def renewal_time(not_before: float, not_after: float, jitter: float) -> float:
    """Return when to renew a certificate; `jitter` in [0, 1) chooses the moment, never later than a third before its end."""
    lifetime = not_after - not_before
    return not_after - lifetime / 3 - jitter * _SPREAD * lifetime


def retry_delay(failures: int, jitter: float) -> float:
    """Return how many seconds to wait after so many failures in a row, at least one; `jitter` in [0, 1) adds to it."""
    # RFC 8555 says nothing of it; the exponent is bounded, since a float is not.
    exponent = min(failures, 16) - 1
    return min(FIRST_RETRY * RETRY_FACTOR**exponent, LONGEST_RETRY) * (1 + jitter * _SPREAD)
