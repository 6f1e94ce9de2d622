"""Volumes: a store for each site with a quota of its own, and one for all others, behind one `Store` port.

A log that is reclaimed from its oldest end frees whole segments, in which the responses of all its sites lie mixed.
There a site over its quota could only make room at the cost of others, or be refused until everybody's log has turned.
So such a site has a log of its own: it reclaims only what is its own, nobody reclaims that, and no quota is exceeded.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Self

from edge.caching.stored import StoredResponse
from edge.clock import Clock
from edge.errors import ParseError, StoreError
from edge.policy.key import parse_key
from edge.ports import Again, Token
from edge.store.disk import Disk, Stats
from edge.store.fill import Fill
from edge.store.passing import Passing
from edge.store.reader import DiskSource, MemorySource
from edge.store.settings import Settings
from edge.store.shared import Shared

log = logging.getLogger("edge.store")

#: Where the volumes of sites lie in the node directory, each under the name of its site.
FOLDER = "sites"
# Keys whose volume is remembered.
_REMEMBERED = 1 << 16


class Volumes:
    """The stores of a node."""

    def __init__(self, common: Disk, of_sites: Mapping[str, Disk], site_of: Callable[[bytes], str | None]) -> None:
        """Divide keys by what `site_of` says of their host; `common` takes those of all other sites."""
        self._common, self._of_sites, self._site_of = common, of_sites, site_of
        self._volume = lru_cache(_REMEMBERED)(self._find)

    @classmethod
    async def start(
        cls,
        path: Path,
        settings: Settings,
        clock: Clock,
        *,
        quotas: Mapping[str, int],
        site_of: Callable[[bytes], str | None],
        shared: Shared | None = None,
    ) -> Self:
        """Open the node directory at `path`; each site in `quotas` has its part of all that `settings` give.

        StoreError: a volume is in use, of another format, not ours, or too small.
        """
        common = await Disk.start(path, settings.part(settings.quota - sum(quotas.values())), clock, shared)
        of_sites: dict[str, Disk] = {}
        try:
            # Only now: the lock of the node directory is ours.
            await asyncio.to_thread(_delete_others, path / FOLDER, quotas)
            for name, part in quotas.items():
                of_sites[name] = await Disk.start(path / FOLDER / name, settings.part(part), clock, shared)
        except StoreError:
            await _close([common, *of_sites.values()])
            raise
        return cls(common, of_sites, site_of)

    async def close(self) -> None:
        """Close every volume."""
        await _close(self._all)

    async def retire(self) -> None:
        """Let another process have every volume, and find nothing from now on."""
        async with asyncio.TaskGroup() as group:
            for disk in self._all:
                group.create_task(disk.retire())

    async def keep_only(self, is_kept: Callable[[bytes], bool]) -> None:
        """Remove what is stored under the key hashes that are not to be kept, and wait until that is written."""
        for disk in self._all:
            await disk.keep_only(is_kept)

    async def flush(self) -> None:
        """Write what waits in every volume now; StoreError if a disk does not take it."""
        for disk in self._all:
            await disk.flush()

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Return the stored responses of `key`, the newest response first."""
        return await self._volume(key).lookup(key)

    def lookup_nowait(self, key: bytes) -> Sequence[StoredResponse] | None:
        """Return what `lookup` would, if it would not wait and nothing is damaged; None otherwise."""
        return self._volume(key).lookup_nowait(key)

    def read_nowait(self, stored: StoredResponse) -> bytes | None:
        """Return the whole of a small content if it can be had without waiting, and is not damaged; None otherwise."""
        return self._volume(stored.key).read_nowait(stored)

    def generation(self) -> bytes:
        """Return a generation that was never used before, in any volume."""
        return self._common.generation()

    def keep(self, stored: StoredResponse, content: bytes) -> bool:
        """Store a whole response of a new generation without waiting; False when only a writer can."""
        return self._volume(stored.key).keep(stored, content)

    def open(self, stored: StoredResponse, start: int, end: int) -> DiskSource | MemorySource:
        """Return the octets [start, end), which `stored.ranges` holds."""
        return self._volume(stored.key).open(stored, start, end)

    async def writer(
        self,
        key: bytes,
        *,
        length: int | None,
        extends: StoredResponse | None = None,
        start: int = 0,
        pinned: bool = False,
    ) -> Fill | Passing:
        """Begin to store content; StoreFull if it does not fit its volume."""
        volume = self._volume(key)
        return await volume.writer(key, length=length, extends=extends, start=start, pinned=pinned)

    def put(self, stored: StoredResponse) -> None:
        """Replace the head of a stored response, its content unchanged."""
        self._volume(stored.key).put(stored)

    async def pin(self, key: bytes, generation: bytes, *, pinned: bool = True) -> bool:
        """Let a stored response never be reclaimed, or be as any other again; return whether it is there."""
        return await self._volume(key).pin(key, generation, pinned=pinned)

    def token(self, key: bytes) -> Token | None:
        """Return what says for how long `lookup` of `key` finds the same; None when that is not in memory."""
        return self._volume(key).token(key)

    def watch(self, key: bytes, found: Sequence[StoredResponse]) -> Token | None:
        """Return what says for how long `lookup` of `key` finds what `lookup_nowait` has just `found`."""
        return self._volume(key).watch(key, found)

    def again(self, stored: StoredResponse) -> Again | None:
        """Return what reads the whole of a small content again and again; None when it is not small."""
        return self._volume(stored.key).again(stored)

    def at_hand(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content when it is in memory, None otherwise."""
        return self._volume(stored.key).at_hand(stored)

    def visit(self, stored: StoredResponse) -> None:
        """Note that `stored` was used without being looked up."""
        self._volume(stored.key).visit(stored)

    async def remove(self, key: bytes, generation: bytes | None = None) -> int:
        """Make one generation, or all stored responses of `key`, unfindable; return how many heads there were."""
        return await self._volume(key).remove(key, generation)

    def stats(self) -> Stats:
        """Return the sums over all volumes; content is taken when all of them take it."""
        each = [disk.stats() for disk in self._all]
        sums = {field.name: sum(getattr(stats, field.name) for stats in each) for field in fields(Stats)}
        return Stats(**sums | {"is_storing": all(stats.is_storing for stats in each)})

    @property
    def _all(self) -> list[Disk]:
        return [self._common, *self._of_sites.values()]

    def _find(self, key: bytes) -> Disk:
        site = None
        # A key that is not made of a target belongs to no site.
        with suppress(ParseError, ValueError):
            site = self._site_of(parse_key(key).host)
        return self._common if site is None else self._of_sites.get(site, self._common)


async def _close(disks: Sequence[Disk]) -> None:
    for disk in disks:
        await disk.close()


def _delete_others(folder: Path, quotas: Mapping[str, int]) -> None:
    """Delete the volumes of sites that have no quota any more: nothing would count what they take."""
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in quotas and (path / "control").is_file():
                log.warning("%s is deleted: its site has no quota of its own any more", path)
                shutil.rmtree(path)
    except OSError as error:
        raise StoreError(f"{folder} holds volumes that cannot be deleted: {error.strerror}") from error
