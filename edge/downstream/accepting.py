"""Accepting from a socket that other processes accept from as well, so that each gets its part.

A server of the event loop takes all that waits whenever it wakes up: of connections that come together, the process that
wakes first then has nearly all, for as long as they last.  Here one is taken in a turn of the loop, and who has more than
others first gives them a moment to take it.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from edge.tasks import spawn

log = logging.getLogger("edge.downstream")

# accept(2): there is nothing to give a connection at present.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS, _MOMENT_SECONDS = 0.1, 0.002


class Sharing(Protocol):
    """The processes that accept from the same sockets."""

    def changed(self) -> None:
        """Take note that the connections of this one have become more or fewer, or that it begins to accept."""
        ...

    def has_more(self) -> bool:
        """Return whether this one has so many connections that others are to be given the next."""
        ...


class Accepting:
    """Accepts until it is closed; stands in for `asyncio.Server`."""

    def __init__(
        self, bound: socket.socket, factory: Callable[[], asyncio.Protocol], sharing: Sharing
    ) -> None:  # fmt: skip
        """Give each connection to `bound`, which listens, a protocol that `factory` makes."""
        self._bound, self._factory, self._sharing = bound, factory, sharing
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._is_exhausted = False
        self._loop.add_reader(bound, self._may_accept)

    def close(self) -> None:
        """Accept no more; what was accepted goes on."""
        if self._pause is not None:
            self._pause.cancel()
        if self._bound.fileno() >= 0:
            self._loop.remove_reader(self._bound)
            self._bound.close()

    def _may_accept(self) -> None:
        if self._sharing.has_more():
            self._wait(_MOMENT_SECONDS)
        else:
            self._accept()

    def _wait(self, seconds: float) -> None:
        """Leave the socket alone for a while: it stays readable, so that nothing else would be done."""
        self._loop.remove_reader(self._bound)
        self._pause = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._loop.add_reader(self._bound, self._may_accept)
        self._accept()

    def _accept(self) -> None:
        try:
            accepted, _ = self._bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            # Another process was faster, or the client has gone again.
            return
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                log.warning("a connection cannot be accepted: %s", error.strerror)
            elif not self._is_exhausted:
                log.error("no connection can be accepted at present: %s", error.strerror)  # noqa: TRY400 - no bug
            self._is_exhausted = error.errno in _EXHAUSTED
            self._wait(_PAUSE_SECONDS)
            return
        self._is_exhausted = False
        accepted.setblocking(False)  # noqa: FBT003 - the socket API is positional
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _ = spawn(self._connect(accepted), name="accept")

    async def _connect(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, accepted)
        except OSError:
            # The client has gone again.
            accepted.close()
