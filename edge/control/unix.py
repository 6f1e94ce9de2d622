"""The Unix socket of the admin plane: for its owner alone, in the place of one that nobody answers at."""

import errno
import os
import socket
import stat
from pathlib import Path
from typing import final

from edge.supervisor.paths import Directory


@final
class UnixSocket:
    """A socket that listens at a path, and leaves nothing there when it is closed.

    Attributes:
        socket: the socket; its file has the mode 0600 before anybody can connect.
    """

    def __init__(self, path: Path) -> None:
        """Bind and listen; the directory is made, for its owner alone, if it is not there.

        Raises:
            OSError: it cannot be had; EADDRINUSE when somebody answers there, EEXIST when what is there is no socket.
        """
        self._directory, self._name = Directory(path.parent), path.name
        try:
            self._check()
            self.socket = self._directory.listener(self._name)
            self._file = self._found()
        except OSError:
            self._directory.close()
            raise

    def close(self) -> None:
        """Remove the file, unless another process has put its own there, and let go of the directory."""
        if self._found() == self._file:
            self._directory.remove(self._name)
        self.socket.close()
        self._directory.close()

    def _check(self) -> None:
        path = self._directory.address(self._name)
        try:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise OSError(errno.EEXIST, "there is a file, which is not a socket")
        except FileNotFoundError:
            return
        with socket.socket(socket.AF_UNIX) as asker:
            asker.setblocking(False)  # noqa: FBT003 - the socket API is positional
            try:
                asker.connect(path)
            except (ConnectionRefusedError, FileNotFoundError):
                return
            except BlockingIOError:
                # Somebody listens, and has much to do.
                pass
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    def _found(self) -> tuple[int, int] | None:
        try:
            facts = os.lstat(self._directory.address(self._name))
        except FileNotFoundError:
            return None
        return facts.st_dev, facts.st_ino
