"""Publishing a directory on edges as one version: contents that a node lacks first, and then all of it at once."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from origin.client import Answer, Edges
from origin.pushing import File

#: Octets of short contents that are sent together, and bundles on their way to one node at a time.
BUNDLE, AT_ONCE = 4 << 20, 4
_TYPE = "application/vnd.foreland.bundle"
_PIECE = 256 << 10


def manifest(site: str, files: Iterable[File], fields: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what a version of `site` consists of, whose files have URLs that are paths."""
    entries = [
        {"path": file.url, "sha256": file.digest.hex(), "size": file.length, "type": file.type, "fields": fields}
        for file in files
    ]
    return {"site": site, "entries": entries}


async def publish(
    edges: Edges,
    nodes: Sequence[str],
    version: Mapping[str, Any],
    files: Iterable[File],
    done: Callable[[int], None],
    *,
    activates: bool,
    keep: int | None,
) -> list[Answer]:
    """Send `version` to every node, and let each serve it that has all of it.

    `done` is told of octets that need no more sending: for each node those of each content, as `octets` counts them.
    """
    by_hash = {file.digest.hex(): file for file in files}
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(_publish(edges, node, version, by_hash, done, activates=activates, keep=keep))
            for node in nodes
        ]
    return [task.result() for task in asked]


def octets(files: Iterable[File]) -> int:
    """Return how many octets the contents of some files have; one that is there twice counts once."""
    return sum({file.digest: file.length for file in files}.values())


async def _publish(
    edges: Edges,
    node: str,
    version: Mapping[str, Any],
    by_hash: Mapping[str, File],
    done: Callable[[int], None],
    *,
    activates: bool,
    keep: int | None,
) -> Answer:
    drafted = await edges.ask(node, "POST", "/v1/manifests", json=version)
    if not drafted.is_ok:
        return drafted
    lacking = [by_hash[name] for name in drafted.told["lacks"]]
    done(octets(by_hash.values()) - octets(lacking))
    failed = await _send(edges, node, _bundles(lacking), done)
    if failed is not None:
        return failed
    told = {"site": version["site"], "id": drafted.told["id"], "sent": len(lacking)}
    if not activates:
        return Answer(node, 200, told)
    activated = await edges.ask(node, "POST", f"/v1/manifests/{told['id']}/activate", json={})
    if activated.is_ok and keep is not None:
        pruned = await edges.ask(node, "POST", f"/v1/sites/{quote(told['site'], safe='')}/prune", json={"keep": keep})
        if not pruned.is_ok:
            return pruned
    return replace(activated, told={**activated.told, **told}) if activated.is_ok else activated


async def _send(edges: Edges, node: str, bundles: Iterator[list[File]], done: Callable[[int], None]) -> Answer | None:
    """Send contents; return the first answer that is a failure, after which nothing more is sent."""
    failures: list[Answer] = []

    async def send() -> None:
        for files in bundles:
            if failures:
                return
            answer = await _bundle_sent(edges, node, files, done)
            if not answer.is_ok:
                failures.append(answer)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(send())
    return failures[0] if failures else None


async def _bundle_sent(edges: Edges, node: str, files: Sequence[File], done: Callable[[int], None]) -> Answer:
    headers = {"Content-Type": _TYPE}
    try:
        if len(files) == 1 and files[0].length > BUNDLE:
            return await edges.ask(node, "POST", "/v1/blobs", headers=headers, data=_pieces(files[0], done))
        data = await asyncio.to_thread(lambda: gzip.compress(b"".join(map(_whole, files)), 5))
    except OSError as error:
        return Answer(node, 0, {}, f"{error.filename} cannot be read: {error.strerror}")
    answer = await edges.ask(node, "POST", "/v1/blobs", headers={**headers, "Content-Encoding": "gzip"}, data=data)
    done(octets(files))
    return answer


def _bundles(files: Iterable[File]) -> Iterator[list[File]]:
    together: list[File] = []
    octets = 0
    for file in files:
        if together and octets + file.length > BUNDLE:
            yield together
            together, octets = [], 0
        together.append(file)
        octets += file.length
    if together:
        yield together


def _head(file: File) -> bytes:
    return file.digest + file.length.to_bytes(8, "big")


def _whole(file: File) -> bytes:
    # What has changed since it was measured does not have the hash, and is refused.
    return _head(file) + _short(file.path, file.length)


def _short(path: Path, length: int) -> bytes:
    with path.open("rb") as opened:
        return opened.read(length)


async def _pieces(file: File, done: Callable[[int], None]) -> AsyncIterator[bytes]:
    yield _head(file)
    with await asyncio.to_thread(file.path.open, "rb") as opened:
        while piece := await asyncio.to_thread(opened.read, _PIECE):
            yield piece
            done(len(piece))
