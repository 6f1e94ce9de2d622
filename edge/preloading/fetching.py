"""Asking the worker that owns a URL for it, as another worker would: by the rules, and collapsed, of any request.

It goes over the sockets of the ring: a listener may want TLS, a PROXY header or another address, and which worker takes a
connection there is not for the client to say.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from edge.errors import EdgeError, ParseError
from edge.exchange.exchange import RING
from edge.policy.key import KeyPolicy, apply_query, cache_key
from edge.preloading.job import LONGEST, Outcome, Result, judged
from edge.semantics.target import Target, parse_uri
from edge.supervisor.paths import Directory

#: How long a worker may take for the head of an answer, and between two pieces of its content, seconds.
SECONDS = 120.0
_PIECE = 64 << 10
_AGENT = "foreland-preload"


class NotAUrl(EdgeError):
    """What is asked for is not a URL of a site of this node, for a reason that is a sentence."""


class NotHad(EdgeError):
    """A content cannot be had, for a reason that is a sentence.

    Attributes:
        may_retry: whether another try could do better.
    """

    def __init__(self, sentence: str, *, may_retry: bool) -> None:
        super().__init__(sentence)
        self.may_retry = may_retry


class Fetcher:
    """Asks the workers of a node.

    Args:
        policy_of: returns the key policy of the site with a host, None when there is none.
        owner_of: returns which worker owns a key.
        folder: where the sockets of the workers are.
    """

    def __init__(
        self, policy_of: Callable[[bytes], KeyPolicy | None], owner_of: Callable[[bytes], int], *, folder: Path
    ) -> None:
        self._policy_of, self._owner_of, self._folder = policy_of, owner_of, folder
        self._directory: Directory | None = None
        self._sessions: dict[int, aiohttp.ClientSession] = {}

    def key(self, url: str) -> bytes:
        """Return the cache key of `url`; NotAUrl, with a sentence, unless it can be asked for here."""
        return self._asked(url)[1]

    async def fetch(self, url: str, accept_encoding: str, came: Callable[[int], Awaitable[None]]) -> Result:
        """Ask for `url` and return what came of it; `came` is told of octets, and may wait before more are taken."""
        octets = 0
        try:
            async with self._answer(url, accept_encoding) as response:
                async for piece in response.content.iter_chunked(_PIECE):
                    octets += len(piece)
                    await came(len(piece))
        except NotAUrl as error:
            return Result(Outcome.FAILED, str(error))
        except TimeoutError:
            return Result(Outcome.FAILED, f"no answer within {SECONDS:g} s", octets, may_retry=True)
        except (aiohttp.ClientError, OSError):
            return Result(Outcome.FAILED, "the answer broke off, or did not come", octets, may_retry=True)
        outcome, _, detail = response.headers.get(RING.decode(), "-").partition(" ")
        cache_status = response.headers.getall("Cache-Status", [""])[-1]
        after = response.headers.get("Retry-After", "")
        return judged(response.status, outcome, detail, cache_status, octets, after=after)

    async def content(self, url: str, most: int) -> bytes:
        """Return a content of at most `most` octets.

        Raises:
            NotAUrl: it is not one that this node can be asked for.
            NotHad: it cannot be had.
        """
        try:
            async with self._answer(url, "identity") as response:
                if response.status != 200:
                    may_retry = judged(response.status, "", "", "", 0).may_retry
                    raise NotHad(f"status {response.status}", may_retry=may_retry)
                content = bytearray()
                async for piece in response.content.iter_chunked(_PIECE):
                    content += piece
                    if len(content) > most:
                        raise NotHad(f"it is longer than {most:,} octets", may_retry=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotHad("the answer broke off, or did not come", may_retry=True) from error
        return bytes(content)

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()
        if self._directory is not None:
            self._directory.close()

    def _asked(self, url: str) -> tuple[Target, bytes]:
        if len(url) > LONGEST:
            raise NotAUrl(f"it is longer than {LONGEST} characters")
        try:
            target = parse_uri(url.encode("ascii"))
        except (ParseError, UnicodeEncodeError) as error:
            raise NotAUrl("it is not an absolute URL that a client could ask for") from error
        policy = self._policy_of(target.host)
        if policy is None:
            raise NotAUrl("no site of this node has its host")
        return target, cache_key(apply_query(target, policy), policy)

    @asynccontextmanager
    async def _answer(self, url: str, accept_encoding: str) -> AsyncIterator[aiohttp.ClientResponse]:
        target, key = self._asked(url)
        fields = {
            "Host": target.authority.decode("ascii"),
            RING.decode("ascii"): f"answer {target.scheme.decode('ascii')} 1.1 127.0.0.1",
            "Accept-Encoding": accept_encoding,
            "User-Agent": _AGENT,
        }
        path = URL(f"http://ring{target.path_and_query.decode('ascii')}", encoded=True)
        async with self._session(self._owner_of(key)).get(path, headers=fields, allow_redirects=False) as response:
            yield response

    def _session(self, owner: int) -> aiohttp.ClientSession:
        session = self._sessions.get(owner)
        if session is None:
            self._directory = self._directory or Directory(self._folder)
            connector = aiohttp.UnixConnector(self._directory.address(f"worker-{owner}"), limit=0)
            timeout = aiohttp.ClientTimeout(total=None, sock_read=SECONDS, sock_connect=SECONDS)
            session = self._sessions[owner] = aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False, skip_auto_headers=("Accept",),
                cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        return session
