"""Versions of sites as the admin plane takes them, and lets them be served by all workers at once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web

from edge.clock import Clock
from edge.control.endpoint import BY, audit
from edge.control.problems import Fault, problem
from edge.errors import EdgeError, ParseError, PurgeNotWritten, StoreDamaged, StoreError, StoreFull
from edge.policy.purging import Mode
from edge.policy.purging_targets import tag
from edge.published import bundle
from edge.published.manifest import Manifest, Version, faults
from edge.published.versions import Active, Conflict, Versions
from edge.purges.node import NodePurges

#: How long a sender may pause within a bundle, seconds.
PAUSE_SECONDS = 30.0
_PIECE, _MOST_FAULTS = 256 << 10, 20
Returned = TypeVar("Returned")


class Draft(msgspec.Struct, frozen=True):
    """A version that was handed in, and the SHA-256 of each content that the node lacks of it."""

    id: str
    lacks: list[str]


class Taken(msgspec.Struct, frozen=True):
    """How many contents a bundle had."""

    contents: int


class Published(msgspec.Struct, frozen=True):
    """Which version of a site is served now; null when none is."""

    site: str
    id: str | None


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version the caller believes to be served ("" for none); null for whichever is."""

    expected: str | None = None


class Summary(msgspec.Struct, frozen=True):
    """A version, in numbers."""

    id: str
    site: str
    by: str
    time: float
    paths: int
    octets: int
    is_active: bool


class Listing(msgspec.Struct, frozen=True):
    """The versions of a site, the newest first."""

    versions: list[Summary]


class Difference(msgspec.Struct, frozen=True):
    """What a version has that another has not, lacks, and has with another content or other fields: paths."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class PruneRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of the newest versions of a site to keep; the one that is served is kept in any case."""

    keep: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Pruned(msgspec.Struct, frozen=True):
    """The versions that were deleted, and how many octets that gave."""

    removed: list[str]
    octets: int


