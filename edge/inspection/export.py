"""Content of stored responses as files."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge.errors import StoreDamaged, StoreError
from edge.inspection import shown
from edge.inspection.selection import Facts
from edge.store.inspect import Inspection

MANIFEST = "manifest.jsonl"
_LONGEST = 120
_unsafe = re.compile(r"[^A-Za-z0-9._-]+")


def write_file(pieces: Iterator[bytes], path: Path) -> int:
    """Write `pieces` to the file at `path` and return their length; when something fails, nothing is at `path` anew.

    StoreError: the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a file")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            length = _write(fd, pieces)
            part.replace(path)
        except BaseException:
            part.unlink()
            raise
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return length


@dataclass(slots=True)
class Exported:
    """How many stored responses were written, how many of them not whole, and how many could not be."""

    written: int = 0
    octets: int = 0
    incomplete: int = 0
    failed: int = 0


class Folder:
    """A new or empty directory that content is exported to, with a manifest beside it."""

    def __init__(self, path: Path) -> None:
        """Make the directory at `path`; StoreError if it cannot be made, or holds something."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            if next(path.iterdir(), None) is not None:
                raise StoreError(f"{path} is not empty")
            # From here on through the directory itself, wherever its name may lead later.
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._manifest = os.fdopen(self._open(MANIFEST), "w", encoding="ascii")
        except OSError as error:
            raise StoreError(f"{path} cannot be exported to: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._manifest.close()
        os.close(self._folder)

    def add(self, inspection: Inspection, facts: Facts) -> int:
        """Write one content and its line of the manifest, and return its length; StoreError if that fails."""
        stored, name = facts.stored, file_name(facts)
        try:
            fd = self._open(name)
            try:
                length = _write(fd, inspection.content(stored))
            except (StoreDamaged, OSError):
                os.unlink(name, dir_fd=self._folder)
                raise
            record = facts.record() | {
                "file": name,
                "fields": [[shown.text(field), shown.text(value)] for field, value in stored.fields],
                "ranges": stored.ranges,
                "request_time": shown.instant(stored.request_time),
                "response_time": shown.instant(stored.response_time),
            }
            self._manifest.write(shown.line(record) + "\n")
        except OSError as error:
            raise StoreError(f"{name} cannot be written: {error.strerror}") from error
        return length

    def _open(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o644, dir_fd=self._folder)


def file_name(facts: Facts) -> str:
    """Return a name that is safe in any directory and that no other stored response has."""
    readable = _unsafe.sub("_", facts.url.partition("://")[2] or facts.url).strip("._-")[:_LONGEST]
    return f"{readable or 'content'}-{facts.stored.generation.hex()}"


def _write(fd: int, pieces: Iterator[bytes]) -> int:
    with os.fdopen(fd, "wb") as file:
        return sum(file.write(piece) for piece in pieces)
