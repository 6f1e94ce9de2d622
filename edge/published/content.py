"""What is published, as a worker serves it: implements the exchange's port `Published`."""

import asyncio
import hashlib
import logging
import os
from collections import OrderedDict
from pathlib import Path
from urllib.parse import unquote

from edge.caching.stored import StoredResponse
from edge.errors import StoreDamaged, StoreError
from edge.ports import Piece
from edge.published.blobs import blob_path
from edge.published.manifest import Content, Entry, Version, plain
from edge.published.versions import read_active, read_version, version_folder
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.negotiation import best_coding

log = logging.getLogger("edge.published")

# Contents up to this are kept in memory, so many octets of them together; longer ones are read in such pieces.
_SMALL, _MEMORY, _PIECE = 256 << 10, 16 << 20, 256 << 10


class PublishedContent:
    """What is active in a directory.

    Attributes:
        sites: by name, what is served at each path.
    """

    def __init__(self, directory: Path | None) -> None:
        """Take in what is active now; without a directory, nothing ever is."""
        self._directory = directory
        self.sites: dict[str, dict[bytes, Entry]] = {}
        self._times: dict[str, float] = {}
        self._seen: dict[str, tuple[int, ...]] = {}
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._in_memory = 0
        self.refresh()

    def refresh(self) -> None:
        """Take in what has become active since; a version that cannot be read leaves the one before it."""
        if self._directory is None:
            return
        try:
            found = {unquote(file.name): file for file in (self._directory / "active").glob("[!.]*")}
        except OSError as error:
            log.error("what is published cannot be read: %s", error)  # noqa: TRY400 - no bug
            return
        for site in self.sites.keys() - found.keys():
            del self.sites[site], self._seen[site]
        for site, path in found.items():
            self._take(site, path, self._directory)

    def _take(self, site: str, path: Path, directory: Path) -> None:
        try:
            facts = path.stat()
            seen = facts.st_ino, facts.st_mtime_ns
            if self._seen.get(site) == seen:
                return
            active = read_active(path)
            if active is not None:
                version = read_version(version_folder(directory, site) / f"{active.id}.json")
                self.sites[site], self._seen[site] = by_path(version), seen
                self._times[site] = version.time
        except (OSError, StoreError) as error:
            log.error("what is published cannot be read: %s", error)  # noqa: TRY400 - no bug

    def covers(self, site: str, path: bytes) -> bool:
        """Return whether something is published at a path."""
        return plain(path) in self.sites.get(site, ())

    def find(self, site: str, request: Request) -> StoredResponse | None:
        """Return what is published for a request, in the coding that its client likes best."""
        path = plain(request.target.path)
        entry = self.sites.get(site, {}).get(path) if path is not None else None
        if entry is None:
            return None
        content, coding = Content(entry.sha256, entry.size), b""
        if entry.codings:
            best = best_coding(request.fields, [name.encode() for name in entry.codings])
            if best is not None and best != b"identity":
                content, coding = entry.codings[best.decode()], best
        name = content.sha256.encode()
        time = self._times[site]
        lines = [
            (b"content-type", entry.type.encode()),
            (b"etag", b'"%s"' % name[:32]),
            (b"last-modified", format_date(time)),
            *((b"content-encoding", coding) for _ in range(bool(coding))),
            *((b"vary", b"accept-encoding") for _ in range(bool(entry.codings))),
            *((key.lower().encode(), value.encode()) for key, value in entry.fields.items()),
        ]
        whole = ((0, content.size),) if content.size else ()
        return StoredResponse(
            name, bytes.fromhex(content.sha256[:16]), b"GET", (), 200, b"OK", FieldSection(lines), time, time,
            content.size, whole,
        )  # fmt: skip

    def at_hand(self, stored: StoredResponse) -> bytes | None:
        """Return the whole content when it is in memory, None otherwise."""
        return self.in_memory(stored.key.decode())

    def in_memory(self, name: str) -> bytes | None:
        """Return a content by its name when it is in memory, None otherwise."""
        return self._memory.get(name)

    def open(self, stored: StoredResponse, start: int, end: int) -> "Reading":
        """Return the octets [start, end); reading raises StoreDamaged when they are gone, or are not what was pushed."""
        return Reading(self, stored.key.decode(), stored.complete_length or 0, start, end)

    def load(self, name: str) -> bytes:
        """Return a whole content, from memory if it is there; StoreDamaged if it is not what was pushed.  Waits for the disk."""
        content = self._memory.get(name)
        if content is not None:
            return content
        try:
            content = self._path(name).read_bytes()
        except OSError as error:
            raise StoreDamaged(f"the content {name} cannot be read") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise StoreDamaged(f"the content {name} is damaged")
        return content

    def remember(self, name: str, content: bytes) -> None:
        """Keep a content in memory, instead of those that were not read for the longest time."""
        if name in self._memory:
            self._memory.move_to_end(name)
            return
        self._memory[name] = content
        self._in_memory += len(content)
        while self._in_memory > _MEMORY:
            self._in_memory -= len(self._memory.popitem(last=False)[1])

    def file(self, name: str) -> int:
        """Return a descriptor of a content; StoreDamaged if it is gone."""
        try:
            return os.open(self._path(name), os.O_RDONLY)
        except OSError as error:
            raise StoreDamaged(f"the content {name} cannot be read") from error

    def _path(self, name: str) -> Path:
        # Nothing is found without a directory.
        return blob_path(self._directory or Path(), name)


class Reading:
    """A content, or a part of it, that is being read: what is read whole is compared with its hash before it ends."""

    def __init__(self, owner: PublishedContent, name: str, size: int, start: int, end: int) -> None:
        self._owner, self._name, self._size, self._at, self._end = owner, name, size, start, end
        self._fd = -1
        self._hash = hashlib.sha256() if (start, end) == (0, size) else None

    async def read(self) -> Piece:
        """Return the next piece, b"" at the end."""
        if self._at >= self._end:
            return b""
        if self._size <= _SMALL:
            content = self._owner.in_memory(self._name)
            if content is None:
                content = await asyncio.to_thread(self._owner.load, self._name)
            self._owner.remember(self._name, content)
            piece: Piece = content if (self._at, self._end) == (0, self._size) else content[self._at : self._end]
        else:
            piece = await asyncio.to_thread(self._piece)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _piece(self) -> bytes:
        if self._fd < 0:
            self._fd = self._owner.file(self._name)
        try:
            piece = os.pread(self._fd, min(_PIECE, self._end - self._at), self._at)
        except OSError as error:
            raise StoreDamaged(f"the content {self._name} cannot be read") from error
        if not piece:
            raise StoreDamaged(f"the content {self._name} is too short")
        if self._hash is not None:
            self._hash.update(piece)
            if self._at + len(piece) == self._end and self._hash.hexdigest() != self._name:
                raise StoreDamaged(f"the content {self._name} is damaged")
        return piece


def by_path(version: Version) -> dict[bytes, Entry]:
    """Return the entries of a version by the path that is looked up."""
    found = ((plain(entry.path.encode()), entry) for entry in version.manifest.entries)
    return {path: entry for path, entry in found if path is not None}
