"""The purge log of a node: a file that a purge is in, and on the disk, before anybody is told that it happened.

A log that cannot be trusted is put aside, and what is stored is purged with everything else: a purge that was forgotten
may have been a hard one, so nothing it could have been about may be used, not even where stale content could be.
"""

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from edge.errors import PurgeNotWritten, StoreDamaged, StoreError
from edge.policy.purging import EVERYTHING, Mode, Purge, PurgeTable, Selector
from edge.ports import SharedEpoch
from edge.purges.reader import Reader
from edge.purges.record import decode, encode, encode_heading

log = logging.getLogger("edge.purges")

#: After so many more purges the log is made shorter.
COMPACT_EVERY = 50_000


class PurgeLog:
    """The log in one directory, for one process of those that have it open."""

    def __init__(self, directory: Path, shared: SharedEpoch, *, holds: bool, now: float) -> None:
        """Open the log, or make it.

        Args:
            directory: where it is, and nothing else.
            shared: told of each purge once it is durable, by whichever process.
            holds: whether anything is stored; without a log, nothing tells what of it was purged.
            now: seconds; gives ids to purges when those used so far are not known.

        Raises:
            StoreError: the directory cannot be used.
        """
        self.path = directory / "log"
        self._shared = shared
        self._within = Lock()
        self._is_broken = False
        self._appended = 0
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._tail = Reader(self.path)
            with self._locked():
                self._repair(holds=holds, now=now)
                self._compact()
                shared.epoch = max(shared.epoch, self._tail.epoch)
        except OSError as error:
            raise StoreError(f"the purge log in {directory} cannot be used: {error.strerror}") from error

    def append(self, mode: Mode, selectors: Sequence[Selector], now: float) -> Purge:
        """Write a purge down, see it on the disk, and let every process know.

        PurgeNotWritten: it is as if nobody had asked.
        """
        with self._within, self._locked():
            if self._is_broken:
                raise PurgeNotWritten("an earlier purge could not be taken back; restart the node")
            try:
                self._tail.read()
                purge = Purge(self._tail.epoch + 1, now, mode, tuple(selectors))
                self._write(encode(purge))
                self._tail.read()
            except (OSError, StoreDamaged) as error:
                raise PurgeNotWritten(str(error)) from error
            self._shared.epoch = purge.id
            self._appended += 1
            if self._appended >= COMPACT_EVERY:
                self._compact()
            return purge

    def everything(self) -> list[Purge]:
        """Return every purge that is in the log, by id; StoreError if it cannot be read."""
        reader = Reader(self.path)
        try:
            return reader.read(self._shared.epoch)
        except OSError as error:
            raise StoreError(f"the purge log cannot be read: {error.strerror}") from error
        finally:
            reader.close()

    def close(self) -> None:
        """Let go of the log."""
        self._tail.close()
        os.close(self._lock)

    def _repair(self, *, holds: bool, now: float) -> None:
        """See to it that there is a log that can be read to its end."""
        try:
            self._tail.read()
            _check_end(self._tail.at, self._tail.rest)
        except FileNotFoundError:
            if holds:
                log.warning("there is no purge log beside what is stored; all of it is purged")
            self._begin_anew(_from_clock(now) if holds else 0, now)
        except StoreDamaged as error:
            aside = self.path.with_name(f"damaged-{_from_clock(now)}")
            log.error("%s; it is kept as %s, and all that is stored is purged", error, aside)  # noqa: TRY400 - no bug
            self.path.rename(aside)
            self._begin_anew(max(self._tail.epoch + 1, _from_clock(now)), now)
        else:
            if self._tail.rest:
                # Of a purge that nobody was told had happened.
                os.truncate(self.path, self._tail.at)

    def _begin_anew(self, epoch: int, now: float) -> None:
        """Make a log whose ids go on behind `epoch`, by which everything older is purged; 0 for an empty one."""
        self._replace(epoch, [Purge(epoch, now, Mode.HARD, (EVERYTHING,))] if epoch else [])

    def _compact(self) -> None:
        """Put a log in place that has only what newer purges do not say as well."""
        self._appended = 0
        reader = Reader(self.path)
        purges = reader.read()
        reader.close()
        table = PurgeTable()
        for purge in purges:
            table.apply(purge)
        needed = table.purges()
        if len(needed) < len(purges):
            # A disk that does not take it has the longer one still; it is tried again after as many more.
            with suppress(OSError):
                self._replace(reader.epoch, needed)

    def _replace(self, epoch: int, purges: Sequence[Purge]) -> None:
        """Put a new log in place of the old one, so that at every moment there is the one or the other."""
        made = self.path.with_name("new")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, b"".join([encode_heading(epoch), *map(encode, purges)]), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        made.rename(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._tail.read()

    def _write(self, line: bytes) -> None:
        """Append a line, durably; OSError, with nothing appended, when the disk does not take it."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_all(descriptor, line, self._tail.at)
            os.fdatasync(descriptor)
        except OSError:
            self._take_back(descriptor)
            raise
        finally:
            os.close(descriptor)

    def _take_back(self, descriptor: int) -> None:
        try:
            os.ftruncate(descriptor, self._tail.at)
            os.fdatasync(descriptor)
        except OSError:
            # It may be there after a restart.  Until then no other purge may get its id.
            self._is_broken = True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written


def _from_clock(now: float) -> int:
    """Return an id behind every one that was given so far, if there were fewer than a thousand purges a second."""
    return int(now * 1000)


def _check_end(at: int, rest: bytes) -> None:
    """StoreDamaged if there is no line, or what stands behind the last one is a line whose own end was altered."""
    if at == 0:
        raise StoreDamaged("the purge log has no heading")
    try:
        decode(rest[:-1] + b"\n")
    except StoreDamaged:
        return
    raise StoreDamaged("the last line of the purge log was altered")
