"""Which addresses an origin has, and which of them to try first.

Names are resolved off the event loop, by one query at a time; an answer is good for a while, and much longer when no
other can be had.  An address that failed goes to the end of the line for some seconds, but never out of it.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edge.clock import Clock
from edge.errors import UpstreamConnectError
from edge.tasks import spawn

#: Resolves a host name and port to addresses as text; raises OSError.
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
#: More addresses of one answer are not kept.
ADDRESSES_LIMIT = 16


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """How long answers are good for, in seconds.

    Attributes:
        fresh: before it is asked again.
        stale: while asking again fails.
        patience: how long to wait for a newer answer when an old one is at hand.
        retry: before it is asked again after a failure, when an old answer is at hand.
        hold_down: how long a failed address is tried last.
    """

    fresh: float = 30.0
    stale: float = 3600.0
    patience: float = 0.5
    retry: float = 1.0
    hold_down: float = 5.0


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """Return the addresses the operating system knows for `host`."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in answers]


class Addresses:
    """The addresses of one origin."""

    def __init__(
        self,
        host: str,
        port: int,
        clock: Clock,
        *,
        lookup: Lookup = system_lookup,
        settings: ResolverSettings | None = None,
    ) -> None:
        self.host = host.removeprefix("[").removesuffix("]")
        self.port = port
        self._clock = clock
        self._lookup = lookup
        self._settings = settings or ResolverSettings()
        self._is_literal = _is_address(self.host)
        self._answer: tuple[str, ...] = (self.host,) if self._is_literal else ()
        self._answered = 0.0
        self._asked_again_at = 0.0
        self._failed: dict[str, float] = {}
        self._turn = 0
        self._query: asyncio.Task[None] | None = None
        self._query_began = 0.0

    async def candidates(self) -> list[str]:
        """Return the addresses in the order to try them: each call begins with the next, failed ones come last.

        Raises:
            UpstreamConnectError: there is no answer, not even an old one.
        """
        if not self._is_literal and self._clock.monotonic() >= self._asked_again_at:
            await self._refresh()
        answer = self._answer
        if not answer:
            raise UpstreamConnectError(f"cannot resolve {self.host}")
        self._turn = (self._turn + 1) % len(answer)
        now = self._clock.monotonic()
        self._failed = {address: until for address, until in self._failed.items() if until > now}
        return sorted(answer[self._turn :] + answer[: self._turn], key=lambda address: self._failed.get(address, 0.0))

    def mark_failed(self, address: str) -> None:
        """Try `address` last for some seconds."""
        self._failed[address] = self._clock.monotonic() + self._settings.hold_down

    async def _refresh(self) -> None:
        """Wait for the query that is under way, or begin one; not for long when there is an old answer."""
        now = self._clock.monotonic()
        if self._answer and now - self._answered >= self._settings.stale:
            self._answer = ()
        if self._query is None:
            self._query_began = now
            self._query = spawn(self._ask(), name=f"resolve-{self.host}")
        timeout = max(0.0, self._query_began + self._settings.patience - now) if self._answer else None
        await asyncio.wait([self._query], timeout=timeout)

    async def _ask(self) -> None:
        try:
            found = await self._lookup(self.host, self.port)
        except (OSError, UnicodeError):
            # A name that cannot be encoded for the DNS is a UnicodeError.
            found = ()
        finally:
            self._query = None
        now = self._clock.monotonic()
        if found:
            self._answer = tuple(dict.fromkeys(found))[:ADDRESSES_LIMIT]
            self._answered = now
            self._asked_again_at = now + self._settings.fresh
        elif self._answer:
            self._asked_again_at = now + self._settings.retry


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
