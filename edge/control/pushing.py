"""Pushed content as the admin plane takes it: spooled, checked, and handed to the worker that owns it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import aiofiles
import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from edge.control.inquiries import Inquiries
from edge.errors import EdgeError, ParseError
from edge.exchange.exchange import RING
from edge.exchange.pushing import PUSHED
from edge.policy.key import KeyPolicy, apply_query, cache_key
from edge.semantics.fields import FieldSection
from edge.semantics.structured import parse_dictionary
from edge.semantics.target import Target, parse_uri
from edge.supervisor.faults import Unanswered
from edge.supervisor.paths import Directory

#: How long a client may pause within a content, and a worker take to answer, seconds.
PAUSE_SECONDS, WORKER_SECONDS = 30.0, 60.0
#: So many objects are asked about at a time.
MOST = 5000
_PIECE = 256 << 10
# Request fields that begin so are fields of the object, without it.
_PREFIX = "object-"
_NOT_OF_OBJECTS = frozenset({
    b"content-length", b"transfer-encoding", b"connection", b"content-encoding", b"content-range", b"date", b"age", b"etag",
    b"vary", b"set-cookie", b"foreland-cache-control",
})  # fmt: skip


class PushRefused(EdgeError):
    """What is pushed is not taken; `status` says why in HTTP's words."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = status


class Object(msgspec.Struct, frozen=True):
    """One pushed object: its URL, its entity tag, its length in octets."""

    url: str
    etag: str
    length: int


class Wanted(msgspec.Struct, frozen=True):
    """An object by its URL and the SHA-256 of its content in hexadecimal."""

    url: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class LackingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody has."""

    objects: Annotated[list[Wanted], msgspec.Meta(max_length=MOST)]


class Lacking(msgspec.Struct, frozen=True):
    """The URLs of those that the node does not have."""

    urls: list[str]


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A content that came whole: in memory when it is short, in a file otherwise."""

    content: bytes | Path
    length: int
    digest: bytes

    def open(self) -> bytes | AsyncIterator[bytes]:
        return self.content if isinstance(self.content, bytes) else _pieces(self.content)

    def delete(self) -> None:
        if isinstance(self.content, Path):
            _delete(self.content)


