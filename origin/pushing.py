"""Pushing a directory to edges: what each lacks is sent, and nothing else."""

import asyncio
import base64
import mimetypes
import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import aiofiles

from origin.client import Answer, Edges

#: So many contents are on their way to one node at a time; of so many files is asked at once.
AT_ONCE, ASKED_AT_ONCE = 8, 2000
_PIECE = 256 << 10
# Of these types, contents are sent as they are: they are compressed already.
_DENSE = ("image/", "video/", "audio/", "font/woff", "application/zip", "application/gzip", "application/pdf")
_INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class File:
    """A file to push: where it is, the URL it is pushed as, its type, length in octets and SHA-256."""

    path: Path
    url: str
    type: str
    length: int
    digest: bytes


@dataclass(slots=True)
class Pushed:
    """What came of pushing to one node.

    Attributes:
        node: its URL.
        sent: files that were sent.
        octets: how many octets these have.
        kept: files that it had already.
        errors: what went wrong, a sentence each.
    """

    node: str
    sent: int = 0
    octets: int = 0
    kept: int = 0
    errors: list[str] | None = None

    def answer(self) -> Answer:
        """Return the same as what a node says."""
        told = {"sent": self.sent, "octets": self.octets, "kept": self.kept}
        return Answer(self.node, 0 if self.errors else 200, told, "; ".join((self.errors or [])[:3]))


class Unreadable(Exception):
    """A directory that cannot be pushed, for a reason that is a sentence."""


def found(folder: Path, base: str) -> list[File]:
    """Return the files below `folder` as they are pushed below the URL `base`; an index.html also as its directory.

    Symbolic links are followed to files inside; whatever else is no file is left out.

    Raises:
        Unreadable: a file cannot be read, or a link leads out.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise Unreadable(f"{folder} is no directory")
    files = []
    for path in _paths(root):
        length, digest = _measured(path)
        relative = path.relative_to(root).as_posix()
        kind = _type(path.name)
        urls = [f"{base.rstrip('/')}/{quote(name)}" for name in _names(relative)]
        files += [File(path, url, kind, length, digest) for url in urls]
    return files


async def push(
    edges: Edges,
    node: str,
    files: Sequence[File],
    fields: Mapping[str, str],
    done: Callable[[int], None],
    *,
    is_dry: bool,
) -> Pushed:
    """Send to `node` those of `files` that it lacks, with `fields`; `done` is told of octets that need no more sending."""
    pushed = Pushed(node)
    wanted: list[File] = []
    for first in range(0, len(files), ASKED_AT_ONCE):
        part = files[first : first + ASKED_AT_ONCE]
        objects = [{"url": file.url, "sha256": file.digest.hex()} for file in part]
        answer = await edges.ask(node, "POST", "/v1/objects/lacking", json={"objects": objects})
        if not answer.is_ok:
            pushed.errors = [answer.error]
            return pushed
        lacking = set(answer.told["urls"])
        wanted += [file for file in part if file.url in lacking]
    pushed.kept = len(files) - len(wanted)
    done(sum(file.length for file in files) - sum(file.length for file in wanted))
    if is_dry:
        pushed.sent, pushed.octets = len(wanted), sum(file.length for file in wanted)
        return pushed
    left = iter(wanted)

    async def send() -> None:
        for file in left:
            answer = await _sent(edges, node, file, fields)
            done(file.length)
            if answer.is_ok:
                pushed.sent += 1
                pushed.octets += file.length
            else:
                pushed.errors = [*(pushed.errors or []), f"{file.url}: {answer.error}"]

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(send())
    return pushed


async def _sent(edges: Edges, node: str, file: File, fields: Mapping[str, str]) -> Answer:
    is_dense = file.type.startswith(_DENSE) or file.length < 1024
    headers = {
        "Content-Type": file.type,
        "Content-Digest": f"sha-256=:{base64.b64encode(file.digest).decode('ascii')}:",
        **({"Content-Length": str(file.length)} if is_dense else {"Content-Encoding": "gzip"}),
        **{f"Object-{name}": value for name, value in fields.items()},
    }
    try:
        return await edges.ask(
            node, "PUT", "/v1/objects", params={"url": file.url}, headers=headers, data=_content(file.path, is_dense=is_dense)
        )  # fmt: skip
    except OSError as error:
        return Answer(node, 0, {}, f"cannot be read: {error.strerror}")


async def _content(path: Path, *, is_dense: bool) -> AsyncIterator[bytes]:
    coder = None if is_dense else zlib.compressobj(level=6, wbits=31)
    async with aiofiles.open(path, "rb") as file:
        while piece := await file.read(_PIECE):
            if coder is not None:
                piece = await asyncio.to_thread(coder.compress, piece)
            if piece:
                yield piece
    if coder is not None:
        yield coder.flush()


def _paths(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise Unreadable(f"{path} is a link that leads out of {root}")
            if path.is_file():
                yield path


def _names(relative: str) -> Iterator[str]:
    yield relative
    folder, _, name = relative.rpartition("/")
    if name == _INDEX:
        yield f"{folder}/" if folder else ""


def _measured(path: Path) -> tuple[int, bytes]:
    length, digest = 0, sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                length += len(piece)
                digest.update(piece)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
    return length, digest.digest()


def _type(name: str) -> str:
    kind, coding = mimetypes.guess_type(name)
    if kind is None or coding is not None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
