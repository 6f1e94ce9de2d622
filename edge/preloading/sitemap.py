"""Sitemaps (sitemaps.org, protocol 0.9): XML, or a URL on each line; compressed with gzip or not."""

import zlib
from dataclasses import dataclass
from xml.parsers import expat

from edge.errors import EdgeError

#: The longest sitemap, octets, as the protocol has it, and the URLs of one.
LONGEST, MOST = 50 << 20, 50_000
_GZIP = b"\x1f\x8b"
_SPACE = " \t\r\n"


class BadSitemap(EdgeError):
    """It cannot be understood, for a reason that is a sentence."""


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The URLs of a sitemap, and those of sitemaps that it is an index of; neither are checked."""

    urls: list[str]
    sitemaps: list[str]


def read_sitemap(raw: bytes) -> Sitemap:
    """Return what a sitemap lists.

    Raises:
        BadSitemap: it is no sitemap, or a larger one than there may be.
    """
    content = _unpacked(raw) if raw.startswith(_GZIP) else raw
    if len(content) > LONGEST:
        raise BadSitemap("it is longer than 50 MiB")
    found = (
        _of_xml(content) if content.lstrip(b"\xef\xbb\xbf" + _SPACE.encode()).startswith(b"<") else _of_lines(content)
    )
    if len(found.urls) + len(found.sitemaps) > MOST:
        raise BadSitemap(f"it has more than {MOST:,} URLs")
    return found


def _unpacked(raw: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(raw, LONGEST + 1)
    except zlib.error as error:
        raise BadSitemap("it is not gzip, though it begins so") from error
    if not unpacking.eof and len(content) <= LONGEST:
        raise BadSitemap("it ends in the middle of its gzip data")
    return content


def _of_lines(content: bytes) -> Sitemap:
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadSitemap("it is neither XML nor text in UTF-8") from error
    return Sitemap([line.strip() for line in lines if line.strip()], [])


def _of_xml(content: bytes) -> Sitemap:
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.refuse_doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(content, True)  # noqa: FBT003 - the interface of expat
    except expat.ExpatError as error:
        raise BadSitemap(
            f"it is not well-formed XML: {expat.ErrorString(error.code)} in line {error.lineno}"
        ) from error
    return Sitemap(reading.urls, reading.sitemaps)


class _Reading:
    """What was read so far of a document."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.sitemaps: list[str] = []
        self._path: list[str] = []
        self._text: list[str] = []

    def refuse_doctype(self, *_: object) -> None:
        # No sitemap has one, and what entities it defines may be larger than any memory.
        raise BadSitemap("it has a document type declaration, which no sitemap needs")

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        name = name.rpartition(" ")[2]
        if not self._path and name not in {"urlset", "sitemapindex"}:
            raise BadSitemap(f"its outermost element is {name[:40]!r}, not urlset or sitemapindex")
        self._path.append(name)
        self._text.clear()

    def text(self, text: str) -> None:
        if self._path[-1] == "loc":
            self._text.append(text)

    def end(self, _name: str) -> None:
        match self._path:
            case ["urlset", "url", "loc"]:
                self.urls.append("".join(self._text).strip(_SPACE))
            case ["sitemapindex", "sitemap", "loc"]:
                self.sitemaps.append("".join(self._text).strip(_SPACE))
            case _:
                pass
        self._path.pop()
