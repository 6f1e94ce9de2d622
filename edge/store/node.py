"""The node directory: who has it open, in which format it is, and how it was left."""

import fcntl
import os
import stat
import struct
from pathlib import Path
from zlib import crc32

from edge.errors import StoreError

#: The format of everything in the directory, as it is written.
FORMAT = 2
# Format 1 knew no pinned responses; all else is the same.
_READABLE = (1, FORMAT)

_MAGIC = b"FLstore\n"
# magic, format, whether it was shut down cleanly, the boot it was last used in
_FIELDS = struct.Struct("<8sII36s")
_CRC = struct.Struct("<I")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# Left with everything written, and not synced.
_WRITTEN = 2


class Node:
    """A node directory, locked.

    Attributes:
        path: where it is.
        was_clean: whether it was shut down cleanly.
        was_this_boot: whether it was last used since the machine started; if not, power may have been cut.
    """

    def __init__(self, path: Path) -> None:
        """Make and lock the directory; StoreError if it is not ours, in use, or of another format."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_uid != os.geteuid():
                raise StoreError(f"{path} belongs to another user")
            path.chmod(0o700)
            self._lock = _open(path / "lock")
        except OSError as error:
            raise StoreError(f"{path} cannot be used as a store: {error.strerror}") from error
        try:
            self._take_lock()
            self._control = _open(path / "control")
        except OSError as error:
            os.close(self._lock)
            raise StoreError(f"{path} cannot be used as a store: {error.strerror}") from error
        except StoreError:
            os.close(self._lock)
            raise
        try:
            self.was_clean, self.was_this_boot = self._read()
        except StoreError:
            self.close()
            raise

    def mark(self, *, clean: bool, synced: bool = True) -> None:
        """Note whether what is on disk is whole, until the power is cut if not `synced`; StoreError if that fails."""
        fields = _FIELDS.pack(_MAGIC, FORMAT, 0 if not clean else 1 if synced else _WRITTEN, _boot())
        try:
            os.pwrite(self._control, fields + _CRC.pack(crc32(fields)), 0)
            os.fdatasync(self._control)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Let another process have the directory."""
        os.close(self._control)
        os.close(self._lock)

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(self._lock, 20, 0).strip().decode("ascii", "replace")
            raise StoreError(f"{self.path} is in use by process {pid or '(unknown)'}") from error
        os.pwrite(self._lock, b"%-19d\n" % os.getpid(), 0)

    def _read(self) -> tuple[bool, bool]:
        raw = os.pread(self._control, _FIELDS.size + _CRC.size, 0)
        if not raw:
            return False, False
        if raw[:8] != _MAGIC:
            raise StoreError(f"{self.path} holds something else than a store: its control file is not ours")
        if len(raw) < _FIELDS.size + _CRC.size or _CRC.unpack_from(raw, _FIELDS.size)[0] != crc32(raw[: _FIELDS.size]):
            return False, False
        _, version, clean, boot = _FIELDS.unpack_from(raw)
        if version not in _READABLE:
            raise StoreError(
                f"{self.path} has store format {version} and this program knows only formats 1 to {FORMAT}: "
                "use the program that made it, or another directory"
            )
        is_this_boot = boot == _boot()
        return clean == 1 or (clean == _WRITTEN and is_this_boot), is_this_boot


def _boot() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()[:36]
    except OSError:
        # Unknown, so never the same: the index is then rebuilt after every unclean end.
        return os.urandom(36)


def _open(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.geteuid():
        os.close(fd)
        raise StoreError(f"{path} is not a file of its own")
    return fd
