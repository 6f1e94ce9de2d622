"""Contents and versions for the tests."""

import hashlib
from pathlib import Path

from edge.published.blobs import Blobs
from edge.published.manifest import Content, Entry, Manifest, Version
from edge.published.versions import Versions

SITE, NOW = "site.test", 1_800_000_000.0


def named(content: bytes) -> str:
    """Return the name of a content."""
    return hashlib.sha256(content).hexdigest()


def put(blobs: Blobs, *contents: bytes) -> None:
    """Take contents in, which are not settled by that."""
    for content in contents:
        incoming = blobs.incoming(named(content), len(content))
        incoming.write(content)
        incoming.finish()


def entry(path: str, content: bytes, codings: dict[str, bytes] | None = None, **changes) -> Entry:
    """Return an entry with a content and its forms in codings."""
    forms = {coding: Content(named(form), len(form)) for coding, form in (codings or {}).items()}
    return Entry(path, named(content), len(content), codings=forms, **changes)


def manifest(site: str = SITE, **contents: bytes) -> Manifest:
    """Return a manifest of contents by the last segment of their path."""
    return Manifest(site, [entry(f"/{name}", content) for name, content in contents.items()])


def versions(directory: Path, quota: int = 1 << 20) -> Versions:
    """Return what a process that begins sees in a directory."""
    return Versions(directory, Blobs(directory, quota))


def publish(where: Versions, **contents: bytes) -> Version:
    """Take contents in, and let a version of them be active."""
    put(where.blobs, *contents.values())
    version = where.add(manifest(**contents), "ann", NOW)
    where.activate(version, "ann", NOW, expected=None)
    return version
