"""Contents by their SHA-256, each in a file of its own that is written once.

What comes in is only believed once it was synced to the disk: until then it lies apart, and is gone with the process.
"""

import ctypes
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from edge.errors import StoreDamaged, StoreError, StoreFull

_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch
_libc = ctypes.CDLL(None, use_errno=True)


class Blobs:
    """The contents in a directory, for the one process that writes them."""

    def __init__(self, directory: Path, quota: int) -> None:
        """Use `directory`, which is made, for at most `quota` octets; StoreError if it cannot be used."""
        self._kept, self._incoming, self._quota = directory / "blobs", directory / "incoming", quota
        self._arrived: dict[str, int] = {}
        try:
            self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._incoming.mkdir(mode=0o700)
            self._sizes = {file.name: file.stat().st_size for file in self._kept.glob("??/*") if _is_hash(file.name)}
        except OSError as error:
            raise StoreError(f"{directory} cannot be used: {error.strerror}") from error
        self._used, self._lock = sum(self._sizes.values()), threading.Lock()

    @property
    def room(self) -> int:
        """How many octets fit in the quota still."""
        return self._quota - self._used

    def lacking(self, contents: Mapping[str, int]) -> list[str]:
        """Return which contents, given with their sizes, are not here."""
        return [name for name, size in contents.items() if size not in {self._sizes.get(name), self._arrived.get(name)}]

    def incoming(self, name: str, size: int) -> "Incoming":
        """Begin to take in a content; StoreFull when it does not fit."""
        if size > self.room:
            raise StoreFull("the quota for pushed content is used up")
        return Incoming(self, self._incoming, name, size)

    def arrived(self, name: str, size: int) -> None:
        """Note that a content is whole, though not synced yet."""
        if name not in self._sizes and name not in self._arrived:
            self._add(size)
        self._arrived[name] = size

    def settle(self) -> None:
        """Sync everything that arrived; StoreError if the disk refuses."""
        arrived, self._arrived = self._arrived, {}
        if not arrived:
            return
        try:
            sync_files(self._incoming)
            for folder in {name[:2] for name in arrived}:
                (self._kept / folder).mkdir(mode=0o700, exist_ok=True)
            for name in arrived:
                (self._incoming / name).replace(self._kept / name[:2] / name)
            sync_files(self._kept)
        except OSError as error:
            fresh = {name: size for name, size in arrived.items() if name not in self._sizes}
            for path in (
                where for name in fresh for where in (self._incoming / name, blob_path(self._kept.parent, name))
            ):
                with suppress(OSError):
                    path.unlink()
            self._add(-sum(fresh.values()))
            raise StoreError(f"contents cannot be written: {error.strerror}") from error
        self._sizes.update(arrived)

    def sweep(self, used: Iterable[str]) -> int:
        """Delete every content that was settled and is not `used`; return how many octets that gave.

        StoreError if the disk refuses; what was deleted until then is.
        """
        freed = 0
        try:
            for name in self._sizes.keys() - set(used):
                blob_path(self._kept.parent, name).unlink(missing_ok=True)
                freed += self._sizes.pop(name)
        except OSError as error:
            raise StoreError(f"contents cannot be deleted: {error.strerror}") from error
        finally:
            self._add(-freed)
        return freed

    def _add(self, octets: int) -> None:
        with self._lock:
            self._used += octets


class Incoming:
    """One content that is being taken in."""

    def __init__(self, blobs: Blobs, directory: Path, name: str, size: int) -> None:
        self._blobs, self._directory, self._name, self._size = blobs, directory, name, size
        self._left, self._hash = size, hashlib.sha256()
        try:
            fd, path = tempfile.mkstemp(dir=directory)
        except OSError as error:
            raise StoreFull(f"contents cannot be written: {error.strerror}") from error
        self._file, self._path = os.fdopen(fd, "wb"), Path(path)

    @property
    def left(self) -> int:
        """How many octets are to come."""
        return self._left

    def write(self, data: bytes | memoryview) -> None:
        """Append octets, no more than are to come; StoreFull if the disk refuses."""
        try:
            self._file.write(data)
        except OSError as error:
            self.drop()
            raise StoreFull(f"contents cannot be written: {error.strerror}") from error
        self._hash.update(data)
        self._left -= len(data)

    def finish(self) -> None:
        """Keep it; StoreDamaged if it is not what was announced."""
        if self._left or self._hash.hexdigest() != self._name:
            self.drop()
            raise StoreDamaged(f"what came is not the content {self._name}")
        try:
            self._file.close()
            self._path.replace(self._directory / self._name)
        except OSError as error:
            # A full disk may tell so no sooner than here.
            self._path.unlink(missing_ok=True)
            raise StoreFull(f"contents cannot be written: {error.strerror}") from error
        self._blobs.arrived(self._name, self._size)

    def drop(self) -> None:
        """Forget it; does nothing once it is kept."""
        if not self._file.closed:
            # It writes what it has in hand, which the disk may refuse.
            with suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)


def blob_path(directory: Path, name: str) -> Path:
    """Return where a content is."""
    return directory / "blobs" / name[:2] / name


def sync_files(directory: Path) -> None:
    """Return once all that was written to the file system of `directory` is on the disk; OSError if it is not."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        # One call for ten thousand files.
        if _libc.syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)


def write_synced(path: Path, data: bytes) -> None:
    """Replace a file at once and for good; OSError leaves the old one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise
    _sync_folder(path.parent)


def remove_synced(path: Path) -> None:
    """Remove a file, if it is there, for good; OSError if the disk refuses."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
