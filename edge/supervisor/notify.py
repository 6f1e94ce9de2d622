"""Telling the service manager how the node is: the protocol of sd_notify(3), which is one datagram a message."""

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress


class Notify:
    """The service manager; every message is dropped without one.

    Attributes:
        watchdog_seconds: how often it wants to hear that the node is alive, None for never.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take where to send to from `environ`; workers are not to inherit the watchdog."""
        path = environ.get("NOTIFY_SOCKET", "")
        # A name in the abstract namespace begins with "@" in text, and with a zero in the address.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        interval, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
        is_ours = interval.isdigit() and pid == str(os.getpid())
        self.watchdog_seconds = int(interval) / 2e6 if is_ours else None

    def ready(self, status: str) -> None:
        """Say that clients are accepted."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self, status: str) -> None:
        """Say that a new generation is on its way; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        """Say that the node is ending."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """Say that the node is alive."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address:
            # The manager may have gone, which is no reason to end.
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(message.encode(), socket.MSG_DONTWAIT, self._address)
