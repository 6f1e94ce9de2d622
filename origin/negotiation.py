"""Proactive negotiation by quality values (RFC 9110 §12.5): which content coding, which language; and the coders."""

import re
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # ships no types
from backports import zstd

_weight = re.compile(r"[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII).fullmatch


class Coder(Protocol):
    """A streaming encoder."""

    def encode(self, data: bytes) -> bytes:
        """Return what can be sent after taking in `data`."""
        ...

    def finish(self) -> bytes:
        """Return the rest of the encoded content."""
        ...


class _Brotli:
    def __init__(self) -> None:
        self._compressor = brotli.Compressor(quality=5)

    def encode(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data))

    def finish(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstandard:
    def __init__(self) -> None:
        # RFC 9659: a window over 8 MiB must not be used with the zstd content coding.
        self._compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 20})

    def encode(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(level=6, wbits=31)

    def encode(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def finish(self) -> bytes:
        return self._compressor.flush()


#: The content codings, the preferred one first.
CODERS: dict[str, Callable[[], Coder]] = {"br": _Brotli, "zstd": _Zstandard, "gzip": _Gzip}


def qualities(value: str) -> dict[str, float]:
    """Return the weight of each lower-case member of an Accept-* field; a member with a malformed weight is left out."""
    found = {}
    for member in value.split(","):
        name, semicolon, parameter = (part.strip().lower() for part in member.partition(";"))
        match = _weight(parameter)
        if name and (match is not None or not semicolon):
            found[name] = float(match[1]) if match is not None else 1.0
    return found


def content_coding(accept_encoding: str | None) -> str | None:
    """Return the content coding to send, or None for none (also when the client refuses that too, §12.5.3)."""
    if accept_encoding is None:
        return None
    weights = qualities(accept_encoding)
    fallback = weights.get("*", 0.0)
    # RFC 9110 §8.4.1.3: x-gzip is gzip.
    wanted = {c: weights.get(c, weights.get("x-gzip", fallback) if c == "gzip" else fallback) for c in CODERS}
    best = max(wanted, key=wanted.__getitem__)
    return best if wanted[best] > 0 and wanted[best] >= weights.get("identity", 0.0) else None


def language(accept_language: str | None, available: Sequence[str]) -> str:
    """Return one of `available`, the first of which is the default, by RFC 4647 §3.4 look-up."""
    weights = qualities(accept_language or "")
    for tag in sorted((tag for tag in weights if weights[tag] > 0), key=lambda tag: -weights[tag]):
        subtags = tag.split("-")
        for count in range(len(subtags), 0, -1):
            if (shortened := "-".join(subtags[:count])) in available:
                return shortened
    return available[0]


async def encoded(content: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """Yield `content` in `coding`, piece by piece."""
    coder = CODERS[coding]()
    async for data in content:
        if piece := coder.encode(data):
            yield piece
    yield coder.finish()
