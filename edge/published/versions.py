"""The versions of each site, and which one is active: a file that is replaced at once, so that a crash changes nothing."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from edge.errors import EdgeError, StoreError
from edge.published.blobs import Blobs, remove_synced, write_synced
from edge.published.manifest import Manifest, Version

# So many versions back, a rollback goes.
_REMEMBERED = 50
_is_id = re.compile(r"[0-9]{6,12}-[0-9a-f]{8}").fullmatch


class Conflict(EdgeError):
    """What is there is not what the caller believes; the sentence says what is."""

    status = 409


class Active(msgspec.Struct, frozen=True):
    """Which version of a site is served, since when, by whose doing, and the ones before it, the last one last."""

    id: str
    by: str
    time: float
    before: list[str] = []


class Versions:
    """The versions in a directory, for the one process that writes them."""

    def __init__(self, directory: Path, blobs: Blobs) -> None:
        self.directory, self.blobs = directory, blobs

    def sites(self) -> list[str]:
        """Return the sites that have versions."""
        return sorted(unquote(folder.name) for folder in (self.directory / "versions").glob("*"))

    def ids(self, site: str) -> list[str]:
        """Return the ids of a site's versions, the oldest first."""
        return sorted(file.stem for file in self._folder(site).glob("*.json") if _is_id(file.stem))

    def get(self, id: str) -> Version | None:  # noqa: A002 - what it is called
        """Return a version; StoreError if it cannot be read."""
        if _is_id(id) is None:
            return None
        found = list((self.directory / "versions").glob(f"*/{id}.json"))
        return read_version(found[0]) if found else None

    def active(self, site: str) -> Active | None:
        """Return which version of a site is active."""
        return read_active(active_path(self.directory, site))

    def add(self, manifest: Manifest, by: str, now: float) -> Version:
        """Keep a manifest as a version; StoreError if the disk refuses.  The same one as the newest is that."""
        site = manifest.site
        digest = hashlib.sha256(msgspec.json.encode(manifest)).hexdigest()[:8]
        ids = self.ids(site)
        if ids and ids[-1].endswith(digest):
            newest = self.get(ids[-1])
            if newest is not None and newest.manifest == manifest:
                return newest
        numbers = [int(id_.partition("-")[0]) for each in self.sites() for id_ in self.ids(each)]
        version = Version(f"{max(numbers, default=0) + 1:06d}-{digest}", by, now, manifest)
        self._write(self._folder(site) / f"{version.id}.json", msgspec.json.encode(version))
        return version

    def activate(self, version: Version, by: str, now: float, *, expected: str | None) -> Active:
        """Let a version be the one that is served; Conflict, or StoreError, leaves the old one."""
        site = version.manifest.site
        active = self.active(site)
        self._expect(active, expected)
        lacking = self.blobs.lacking(version.contents())
        if lacking:
            raise Conflict(f"{len(lacking)} of its contents are not here yet")
        self.blobs.settle()
        if active is not None and active.id == version.id:
            return active
        before = [] if active is None else [*active.before, active.id][-_REMEMBERED:]
        return self._point(site, Active(version.id, by, now, before))

    def rollback(self, site: str, by: str, now: float, *, expected: str | None) -> Active:
        """Let the version before the active one be served again; Conflict when there is none."""
        active = self.active(site)
        self._expect(active, expected)
        kept = set(self.ids(site))
        before = [id_ for id_ in (active.before if active is not None else []) if id_ in kept]
        if not before:
            raise Conflict("there is no version to go back to")
        return self._point(site, Active(before[-1], by, now, before[:-1]))

    def restore(self, site: str, active: Active | None) -> None:
        """Put back what was active; StoreError if the disk refuses."""
        if active is None:
            self._remove(active_path(self.directory, site))
        else:
            self._point(site, active)

    def withdraw(self, site: str, *, expected: str | None) -> None:
        """Let nothing of a site be served from here any more."""
        self._expect(self.active(site), expected)
        self.restore(site, None)

    def prune(self, site: str, keep: int) -> tuple[list[str], int]:
        """Delete all versions of a site but the active and the newest; return which, and how many octets that gave."""
        active = self.active(site)
        ids = self.ids(site)
        gone = [id_ for id_ in ids[: max(0, len(ids) - keep)] if active is None or id_ != active.id]
        for id_ in gone:
            self._remove(self._folder(site) / f"{id_}.json")
        return gone, self.blobs.sweep(self._used())

    def _used(self) -> Iterable[str]:
        for site in self.sites():
            for id_ in self.ids(site):
                version = self.get(id_)
                yield from version.contents() if version is not None else ()

    def _expect(self, active: Active | None, expected: str | None) -> None:
        has = "" if active is None else active.id
        if expected is not None and expected != has:
            who = "nothing is published" if active is None else f"{active.id} was published by {active.by}"
            raise Conflict(f"{who}, not {expected or 'nothing'}")

    def _point(self, site: str, active: Active) -> Active:
        self._write(active_path(self.directory, site), msgspec.json.encode(active))
        return active

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_synced(path, data)
        except OSError as error:
            raise StoreError(f"{path.name} cannot be written: {error.strerror}") from error

    @staticmethod
    def _remove(path: Path) -> None:
        try:
            remove_synced(path)
        except OSError as error:
            raise StoreError(f"{path.name} cannot be removed: {error.strerror}") from error

    def _folder(self, site: str) -> Path:
        return version_folder(self.directory, site)


def version_folder(directory: Path, site: str) -> Path:
    """Return where the versions of a site are."""
    return directory / "versions" / quote(site, safe="")


def active_path(directory: Path, site: str) -> Path:
    """Return the file that says which version of a site is active."""
    return directory / "active" / quote(site, safe="")


def read_version(path: Path) -> Version:
    """Return a version; StoreError if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Version)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def read_active(path: Path) -> Active | None:
    """Return which version is active, None if none is; StoreError if that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Active)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
