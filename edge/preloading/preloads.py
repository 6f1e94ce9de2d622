"""Running jobs: each works through its URLs, as many at a time as it may, and goes on after a restart."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

from edge.clock import Clock
from edge.errors import EdgeError, StoreError
from edge.preloading.fetching import Fetcher, NotHad
from edge.preloading.job import MOST, Job, Limits, Outcome, Result, State
from edge.preloading.kept import Kept
from edge.preloading.pace import Pace, before_retry, until_open
from edge.preloading.sitemap import LONGEST, BadSitemap, Sitemap, read_sitemap
from edge.tasks import spawn

log = logging.getLogger("edge.preloading")

#: So many jobs may be under way, and so many that are over are told of.
MOST_JOBS, MOST_OVER = 50, 100
# The window is looked at again so often, since the clock may be set.
_LOOK_SECONDS = 60.0
# What the disk does not take is tried once more after so many seconds.
_DISK_SECONDS = 10.0


class TooManyJobs(EdgeError):
    """There are as many jobs under way as there may be."""


class Preloads:
    """The preload jobs of a node.

    Args:
        fetcher: asks for a URL.
        kept: where jobs are kept.
        clock: when windows are open.
        flush: returns once all that was stored so far survives the end of every worker.
        tell: told of each job that begins or ends, with a word and a sentence.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        kept: Kept,
        clock: Clock,
        *,
        flush: Callable[[], Awaitable[None]],
        tell: Callable[[str, str], None] = lambda _kind, _about: None,
    ) -> None:
        self._fetcher, self._kept, self._clock, self._flush, self._tell = fetcher, kept, clock, flush, tell
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Go on with the jobs that are kept."""
        try:
            jobs = await self._kept.jobs()
        except StoreError as error:
            log.error("no preload job goes on: %s", error)  # noqa: TRY400 - the disk's fault, not ours
            return
        for job in jobs:
            self._jobs[job.id] = job
            if not job.is_over:
                self._begin(job)

    async def close(self) -> None:
        """Stop working; what is not over goes on after the next start."""
        working = list(self._tasks.values())
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working)
        await self._fetcher.close()
        self._kept.close()

    def key(self, url: str) -> bytes:
        """Return the cache key of `url`; EdgeError, with a sentence, when it cannot be preloaded here."""
        return self._fetcher.key(url)

    def jobs(self) -> list[Job]:
        """Return the jobs, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def job(self, name: str) -> Job | None:
        """Return a job, None when there is none of this name."""
        return self._jobs.get(name)

    async def add(
        self, urls: Sequence[str], sitemaps: Sequence[str], limits: Limits, accept_encoding: str, by: str
    ) -> Job:
        """Begin a job, and return it once it survives the end of the process.

        Raises:
            TooManyJobs: there are too many.
            StoreError: it cannot be kept.
        """
        if len(self._tasks) >= MOST_JOBS:
            raise TooManyJobs(f"{MOST_JOBS} jobs are under way, more than which there may not be")
        job = Job(
            id=uuid4().hex[:12], by=by, created=self._clock.now(), limits=limits, accept_encoding=accept_encoding,
            sitemaps=list(sitemaps),
        )  # fmt: skip
        await self._kept.add(job)
        await self._kept.append(job, list(urls))
        self._jobs[job.id] = job
        self._begin(job)
        await self._forget_oldest()
        return job

    async def cancel(self, job: Job) -> None:
        """End a job; what was stored stays.  StoreError when that could not be noted."""
        if (task := self._tasks.get(job.id)) is not None:
            task.cancel()
            await asyncio.wait([task])
        if not job.is_over:
            await self._end(job, State.CANCELLED)

    def _begin(self, job: Job) -> None:
        self._tasks[job.id] = task = spawn(self._work_on(job), name=f"preload-{job.id}")
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    async def _work_on(self, job: Job) -> None:
        """Work through a job, as far as the disk lets it."""
        self._tell("preload", f"job {job.id} by {job.by}: {job.total:,} URLs and {len(job.sitemaps)} sitemaps")
        while True:
            try:
                while job.sitemaps:
                    await self._read_sitemap(job)
                pace = Pace(job.limits.rate)
                while urls := await self._kept.chunk(job, job.chunk):
                    results = await self._chunk(job, urls, pace)
                    for url, result in results:
                        job.count(url, result)
                    job.chunk += 1
                    # What the job says is stored is not to be lost by a kill that the job survives.
                    await self._flush()
                    await self._kept.save(job)
                await self._end(job, State.DONE)
            except StoreError as error:
                log.error("preload job %s waits for the disk: %s", job.id, error)  # noqa: TRY400 - no fault of ours
                await asyncio.sleep(_DISK_SECONDS)
            else:
                return

    async def _end(self, job: Job, state: State) -> None:
        job.end(state, self._clock.now())
        self._tell(
            "preload",
            f"job {job.id} is {state}: {job.stored:,} stored, {job.fresh:,} there already, {job.not_stored:,} not stored, "
            f"{job.failed:,} failed",
        )
        await self._kept.save(job)

    async def _read_sitemap(self, job: Job) -> None:
        """Read the first sitemap that is left, and add what it lists to the job."""
        url, left = job.sitemaps[0], job.sitemaps[1:]
        await self._open(job)
        try:
            found = await self._sitemap(url, MOST - job.total - len(left), job.limits.retries)
        except EdgeError as error:
            found = Sitemap([], [])
            job.count(url, Result(Outcome.FAILED, f"as a sitemap: {error}"))
        # One that names itself, or one before it, would never end.
        job.read.append(url)
        job.sitemaps = [*left, *(each for each in dict.fromkeys(found.sitemaps) if each not in {*left, *job.read})]
        await self._kept.append(job, found.urls)

    async def _sitemap(self, url: str, room: int, retries: int) -> Sitemap:
        """Return what a sitemap lists, if the job has room for so many; EdgeError, with a sentence, otherwise."""
        found = await asyncio.to_thread(read_sitemap, await self._content(url, retries))
        if len(found.urls) + len(found.sitemaps) > room:
            raise BadSitemap(f"the job would have more than {MOST:,} URLs with it")
        return found

    async def _content(self, url: str, retries: int) -> bytes:
        tried = 0
        while True:
            try:
                return await self._fetcher.content(url, LONGEST)
            except NotHad as error:
                tried += 1
                if not error.may_retry or tried > retries:
                    raise
                await asyncio.sleep(before_retry(tried, 0))

    async def _chunk(self, job: Job, urls: Sequence[str], pace: Pace) -> list[tuple[str, Result]]:
        results: list[tuple[str, Result]] = []
        left = iter(urls)

        async def work() -> None:
            for url in left:
                result = await self._fetch(job, url, pace)
                results.append((url, result))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(job.limits.concurrency, len(urls))):
                group.create_task(work())
        return results

    async def _fetch(self, job: Job, url: str, pace: Pace) -> Result:
        """Ask for a URL until there is no better answer to be had."""

        async def came(octets: int) -> None:
            await asyncio.sleep(pace.wait(octets, asyncio.get_running_loop().time()))

        tried = 0
        while True:
            await self._open(job)
            result = await self._fetcher.fetch(url, job.accept_encoding, came)
            tried += 1
            if not result.may_retry or tried > job.limits.retries:
                return result
            await asyncio.sleep(before_retry(tried, result.after))

    async def _open(self, job: Job) -> None:
        """Wait until the window of a job is open."""
        while wait := until_open(job.limits.window, self._clock.now()):
            job.state = State.WAITING
            await asyncio.sleep(min(wait, _LOOK_SECONDS))
        job.state = State.RUNNING

    async def _forget_oldest(self) -> None:
        over = [job for job in self.jobs() if job.is_over]
        for job in over[MOST_OVER:]:
            del self._jobs[job.id]
            await self._kept.forget(job)
