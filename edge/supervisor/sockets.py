"""Listening sockets: bound once, shared by every generation of workers, handed to the next program on upgrade.

A socket that all processes share has one queue of connections, so none is lost when the workers that accept from it
change.  (With a socket for each worker, SO_REUSEPORT, closing one resets the connections in its queue.)
"""

import os
import socket
from collections.abc import Callable, MutableMapping, Sequence

from edge.supervisor.faults import StartError

#: Host ("" for every interface) and port (0 for one that the system chooses).
Address = tuple[str, int]
_FIRST_FD = 3
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what they are compared with


class Sockets:
    """The listening sockets of a node, by the address they were asked for under."""

    def __init__(self, bind: Callable[[str, int], socket.socket]) -> None:
        """Make new ones by `bind`, which raises OSError."""
        self._bind = bind
        self._held: list[tuple[Address, socket.socket]] = []

    def adopt(self, address: Address, bound: socket.socket) -> None:
        """Hold a socket that somebody else has bound."""
        bound.setblocking(False)  # noqa: FBT003 - the socket API is positional
        self._held.append((address, bound))

    def adopt_given(self, given: Sequence[socket.socket], addresses: Sequence[Address]) -> list[str]:
        """Hold the sockets that the service manager gives; return the names of those that no address asks for."""
        refused = []
        for bound in given:
            host, port = bound.getsockname()[:2] if bound.family != socket.AF_UNIX else ("a Unix socket", 0)
            address = next((each for each in addresses if _is_at(each, host, port)), None)
            if address is None:
                refused.append(f"{host}:{port}")
            else:
                self.adopt(address, bound)
        return refused

    def open(self, addresses: Sequence[Address]) -> list[socket.socket]:
        """Return a socket for each address, bound now unless it was before; StartError when one is taken."""
        left, opened = list(self._held), []
        new: list[tuple[Address, socket.socket]] = []
        for address in addresses:
            held = next((pair for pair in left if pair[0] == address), None)
            if held is not None:
                left.remove(held)
            else:
                try:
                    held = (address, self._bind(address[0] or "0.0.0.0", address[1]))  # noqa: S104 - what ":8080" asks
                except OSError as error:
                    for _, bound in new:
                        bound.close()
                    host = f"[{address[0]}]" if ":" in address[0] else address[0]
                    raise StartError(f"cannot listen on {host}:{address[1]}: {error.strerror}") from error
                new.append(held)
            opened.append(held[1])
        self._held += new
        return opened

    def keep_only(self, used: Sequence[socket.socket]) -> None:
        """Close every other socket."""
        for pair in list(self._held):
            if pair[1] not in used:
                self._held.remove(pair)
                pair[1].close()

    def ports(self) -> list[int]:
        """Return the port of each."""
        return [bound.getsockname()[1] for _, bound in self._held]

    def held(self) -> list[tuple[Address, int]]:
        """Return the address and descriptor of each."""
        return [(address, bound.fileno()) for address, bound in self._held]


def given_by_manager(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets of systemd's socket activation, taken out of the environment (sd_listen_fds(3))."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    given = []
    for fd in range(_FIRST_FD, _FIRST_FD + int(count)):
        os.set_inheritable(fd, False)  # noqa: FBT003 - the parameter has no keyword
        given.append(socket.socket(fileno=fd))
    return given


def _is_at(address: Address, host: str, port: int) -> bool:
    return address[1] == port and (address[0] == host or (not address[0] and host in _ANY))
