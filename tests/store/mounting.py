"""File systems of a test's own: small ones, and ones whose power can be cut.  Only root may have them."""

import ctypes
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CAN_MOUNT = os.geteuid() == 0 and Path("/dev/loop-control").exists()

# EXT4_IOC_SHUTDOWN: from now on nothing reaches the disk, not even the journal.
_SHUTDOWN, _WITHOUT_FLUSH = 0x8004587D, 2
# Seconds after which a process that was killed is taken for stuck.
_STUCK = 30.0


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def a_small_disk(path: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes in memory."""
    path.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "foreland-test", str(path))
    try:
        yield path
    finally:
        _run("umount", "-l", str(path))


class Ext4:
    """A mounted ext4 file system in an image file."""

    def __init__(self, image: Path, path: Path) -> None:
        self.device = _run("losetup", "-f", "--show", str(image))
        self.path = path
        path.mkdir(exist_ok=True)
        _run("mount", self.device, str(path))

    def sync(self) -> None:
        """Have all of it on disk."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(fd):
                raise OSError(ctypes.get_errno(), "syncfs")
        finally:
            os.close(fd)

    def cut_power(self) -> None:
        """Lose whatever is not on disk yet; nothing can be done with the file system any more."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        finally:
            os.close(fd)

    def power_up(self) -> None:
        """Mount what has reached the disk, once those that were killed have let go of the file system."""
        until = time.monotonic() + _STUCK
        while True:
            try:
                _run("umount", str(self.path))
                break
            except subprocess.CalledProcessError:
                if time.monotonic() > until:
                    raise
                # Nothing tells when it is not busy any more.
                time.sleep(0.05)
        _run("mount", self.device, str(self.path))

    def fail(self) -> None:
        """Let the file system find an error in itself."""
        Path(f"/sys/fs/ext4/{Path(self.device).name}/trigger_fs_error").write_text("on purpose")

    def remount(self, option: str) -> None:
        """Change how it is mounted."""
        _run("mount", "-o", f"remount,{option}", str(self.path))

    def remove(self) -> None:
        """Unmount it and let the device go."""
        _run("umount", "-l", str(self.path))
        _run("losetup", "-d", self.device)


@contextmanager
def an_ext4(folder: Path, size: int, *options: str) -> Iterator[Ext4]:
    """An ext4 file system of `size` bytes, made with `options`."""
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", *options, str(image))
    mounted = Ext4(image, folder / "mounted")
    try:
        yield mounted
    finally:
        mounted.remove()
