"""A version of a site: every path with its content and fields."""

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import unquote_to_bytes

import msgspec

from edge.errors import ParseError

#: So many paths may one version have.
MOST = 200_000
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
Text = Annotated[str, msgspec.Meta(max_length=8192)]

_is_path = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*").fullmatch
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?").fullmatch
_CODINGS = frozenset({"br", "gzip", "zstd"})
# Framing and what the edge itself says of a response.
_OWN = frozenset({
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
    "content-encoding", "content-range", "content-type", "date", "etag", "age", "last-modified", "via", "cache-status",
    "vary",
})  # fmt: skip


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Octets, by what they are."""

    sha256: Hash
    size: Size


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is served at a path: the content, its forms in other codings, and the fields that go with all of them."""

    path: Text
    sha256: Hash
    size: Size
    type: Text = "application/octet-stream"
    fields: dict[Text, Text] = {}
    codings: dict[str, Content] = {}

    def contents(self) -> Iterator[tuple[str, int]]:
        """Yield hash and size of every content."""
        yield self.sha256, self.size
        for coded in self.codings.values():
            yield coded.sha256, coded.size


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a version of a site consists of."""

    site: Text
    entries: Annotated[list[Entry], msgspec.Meta(max_length=MOST)]


class Version(msgspec.Struct, frozen=True):
    """A manifest that was handed in: its id, by whom, and when, in seconds."""

    id: str
    by: str
    time: float
    manifest: Manifest

    def contents(self) -> dict[str, int]:
        """Return the size of every content by its hash."""
        return {name: size for entry in self.manifest.entries for name, size in entry.contents()}


def plain(path: bytes) -> bytes | None:
    """Return a path with its percent triples decoded; None if a "/" or NUL hides in one, so that it is no file's."""
    if b"%" not in path:
        return path
    decoded = unquote_to_bytes(path)
    return decoded if decoded.count(b"/") == path.count(b"/") and b"\0" not in decoded else None


def faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield a JSON pointer and a sentence for everything that is wrong with a manifest."""
    seen: dict[bytes, int] = {}
    sizes: dict[str, int] = {}
    for index, entry in enumerate(manifest.entries):
        at = f"/entries/{index}"
        try:
            path = checked_path(entry.path)
        except ParseError as error:
            yield f"{at}/path", str(error)
            continue
        if seen.setdefault(path, index) != index:
            yield f"{at}/path", f"it is the path of entry {seen[path]} as well"
        if any(sizes.setdefault(name, size) != size for name, size in entry.contents()):
            yield f"{at}/size", "one content has two sizes"
        if not entry.codings.keys() <= _CODINGS:
            yield f"{at}/codings", f"a coding is one of {', '.join(sorted(_CODINGS))}"
        if _is_value(entry.type) is None:
            yield f"{at}/type", "it is not a media type"
        for name, value in entry.fields.items():
            if _is_name(name) is None or name.lower() in _OWN:
                yield f"{at}/fields", f"{name[:64]!r} cannot be set"
            elif value and _is_value(value) is None:
                yield f"{at}/fields/{name}", "it is not a field value in ASCII"


def checked_path(text: str) -> bytes:
    """Return the path that is looked up for a path as it stands in a URL; ParseError, with a sentence, if it is none."""
    if _is_path(text) is None:
        raise ParseError('a path begins with "/" and is written as in a URL')
    path = plain(text.encode("ascii"))
    if path is None or {b".", b".."} & set(path.split(b"/")):
        raise ParseError('a path has no "." or ".." between slashes, and no coded "/"')
    return path
