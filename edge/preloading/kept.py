"""Jobs on disk: their URLs in chunks, and how far each has come, noted after each chunk."""

import asyncio
from pathlib import Path
from sqlite3 import Error as DatabaseError
from typing import Any

import msgspec
from diskcache import Timeout

from edge.durable import open_durable
from edge.errors import StoreDamaged, StoreError
from edge.preloading.job import CHUNK, Job

_JOBS = "jobs"


class Kept:
    """The jobs of a node.  Whatever is asked may raise StoreError."""

    def __init__(self, directory: Path) -> None:
        """Keep them in `directory`, which is made when there is a job."""
        self._directory = directory
        self._cache: Any = None

    async def jobs(self) -> list[Job]:
        """Return every job, the oldest first; what cannot be understood is left out."""
        return await asyncio.to_thread(self._all) if self._cache is not None or self._directory.exists() else []

    async def add(self, job: Job) -> None:
        """Keep a new job."""
        await asyncio.to_thread(self._do, self._add, job)

    async def save(self, job: Job) -> None:
        """Note how far a job has come."""
        await asyncio.to_thread(self._do, self._save, job)

    async def append(self, job: Job, urls: list[str]) -> None:
        """Add URLs to a job, and note what it says of itself."""
        await asyncio.to_thread(self._do, self._append, job, urls)

    async def chunk(self, job: Job, number: int) -> list[str]:
        """Return the URLs of one chunk; none behind the last."""
        found = await asyncio.to_thread(self._do, self._get, f"{job.id} {number}")
        return [each for each in found or [] if isinstance(each, str)]

    async def forget(self, job: Job) -> None:
        """Forget a job."""
        await asyncio.to_thread(self._do, self._forget, job)

    def close(self) -> None:
        """Close the files."""
        if self._cache is not None:
            self._cache.close()

    def _do(self, act: Any, *arguments: object) -> Any:  # noqa: ANN401 - what it does is the caller's
        self._cache = self._cache or open_durable(self._directory)
        try:
            return act(*arguments)
        except (DatabaseError, Timeout, OSError) as error:
            raise StoreError(f"{self._directory} cannot be used: {error}") from error

    def _all(self) -> list[Job]:
        found = []
        for name in self._do(self._get, _JOBS) or []:
            try:
                found.append(msgspec.convert(self._do(self._get, f"job {name}"), Job))
            except (StoreDamaged, msgspec.ValidationError):
                continue
        return found

    def _get(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return self._cache.get(name)

    def _add(self, job: Job) -> None:
        with self._cache.transact():
            self._cache.set(_JOBS, [*(self._cache.get(_JOBS) or []), job.id])
            self._save(job)

    def _save(self, job: Job) -> None:
        self._cache.set(f"job {job.id}", msgspec.to_builtins(job))

    def _append(self, job: Job, urls: list[str]) -> None:
        with self._cache.transact():
            # The last chunk may have room still.
            first, filled = divmod(job.total, CHUNK)
            last = (self._cache.get(f"{job.id} {first}") or [])[:filled]
            every = [*last, *urls]
            for number, at in enumerate(range(0, len(every), CHUNK), first):
                self._cache.set(f"{job.id} {number}", every[at : at + CHUNK])
            job.total += len(urls)
            self._save(job)

    def _forget(self, job: Job) -> None:
        with self._cache.transact():
            self._cache.set(_JOBS, [name for name in self._cache.get(_JOBS) or [] if name != job.id])
            for name in (f"job {job.id}", *(f"{job.id} {number}" for number in range(job.total // CHUNK + 1))):
                self._cache.delete(name)
