"""A preload job, as it is kept and told, and what becomes of each of its URLs."""

from enum import StrEnum
from typing import Annotated

import msgspec

#: So many URLs are worked on between two notes of how far a job has come.
CHUNK = 100
#: So many URLs a job may have, so many of them in one request, and so many problems are told.
MOST, MOST_AT_ONCE, MOST_PROBLEMS = 200_000, 20_000, 200
#: What is asked for where nobody says which codings.
CODINGS = "gzip, br, zstd"
#: The longest URL.
LONGEST = 8192


class State(StrEnum):
    """Where a job is."""

    RUNNING = "running"
    WAITING = "waiting"  #: for its window
    DONE = "done"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What became of a URL."""

    STORED = "stored"
    FRESH = "fresh"  #: it was there already
    NOT_STORED = "not-stored"  #: it was answered, and may not be stored
    FAILED = "failed"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a job may take.

    Attributes:
        concurrency: URLs that are asked for at a time.
        rate: octets of content a second, on average; None for no limit.
        window: the time of day in which URLs are asked for, in UTC, such as 22:00-06:00; None for always.
        retries: how often a URL is asked for once more that could not be had.
    """

    concurrency: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    rate: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)] | None = None
    window: (
        Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$")] | None
    ) = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 3


class Problem(msgspec.Struct, frozen=True):
    """A URL that is not stored now, and why."""

    url: str
    outcome: Outcome
    reason: str


class Result(msgspec.Struct, frozen=True):
    """What one request for a URL came to.

    Attributes:
        outcome: what became of it.
        reason: why it is not stored, or "".
        octets: of content that came.
        may_retry: whether another try could do better.
        after: the seconds to wait before that, as the answer said.
    """

    outcome: Outcome
    reason: str = ""
    octets: int = 0
    may_retry: bool = False
    after: float = 0.0


class Job(msgspec.Struct, kw_only=True):
    """A preload job.

    Attributes:
        id: its name.
        by: the name of the token that it was made with.
        created: when, in seconds since 1970.
        ended: when it was done or cancelled, None before.
        state: where it is.
        limits: what it may take.
        accept_encoding: the codings that are asked for.
        sitemaps: those that are yet to be read.
        read: those that were.
        total: the URLs that are known so far.
        stored: how many were stored.
        fresh: how many were there already.
        not_stored: how many were answered, but may not be stored.
        failed: how many could not be had.
        octets: of content that came.
        problems: the first URLs that are not stored.
        chunk: how many chunks of URLs were worked through.
    """

    id: str
    by: str
    created: float
    limits: Limits
    accept_encoding: str
    sitemaps: list[str]
    read: list[str] = []
    ended: float | None = None
    state: State = State.RUNNING
    total: int = 0
    stored: int = 0
    fresh: int = 0
    not_stored: int = 0
    failed: int = 0
    octets: int = 0
    problems: list[Problem] = []
    chunk: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be done."""
        return self.state in {State.DONE, State.CANCELLED}

    def count(self, url: str, result: Result) -> None:
        """Take note of what became of a URL."""
        self.octets += result.octets
        match result.outcome:
            case Outcome.STORED:
                self.stored += 1
            case Outcome.FRESH:
                self.fresh += 1
            case Outcome.NOT_STORED:
                self.not_stored += 1
            case Outcome.FAILED:
                self.failed += 1
        if result.reason and len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(url, result.outcome, result.reason))

    def end(self, state: State, now: float) -> None:
        """Take note that it is over."""
        self.state, self.ended = state, now


def judged(status: int, outcome: str, detail: str, cache_status: str, octets: int, *, after: str = "") -> Result:
    """Return what an answer means.

    Args:
        status: of the answer.
        outcome: nginx's word for it, such as HIT.
        detail: the reason token behind that, or "".
        cache_status: this node's member of Cache-Status (RFC 9211).
        octets: of content.
        after: its Retry-After, or "".
    """
    if status >= 500 or status in {408, 425, 429}:
        wait = float(after) if after.isascii() and after.isdigit() and len(after) < 6 else 0.0
        return Result(Outcome.FAILED, f"status {status}", octets, may_retry=True, after=wait)
    if status >= 400:
        return Result(Outcome.FAILED, f"status {status}", octets)
    if outcome in {"HIT", "REVALIDATED"}:
        return Result(Outcome.FRESH, octets=octets)
    if "stored" in [part.strip() for part in cache_status.split(";")]:
        return Result(Outcome.STORED, octets=octets)
    # Of what is stale, one that is being validated is as good as stored.
    if outcome == "STALE":
        return Result(Outcome.FRESH, octets=octets)
    return Result(Outcome.NOT_STORED, detail or f"status {status}", octets)
