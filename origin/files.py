"""A directory as an origin: from a raw path to an open file, and nothing outside the root."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aiofiles.threadpool.binary import AsyncBufferedReader

from origin.answer import Representation
from origin.conditional import Validators

READ_SIZE = 256 * 1024

_CONTENT_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".gif": "image/gif",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
    ".zip": "application/zip",
}
# RFC 8615: the one segment with a leading dot that is meant to be seen.
_VISIBLE = ".well-known"


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is served for the path; `status` says why."""

    status: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """The path is a directory's without its final "/"."""

    location: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open, with the size and times it had then; the content of a representation."""

    file: BufferedReader
    path: Path
    length: int
    mtime_ns: int

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the octets [start, end); EOFError when the file has become shorter."""
        file = AsyncBufferedReader(self.file, loop=None, executor=None)
        await file.seek(start)
        while start < end:
            data = await file.read(min(READ_SIZE, end - start))
            if not data:
                raise EOFError(f"{self.path} ends at {start}")
            start += len(data)
            yield data

    def representation(self) -> Representation:
        """Return the file as a representation with a strong entity tag and a modification time."""
        content_type = _CONTENT_TYPES.get(self.path.suffix.lower(), "application/octet-stream")
        validators = Validators(f'"{self.length:x}-{self.mtime_ns:x}"', self.mtime_ns // 1_000_000_000)
        return Representation(self, content_type, validators)

    def close(self) -> None:
        """Close the file; not on a thread, for a cancelled task would leave it open."""
        self.file.close()


async def look_up(root: Path, raw_path: str) -> OpenFile | Redirect | Refused:
    """Return what `raw_path`, still percent-encoded, stands for under `root`, which is resolved."""
    segments = _segments(raw_path)
    if isinstance(segments, Refused):
        return segments
    try:
        found = await asyncio.to_thread(_find, root, segments)
    except PermissionError:
        return Refused(HTTPStatus.FORBIDDEN)
    except OSError:
        return Refused(HTTPStatus.NOT_FOUND)
    return Redirect(f"{raw_path}/") if found is None else found


def _segments(raw_path: str) -> list[str] | Refused:
    """Return the decoded segments of a path, the last one "" for a directory, or the refusal of an unsafe one."""
    try:
        segments = [unquote_to_bytes(segment).decode() for segment in raw_path.split("/")[1:]]
    except UnicodeDecodeError:
        return Refused(HTTPStatus.BAD_REQUEST)
    if not segments or any("\0" in segment for segment in segments):
        return Refused(HTTPStatus.BAD_REQUEST)
    for position, segment in enumerate(segments):
        is_hidden = segment.startswith(".") and segment != _VISIBLE
        if is_hidden or "/" in segment or (not segment and position < len(segments) - 1):
            return Refused(HTTPStatus.NOT_FOUND)
    return segments


def _find(root: Path, segments: list[str]) -> OpenFile | Refused | None:
    """Open the regular file under `root` that `segments` lead to; None for a directory, OSError without a file."""
    path = root.joinpath(*segments).resolve(strict=True)
    is_directory = path.is_relative_to(root) and path.is_dir()
    if is_directory and segments[-1]:
        return None
    if is_directory:
        path = (path / "index.html").resolve(strict=True)
    elif not segments[-1]:
        return Refused(HTTPStatus.NOT_FOUND)
    if not path.is_relative_to(root) or not stat.S_ISREG(path.stat().st_mode):
        return Refused(HTTPStatus.NOT_FOUND)
    # Between the check and the opening the last segment may have become a link or a pipe: neither is followed.
    file = open(path, "rb", opener=_open_regular)  # noqa: SIM115 - closed by its owner
    status = os.fstat(file.fileno())
    return OpenFile(file, path, status.st_size, status.st_mtime_ns)


def _open_regular(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