class Pushing:
    """Takes pushed objects.

    Args:
        policy_of: returns the key policy of the site with a host, None when there is none.
        owner_of: returns which worker owns a key.
        folder: where the sockets of the workers are.
        spool: where contents wait until they are whole.
        quota: how many octets pinned content may take, the longest object.
        inquiries: asks the workers.
    """

    def __init__(
        self,
        policy_of: Callable[[bytes], KeyPolicy | None],
        owner_of: Callable[[bytes], int],
        *,
        folder: Path,
        spool: Path,
        quota: int,
        inquiries: Inquiries,
    ) -> None:
        self._policy_of, self._owner_of = policy_of, owner_of
        self._folder, self._spool, self._quota, self._inquiries = folder, spool, quota, inquiries

    async def push(self, url: str, request: web.Request) -> Object:
        """Take the content of `request` as that of `url`.

        Raises:
            PushRefused: it is not taken; nothing was stored.
        """
        target, key = self._target(url)
        fields = _fields(request)
        wanted = _digest(request)
        spooled = await self._take(request)
        try:
            if wanted is not None and wanted != spooled.digest:
                raise PushRefused(400, "The content does not have the digest that Content-Digest names.")
            etag = _etag(spooled.digest.hex())
            lines = [*fields, (b"etag", etag)]
            status = await self._hand_over(target, key, lines, spooled)
        finally:
            spooled.delete()
        if status == 507:
            raise PushRefused(507, "There is no room for it: see cache.pinned, and the log.")
        if status != 204:
            raise PushRefused(503, f"The worker that stores it answered {status}; try again.")
        return Object(url, etag.decode("ascii"), spooled.length)

    async def lacking(self, objects: Sequence[Wanted]) -> Lacking:
        """Return which objects the node does not have; PushRefused when one is not understood, or nobody says."""
        asked = [(self._target(each.url)[1], _etag(each.sha256)) for each in objects]
        try:
            held = await self._inquiries.held(asked)
        except Unanswered as error:
            raise PushRefused(503, f"{error}.") from error
        return Lacking([each.url for place, each in enumerate(objects) if place not in held])

    async def remove(self, url: str) -> None:
        """Let the node forget an object; PushRefused when that cannot be."""
        _, key = self._target(url)
        headers = {RING.decode(): f"invalidate {key.hex()}"}
        status = await self._ask_owner(key, "DELETE", URL("http://ring/"), headers, None)
        if status != 204:
            raise PushRefused(503, f"The worker that stores it answered {status}; try again.")

    def _target(self, url: str) -> tuple[Target, bytes]:
        try:
            target = parse_uri(url.encode("ascii"))
        except (ParseError, UnicodeEncodeError) as error:
            raise PushRefused(422, f"{url!r} is not an absolute URL that a client could ask for.") from error
        policy = self._policy_of(target.host)
        if policy is None:
            raise PushRefused(422, f"No site has the host of {url!r}.")
        return target, cache_key(apply_query(target, policy), policy)

    async def _take(self, request: web.Request) -> _Spooled:
        """Return the content, whose file, if it has one, is to be deleted."""
        if (request.content_length or 0) > self._quota:
            raise PushRefused(413, "The content is longer than all that may be pinned.")
        try:
            async with asyncio.timeout(PAUSE_SECONDS):
                begin = await request.content.read(_PIECE)
                while len(begin) < _PIECE and (piece := await request.content.read(_PIECE)):
                    begin += piece
        except TimeoutError as error:
            raise PushRefused(408, "The content did not come in time.") from error
        except (web.RequestPayloadError, ValueError) as error:
            raise PushRefused(400, "The content is malformed.") from error
        if len(begin) < _PIECE:
            return _Spooled(begin, len(begin), sha256(begin).digest())
        await asyncio.to_thread(self._spool.mkdir, mode=0o700, parents=True, exist_ok=True)
        fd, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._spool)
        path = Path(name)
        try:
            async with aiofiles.open(fd, "wb") as file:
                length, digest = await self._copy(begin, request, file.write)
        except BaseException as error:
            _delete(path)
            if isinstance(error, TimeoutError):
                raise PushRefused(408, "The content did not come in time.") from error
            if isinstance(error, OSError):
                raise PushRefused(507, "The content cannot be written to the disk.") from error
            if isinstance(error, web.RequestPayloadError | ValueError):
                raise PushRefused(400, "The content is malformed.") from error
            raise
        return _Spooled(path, length, digest)

    async def _copy(
        self, begin: bytes, request: web.Request, write: Callable[[bytes], Awaitable[object]]
    ) -> tuple[int, bytes]:  # fmt: skip
        """Write the content of a request, which begins so, and return its length and its SHA-256."""
        length, digest, piece = 0, sha256(), begin
        while piece:
            length += len(piece)
            if length > self._quota:
                raise PushRefused(413, "The content is longer than all that may be pinned.")
            digest.update(piece)
            await write(piece)
            async with asyncio.timeout(PAUSE_SECONDS):
                piece = await request.content.read(_PIECE)
        return length, digest.digest()

    async def _hand_over(
        self, target: Target, key: bytes, lines: Sequence[tuple[bytes, bytes]], spooled: _Spooled
    ) -> int:
        headers = [
            ("Host", target.authority.decode("ascii")),
            (RING.decode("ascii"), f"push {target.scheme.decode('ascii')}"),
            ("Content-Length", str(spooled.length)),
            *((PUSHED.decode("ascii"), f"{name.decode('ascii')}: {value.decode('latin-1')}") for name, value in lines),
        ]
        url = URL(f"http://ring{target.path_and_query.decode('ascii')}", encoded=True)
        return await self._ask_owner(key, "PUT", url, headers, spooled.open())

    async def _ask_owner(self, key: bytes, method: str, url: URL, headers: object, data: object) -> int:
        """Return the status that the owner of a key answers; 503 when it does not."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=WORKER_SECONDS, sock_connect=WORKER_SECONDS)
        with Directory(self._folder) as directory:
            connector = aiohttp.UnixConnector(directory.address(f"worker-{self._owner_of(key)}"))
            try:
                async with (
                    aiohttp.ClientSession(
                        connector=connector, timeout=timeout, skip_auto_headers=("User-Agent",)
                    ) as session,
                    session.request(method, url, headers=headers, data=data) as response,  # type: ignore[arg-type]  # pairs
                ):
                    return response.status
            except (aiohttp.ClientError, TimeoutError, OSError):
                return 503


def _fields(request: web.Request) -> list[tuple[bytes, bytes]]:
    """Return the fields of the object that a request brings; PushRefused when one cannot be."""
    kind = request.headers.get("Content-Type", "application/octet-stream")
    lines = [(b"content-type", kind.encode("latin-1", "replace"))]
    for raw_name, value in request.raw_headers:
        name = raw_name.lower()
        if name.startswith(_PREFIX.encode("ascii")):
            lines.append((name.removeprefix(_PREFIX.encode("ascii")), value))
    refused = sorted({name for name, _ in lines} & _NOT_OF_OBJECTS)
    if refused:
        raise PushRefused(422, f"{refused[0].decode('ascii')} is not for the pusher to say.")
    try:
        return list(FieldSection.checked(lines))
    except ParseError as error:
        raise PushRefused(422, "A field of the object is malformed.") from error


def _digest(request: web.Request) -> bytes | None:
    """Return the SHA-256 that Content-Digest names (RFC 9530), None if it names none; PushRefused if malformed."""
    values = request.headers.getall("Content-Digest", [])
    if not values:
        return None
    try:
        found = parse_dictionary(", ".join(values).encode("ascii")).get(b"sha-256")
    except (ParseError, UnicodeEncodeError) as error:
        raise PushRefused(400, "Content-Digest is malformed.") from error
    value = getattr(found, "value", None)
    if value is None or not isinstance(value, bytes):
        raise PushRefused(400, "Content-Digest has no sha-256.")
    return value


def _etag(digest: str) -> bytes:
    return b'"%s"' % digest[:32].encode("ascii")


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    async with aiofiles.open(path, "rb") as file:
        while piece := await file.read(_PIECE):
            yield piece


def _delete(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def forget_spool(spool: Path) -> None:
    """Delete what an earlier run left there."""
    with suppress(OSError):
        for path in spool.iterdir():
            _delete(path)
