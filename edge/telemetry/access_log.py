"""Access log lines on their way out: a bounded queue, and a thread that formats and writes them.

A slow, full or closed destination costs lines, which are counted, and never a moment of the event loop.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, final

from edge.errors import StoreError
from edge.ports import Record

log = logging.getLogger("edge.telemetry.access_log")

#: Records that may wait; at 20,000 requests a second, half a second of a stuck destination.
CAPACITY = 10_000
#: Lines joined into one write.
BATCH = 256
STDOUT = 1
_REOPEN: Final = "reopen"
_CLOSE: Final = "close"
_Item = Record | str


@final
class AccessLog:
    """Where the lines of exchanges go.

    Args:
        path: the file to append to; None for standard output.
        format_line: makes a line of a record, in the writing thread.
        capacity: how many records may wait.

    Raises:
        StoreError: the file cannot be opened.
    """

    def __init__(self, path: Path | None, format_line: Callable[[Record], bytes], *, capacity: int = CAPACITY) -> None:
        self._path = path
        self._format = format_line
        self._capacity = capacity
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._refused = 0
        self._lost = 0
        self._failing = False
        try:
            self._descriptor = STDOUT if path is None else _open(path)
        except OSError as error:
            raise StoreError(f"access log {path}: {error.strerror}") from error
        # A daemon, because a write to a full pipe may never return and must not keep the process.
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost: refused by the queue, or by the destination."""
        return self._refused + self._lost

    def write(self, record: Record) -> None:
        """Queue the line of `record`; when the queue is full, drop it."""
        if self._queue.qsize() >= self._capacity:
            self._refused += 1
        else:
            self._queue.put(record)

    def reopen(self) -> None:
        """Open the path anew after what is queued, so that a rotated file is let go; does nothing on standard output."""
        self._queue.put(_REOPEN)

    def close(self, timeout: float = 2.0) -> bool:
        """Write what is queued and stop; False if that took longer than `timeout` seconds and was given up."""
        self._queue.put(_CLOSE)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            lines: list[bytes] = []
            command = self._gather(lines)
            self._write_all(lines)
            if command == _REOPEN:
                self._reopen()
            elif command == _CLOSE:
                break
        if self._descriptor != STDOUT:
            os.close(self._descriptor)

    def _gather(self, lines: list[bytes]) -> str | None:
        """Wait for something, add the lines that are there, and return the command that came after them, if any."""
        item = self._queue.get()
        while isinstance(item, Record):
            lines.append(self._line(item))
            if len(lines) == BATCH:
                return None
            try:
                item = self._queue.get_nowait()
            except Empty:
                return None
        return item

    def _line(self, record: Record) -> bytes:
        try:
            return self._format(record)
        except Exception:
            # The top of a thread: a record that cannot be told must not end it.
            self._lost += 1
            log.exception("access log: a record could not be formatted")
            return b""

    def _write_all(self, lines: list[bytes]) -> None:
        left = memoryview(b"".join(lines))
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
            self._failing = False
        except OSError as error:
            # The destination has what was written; only the lines that were not begun or not ended are lost.
            self._lost += bytes(left).count(b"\n")
            self._report(error)

    def _reopen(self) -> None:
        if self._path is None:
            return
        try:
            descriptor = _open(self._path)
        except OSError as error:
            self._report(error)
            return
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _report(self, error: OSError) -> None:
        if not self._failing:
            log.warning("access log %s: %s", self._path or "on standard output", error.strerror)
        self._failing = True


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