class Publishing:
    """The versions of the sites of one node, for those who may."""

    def __init__(self, versions: Versions | None, sites: Sequence[str], purges: NodePurges, *, clock: Clock) -> None:
        """Publish `versions`, None where nothing can be; `purges` tells the workers."""
        self._versions, self._sites, self._purges, self._clock = versions, frozenset(sites), purges, clock
        # One change at a time; contents come in beside it.
        self._changing = asyncio.Lock()

    async def draft(self, request: web.Request, manifest: Manifest) -> Draft | web.Response:
        """Keep a manifest as a version that is not served yet."""
        versions = self._of(manifest.site)
        if isinstance(versions, web.Response):
            return versions
        found = []
        for pointer, sentence in await asyncio.to_thread(lambda: list(faults(manifest))):
            found.append(Fault(pointer, sentence))
        if found:
            return problem(422, "The manifest is not kept: not all of it is right.", errors=found[:_MOST_FAULTS])

        def add() -> Draft | web.Response:
            version = Version("", "", 0.0, manifest)
            contents = version.contents()
            lacks = versions.blobs.lacking(contents)
            if sum(contents[name] for name in lacks) > versions.blobs.room:
                return problem(507, f"It needs more than the {versions.blobs.room} octets that push.max_size leaves.")
            kept = versions.add(manifest, request[BY].name, self._clock.now())
            return Draft(kept.id, lacks)

        return await self._changed(add)

    async def take(self, request: web.Request) -> Taken | web.Response:
        """Take contents in; those that came whole before a fault are kept."""
        versions = self._versions
        if versions is None:
            return _nothing()
        coding = request.headers.get("Content-Encoding", "identity")
        if request.content_type != bundle.MEDIA_TYPE or coding not in bundle.CODINGS:
            return problem(415, "The content has to be a bundle.", {"Accept": bundle.MEDIA_TYPE})
        # The admin plane has taken the coding off already.
        taken = bundle.Bundle(versions.blobs)
        try:
            while True:
                async with asyncio.timeout(PAUSE_SECONDS):
                    piece = await request.content.read(_PIECE)
                if not piece:
                    break
                await asyncio.to_thread(taken.feed, piece)
            taken.end()
        except TimeoutError:
            return problem(408, "The content did not come in time.")
        except (ParseError, StoreDamaged, web.RequestPayloadError, ValueError) as error:
            return problem(422, f"{error}." if isinstance(error, EdgeError) else "The content is malformed.")
        except StoreFull:
            return problem(507, "There is no room for it: see push.max_size, and the log.")
        finally:
            taken.drop()
        return Taken(taken.count)

    async def activate(self, request: web.Request, id: str, expected: str | None) -> Published | web.Response:  # noqa: A002 - what it is called
        """Let a version be served by every worker."""
        version = await self._version(id)
        if isinstance(version, web.Response):
            return version
        site, by = version.manifest.site, request[BY].name
        return await self._point(
            site, lambda versions: versions.activate(version, by, self._clock.now(), expected=expected), by
        )

    async def rollback(self, request: web.Request, site: str, expected: str | None) -> Published | web.Response:
        """Let the version before be served again."""
        by = request[BY].name
        return await self._point(
            site, lambda versions: versions.rollback(site, by, self._clock.now(), expected=expected), by
        )

    async def withdraw(self, request: web.Request, site: str) -> Published | web.Response:
        """Let nothing published be served of a site."""

        def withdraw(versions: Versions) -> None:
            versions.withdraw(site, expected=None)

        return await self._point(site, withdraw, request[BY].name)

    async def listing(self, site: str) -> Listing | web.Response:
        """Return the versions of a site."""
        versions = self._of(site)
        if isinstance(versions, web.Response):
            return versions

        def look() -> Listing:
            active = versions.active(site)
            found = [version for id_ in reversed(versions.ids(site)) if (version := versions.get(id_)) is not None]
            return Listing([_summary(version, active) for version in found])

        return await self._changed(look)

    async def difference(self, id: str, against: str) -> Difference | web.Response:  # noqa: A002 - what it is called
        """Return what distinguishes a version from another."""
        version, other = await self._version(id), await self._version(against)
        if isinstance(version, web.Response):
            return version
        if isinstance(other, web.Response):
            return other
        new = {entry.path: entry for entry in version.manifest.entries}
        old = {entry.path: entry for entry in other.manifest.entries}
        changed = [path for path in new.keys() & old.keys() if new[path] != old[path]]
        return Difference(sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys()), sorted(changed))

    async def prune(self, request: web.Request, site: str, keep: int) -> Pruned | web.Response:
        """Delete old versions, and what only they consist of."""
        versions = self._of(site)
        if isinstance(versions, web.Response):
            return versions
        pruned = await self._changed(lambda: Pruned(*versions.prune(site, keep)))
        if isinstance(pruned, Pruned):
            audit.info("%s pruned %d versions of %s", request[BY].name, len(pruned.removed), site)
        return pruned

    async def _point(
        self, site: str, change: Callable[[Versions], Active | None], by: str
    ) -> Published | web.Response:  # fmt: skip
        versions = self._of(site)
        if isinstance(versions, web.Response):
            return versions
        async with self._changing:
            try:
                before = await asyncio.to_thread(versions.active, site)
                active = await asyncio.to_thread(change, versions)
                try:
                    # The new epoch is what lets every worker look again, at its next request.
                    await self._purges.purge(Mode.HARD, (tag(f"published/{site}"),), self._clock.now())
                except PurgeNotWritten:
                    await asyncio.to_thread(versions.restore, site, before)
                    return problem(507, "The workers could not be told: nothing has changed.")
            except Conflict as error:
                return problem(409, f"{error}.")
            except StoreError:
                return problem(507, "It could not be written to the disk: nothing has changed.")
        audit.info("%s published %s of %s", by, "nothing" if active is None else active.id, site)
        return Published(site, None if active is None else active.id)

    async def _changed(self, act: Callable[[], Returned]) -> Returned | web.Response:
        async with self._changing:
            try:
                return await asyncio.to_thread(act)
            except StoreError:
                return problem(507, "The disk refuses.")

    async def _version(self, id: str) -> Version | web.Response:  # noqa: A002 - what it is called
        versions = self._versions
        if versions is None:
            return _nothing()
        found = await self._changed(lambda: versions.get(id))
        return problem(404, "There is no such version.") if found is None else found

    def _of(self, site: str) -> Versions | web.Response:
        if self._versions is None:
            return _nothing()
        return self._versions if site in self._sites else problem(404, "There is no such site.")


def _nothing() -> web.Response:
    return problem(503, "Nothing can be published here: push.path is not set.")


def _summary(version: Version, active: Active | None) -> Summary:
    octets = sum(version.contents().values())
    is_active = active is not None and active.id == version.id
    site, paths = version.manifest.site, len(version.manifest.entries)
    return Summary(version.id, site, version.by, version.time, paths, octets, is_active)
