"""Which nodes of this user run here, so that a command need not be told where one is.

A node leaves a link to the folder of its sockets in a directory that belongs to its user alone.  A link promises nothing:
who follows it asks the node, and one that does not answer is not there.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def announce(folder: Path) -> None:
    """Let this user's commands find the node with its sockets in `folder`; OSError when that cannot be."""
    folder = folder.absolute()
    with _directory() as directory:
        for name, gone in list(_links(directory)):
            if gone == folder or not gone.exists():
                _remove(directory, name)
        os.symlink(folder, hashlib.sha256(os.fsencode(folder)).hexdigest()[:16], dir_fd=directory)


def withdraw(folder: Path) -> None:
    """Let it be found no more; does nothing when it could not be found."""
    with suppress(OSError), _directory() as directory:
        for name, found in list(_links(directory)):
            if found == folder.absolute():
                _remove(directory, name)


def folders() -> list[Path]:
    """Return the folders of the nodes that were announced, whether they still run or not."""
    try:
        with _directory() as directory:
            return sorted(folder for _, folder in _links(directory))
    except OSError:
        return []


@contextmanager
def _directory() -> Iterator[int]:
    """Open the directory of the links; OSError unless it belongs to this user alone."""
    user = os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # In a directory that everybody writes to, the name is taken by whoever comes first.
    path = Path(runtime, "foreland") if runtime else Path(os.environ.get("TMPDIR", "/tmp"), f"foreland-{user}")  # noqa: S108
    path.mkdir(mode=0o700, exist_ok=True)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(directory)
        if status.st_uid != user or stat.S_IMODE(status.st_mode) & 0o077:
            raise PermissionError(f"{path} does not belong to user {user} alone")
        yield directory
    finally:
        os.close(directory)


def _links(directory: int) -> Iterator[tuple[str, Path]]:
    for name in os.listdir(directory):
        with suppress(OSError):
            yield name, Path(os.readlink(name, dir_fd=directory))


def _remove(directory: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
