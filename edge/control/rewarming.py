"""After a purge, what it hit of the URLs with the most hits is asked for once more, before the visitors do."""

import logging
from collections.abc import Sequence

from edge.control.inquiries import MOST_LEADERS, AboutTop, Inquiries
from edge.errors import EdgeError
from edge.policy.purging import Mode, Purge, PurgeTable, Selector
from edge.preloading.job import CODINGS, Job, Limits
from edge.preloading.preloads import Preloads

log = logging.getLogger("edge.control")


class Rewarming:
    """Begins a preload job after a purge.

    Args:
        inquiries: tells what leads.
        preloads: runs the job.
        schemes: those that clients ask for URLs by.
    """

    def __init__(self, inquiries: Inquiries, preloads: Preloads, schemes: Sequence[str]) -> None:
        self._inquiries, self._preloads, self._schemes = inquiries, preloads, schemes

    async def begin(self, count: int, selectors: Sequence[Selector], by: str) -> str:
        """Begin a job for the first `count` of the leading URLs that may have been purged, and return its id.

        It is "" when there is none of them, or the job cannot begin, which the log tells of: the purge is in force.
        """
        table = PurgeTable()
        table.apply(Purge(1, 0.0, Mode.HARD, tuple(selectors)))
        try:
            leaders = (await self._inquiries.top(AboutTop("hits", MOST_LEADERS))).leaders
            urls = [url for leader in leaders for url in self._purged(f"{leader.host}{leader.path}", table)]
            job = await self._job(urls[: count * len(self._schemes)], by) if urls else None
        except EdgeError as error:
            log.warning("nothing is fetched anew after the purge: %s", error)
            return ""
        return "" if job is None else job.id

    async def _job(self, urls: list[str], by: str) -> Job:
        return await self._preloads.add(urls, (), Limits(), CODINGS, by)

    def _purged(self, rest: str, table: PurgeTable) -> list[str]:
        """Return the URLs with what follows the scheme, if the purge may have hit them; none that cannot be asked for."""
        try:
            # What was purged by URL is of one scheme.
            return [
                url for scheme in self._schemes if table.may_hit(self._preloads.key(url := f"{scheme}://{rest}"), 0)
            ]
        except EdgeError:
            return []
