"""Unix sockets in a directory, however long its path is: an address holds only some hundred octets."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

#: Where in the node's directory its sockets are.
CONTROL_FOLDER = "run"


class Directory:
    """An open directory; sockets in it are named through its descriptor."""

    def __init__(self, path: Path) -> None:
        """Make it if need be, for its owner alone; OSError when it cannot be used."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def address(self, name: str) -> str:
        """Return the address of the socket `name`, for as long as the directory is open here."""
        return f"/proc/self/fd/{self._fd}/{name}"

    def listener(self, name: str) -> socket.socket:
        """Return a socket bound to `name`, in one step in the place of the one that was there; mode 0600."""
        new = f".{name}.{os.getpid()}"
        # A process with this number may have died at the next line.
        self.remove(new)
        bound = socket.socket(socket.AF_UNIX)
        try:
            bound.bind(self.address(new))
            os.chmod(self.address(new), 0o600)
            os.replace(new, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError:
            bound.close()
            raise
        # What waits for a process that has not come to accept yet is not refused.
        bound.listen(4096)
        bound.setblocking(False)  # noqa: FBT003 - the socket API is positional
        return bound

    def names(self) -> list[str]:
        """Return what is in it."""
        return os.listdir(self._fd)

    def remove(self, name: str) -> None:
        """Remove a socket; does nothing when it is gone."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)
