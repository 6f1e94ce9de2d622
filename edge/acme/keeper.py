"""Who sees to it that every certificate is there, and renewed in time."""

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.acme.folder import Folder
from edge.clock import Clock
from edge.errors import EdgeError
from edge.policy.renewal import renewal_time, retry_delay

log = logging.getLogger("edge.acme")

Names = tuple[str, ...]
#: Issues a certificate and puts it in its file; blocks.  NotIssued says why it could not.
Issue = Callable[[Names], None]
#: The span of validity of a certificate file: its names, and from when until when, in seconds.
Validity = Callable[[Names], tuple[frozenset[str], float, float]]

# The clock may jump, and files may be removed: the longest time without a look.
_LONGEST_WAIT = 60.0


class NotIssued(EdgeError):
    """An authority does not issue the certificate that was asked for, or cannot be asked."""


def _chance() -> float:
    return secrets.randbelow(1 << 20) / (1 << 20)


@dataclass(slots=True)
class _Care:
    """What is known of one certificate: failures in a row, when to try again, and its share of chance."""

    failures: int = 0
    not_sooner: float = 0.0
    jitter: float = field(default_factory=_chance)


class Keeper:
    """Keeps certificates for groups of names, one after the other.

    Args:
        folder: where they are.
        issue: asks for one.
        validity: reads one; EdgeError when it cannot be.
        clock: the wall clock.
        count: told of what is issued and what fails.
    """

    def __init__(
        self, folder: Folder, issue: Issue, validity: Validity, clock: Clock, count: Callable[[str], None]
    ) -> None:
        self._folder, self._issue, self._validity = folder, issue, validity
        self._clock, self._count = clock, count
        self._care: dict[Names, _Care] = {}

    async def keep_up(self, groups: Sequence[Names]) -> None:
        """Keep the certificate of each group, until cancelled."""
        self._folder.clean()
        while True:
            for names in groups:
                if self._clock.now() >= self._due(names):
                    await self._renew(names)
            next_due = min(map(self._due, groups))
            await asyncio.sleep(min(max(next_due - self._clock.now(), 0.0), _LONGEST_WAIT))

    def _due(self, names: Names) -> float:
        """Return when to ask for a certificate for `names`."""
        care = self._care.setdefault(names, _Care())
        if not self._folder.is_issued(names):
            return care.not_sooner
        try:
            covered, not_before, not_after = self._validity(names)
        except EdgeError:
            return care.not_sooner
        if not covered.issuperset(names):
            return care.not_sooner
        return max(care.not_sooner, renewal_time(not_before, not_after, care.jitter))

    async def _renew(self, names: Names) -> None:
        care, title = self._care[names], ", ".join(names)
        try:
            await in_daemon_thread(lambda: self._issue(names))
            if self._due(names) <= self._clock.now():
                # Asked for again and again otherwise.
                raise NotIssued("what was issued is for other names, or for another time")  # noqa: TRY301
        except NotIssued as error:
            care.failures += 1
            delay = retry_delay(care.failures, care.jitter)
            care.not_sooner = self._clock.now() + delay
            self._count("certificate-not-issued")
            log.warning("no certificate for %s, what is shown stays; again in %.0f s: %s", title, delay, error)
        else:
            self._care[names] = _Care()
            self._count("certificate-issued")
            log.info("a certificate was issued for %s", title)


async def in_daemon_thread(work: Callable[[], None]) -> None:
    """Wait for `work` in a thread that does not hold up the end of the process, as those of the executor do."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if ended.cancelled():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        failure = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, failure)

    threading.Thread(target=run, name="acme", daemon=True).start()
    await ended
