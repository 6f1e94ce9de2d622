"""Segments: files of fixed size that records are appended to, never changed once written, and freed as a whole."""

import errno
import os
import re
import resource
import stat
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge.errors import StoreDamaged, StoreError, StoreFull
from edge.policy.reinsertion import MOST_VISITS
from edge.store.record import HEADER_SIZE, PLAIN, Header, check_body
from edge.store.scan import Scan
from edge.store.segment_header import FIRST, decode_segment_header, encode_segment_header

# One access byte for this many bytes of a segment: records that begin in the same 4 KiB share it.
_ACCESS_SHIFT = 12
# A chunk longer than a window is marked when its checksum was verified; at most one begins in this many bytes.
WINDOW = 256 << 10
_is_name = re.compile(r"([0-9a-f]{8})\.seg").fullmatch


class Segment:
    """One open segment.

    The file stays readable for as long as somebody refers to the segment, unlinked or not.

    Attributes:
        id: increases with every segment made.
        fd: the open file.
        tag: what its records are marked with.
        size: length of the file.
        tail: where the next record goes; every record lies below it.
    """

    def __init__(self, path: Path, segment_id: int, fd: int, size: int, tag: bytes = PLAIN) -> None:
        self.path, self.id, self.fd, self.size, self.tag, self.tail = path, segment_id, fd, size, tag, FIRST
        self._visited = bytearray((size >> _ACCESS_SHIFT) + 1)
        self._verified = bytearray(size // WINDOW + 1)
        self._close = weakref.finalize(self, os.close, fd)

    @property
    def room(self) -> int:
        """How many bytes can still be appended."""
        return self.size - self.tail

    def visit(self, offset: int, times: int = 1) -> None:
        """Note that the record at `offset` was used, so many `times`."""
        at = offset >> _ACCESS_SHIFT
        self._visited[at] = min(self._visited[at] + max(times, 0), MOST_VISITS)

    def visits(self, offset: int) -> int:
        """Return how often the record at `offset`, or those next to it, were used since it was written."""
        return self._visited[offset >> _ACCESS_SHIFT]

    @property
    def access(self) -> bytes:
        """The access bytes: the visits to what begins in each 4 KiB."""
        return bytes(self._visited)

    def restore_access(self, access: bytes) -> None:
        """Take access bytes from before a restart; those of another size are not of this segment."""
        if len(access) == len(self._visited):
            self._visited = bytearray(min(times, MOST_VISITS) for times in access)

    def verified(self, offset: int) -> None:
        """Note that the checksum of the record at `offset`, longer than a window, was found right."""
        self._verified[offset // WINDOW] = 1

    def is_verified(self, offset: int) -> bool:
        """Return whether `verified` was called for the record at `offset`, which is longer than a window."""
        return self._verified[offset // WINDOW] != 0

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset` on, waiting for the disk; StoreDamaged if they cannot be had."""
        parts: list[bytes] = []
        while length > 0:
            try:
                part = os.pread(self.fd, length, offset)
            except OSError as error:
                raise StoreDamaged(f"{self.path.name} cannot be read: {error.strerror}") from error
            if not part:
                raise StoreDamaged(f"{self.path.name} is shorter than it was")
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, data: bytes) -> None:
        """Append `data`, which fits; OSError leaves the tail where it was, and nothing behind it."""
        view, offset = memoryview(data), self.tail
        try:
            while view:
                written = os.pwrite(self.fd, view, offset)
                view, offset = view[written:], offset + written
        except OSError:
            # It is not stored: nobody must find it there when the index is made anew.
            with suppress(OSError):
                os.pwrite(self.fd, bytes(offset - self.tail), self.tail)
            raise
        self.tail = offset

    def scan(self) -> Scan:
        """Return what reads records one after another."""
        return Scan(self.read, self.size, self.tag)

    def headers(self, start: int, end: int) -> Iterator[tuple[int, Header]]:
        """Yield the place and header of the records from `start` to `end`; the first that is damaged ends it."""
        return self.scan().headers(start, end)

    def body(self, offset: int, header: Header) -> bytes:
        """Return the body of the record at `offset`; StoreDamaged if it fails its checksum."""
        body = self.read(offset + HEADER_SIZE, header.length)
        check_body(header, body)
        return body

    def sync(self) -> None:
        """Wait until what was written is on disk; StoreError if it does not get there."""
        try:
            os.fdatasync(self.fd)
        except OSError as error:
            raise StoreError(f"{self.path.name} cannot be synced: {error.strerror}") from error

    def close(self) -> None:
        """Close the file now; reading fails from then on."""
        # The number may soon be that of another file.
        self.fd = -1
        self._close()


class Segments:
    """The segments of a node, by id, oldest first.

    One thread changes them; others may look.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_id: dict[int, Segment] = {}
        self._last_id = 0
        self.size = 0
        self.refused = 0

    def __iter__(self) -> Iterator[Segment]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, segment_id: int) -> Segment | None:
        """Return the segment called `segment_id`, or None when it is gone."""
        return self._by_id.get(segment_id)

    @property
    def oldest(self) -> Segment | None:
        """The segment that was made first, or None when there is none."""
        return next(iter(self), None)

    def open_all(self) -> None:
        """Open every segment of the folder; what is no segment is refused, and freed if it is a plain file."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not stat.S_ISDIR(self._folder.lstat().st_mode):
            raise StoreError(f"{self._folder} is not a directory")
        for name in sorted(os.listdir(self._folder)):
            if (match := _is_name(name)) is None:
                continue
            segment_id = int(match[1], 16)
            self._last_id = max(self._last_id, segment_id)
            try:
                self._add(_open(self._folder / name, segment_id))
            except StoreDamaged:
                self.refused += 1

    def reserve_ids(self, used: int) -> None:
        """Never give `used`, or a lower id, to a new segment: the index may still name it."""
        self._last_id = max(self._last_id, used)

    def is_gone(self) -> bool:
        """Return whether the folder was deleted or moved under a running node."""
        return not self._folder.exists()

    def create(self, size: int) -> Segment:
        """Make the next segment; StoreFull if the disk has no room for it, StoreError if it fails otherwise."""
        self._last_id += 1
        path = self._folder / f"{self._last_id:08x}.seg"
        try:
            segment = self._create(path, size)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            kind = StoreFull if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else StoreError
            raise kind(f"no segment can be made: {error.strerror}") from error
        self._add(segment)
        return segment

    def drop(self, segment: Segment) -> None:
        """Free `segment`, whose file stays with those who still read it; StoreError if the disk does not let it go."""
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{segment.path.name} cannot be freed: {error.strerror}") from error
        if self._by_id.pop(segment.id, None) is not None:
            self.size -= segment.size

    def close(self) -> None:
        """Close every file."""
        for segment in self:
            segment.close()

    def _add(self, segment: Segment) -> None:
        # Nothing comes into memory that was not asked for: what comes from the disk is checked by who asked.
        os.posix_fadvise(segment.fd, 0, 0, os.POSIX_FADV_RANDOM)
        self._by_id[segment.id] = segment
        self.size += segment.size

    def _create(self, path: Path, size: int) -> Segment:
        # The folder may have been deleted under a running node: its open files live on, and new ones need a place.
        self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        segment = Segment(path, self._last_id, fd, size, os.urandom(8))
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
            os.ftruncate(fd, size)
        os.pwrite(fd, encode_segment_header(segment.id, size, segment.tag), 0)
        return segment


def allow_open_files(segments: int) -> None:
    """Let this process have as many segments open, and as many connections as before, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft + segments if hard == resource.RLIM_INFINITY else min(soft + segments, hard)
    if soft not in {resource.RLIM_INFINITY, wanted}:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _open(path: Path, segment_id: int) -> Segment:
    """Return the segment at `path`; StoreDamaged if it is not one of ours, and free what only looks like one."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be opened: {error.strerror}") from error
    status = os.fstat(fd)
    segment = Segment(path, segment_id, fd, status.st_size)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.geteuid():
        segment.close()
        raise StoreDamaged(f"{path} is not a file of its own")
    try:
        segment.tag = decode_segment_header(os.pread(fd, FIRST, 0), segment_id, status.st_size)
    except StoreDamaged:
        segment.close()
        path.unlink()
        raise
    return segment
