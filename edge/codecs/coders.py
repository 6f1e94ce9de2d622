"""One content being coded or decoded, by whichever library does it best."""

import sys
from collections.abc import Callable, Mapping
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # ships no types
from zlib_ng import zlib_ng

from edge.errors import UpstreamUndecodable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# RFC 9659 §3: nobody has to have room for more than 8 MiB.
_ZSTD_WINDOW = 23
_GZIP = 16 + 15


class Encoder(Protocol):
    """Makes one coded content."""

    def encode(self, data: bytes) -> bytes:
        """Take octets and return what of the coded content is ready."""
        ...

    def flush(self) -> bytes:
        """Return all that is needed to decode what was taken so far."""
        ...

    def finish(self) -> bytes:
        """Return the rest."""
        ...


class Decoder(Protocol):
    """Reads one coded content.

    Attributes:
        is_at_end: whether the content may end here.
        has_more: whether there is output left for octets that were taken.
    """

    @property
    def is_at_end(self) -> bool: ...  # noqa: D102

    @property
    def has_more(self) -> bool: ...  # noqa: D102

    def decode(self, data: bytes, limit: int) -> bytes:
        """Take octets and return decoded ones, about `limit` at most; UpstreamUndecodable if they are not the coding's."""
        ...


class ZstdEncoder:
    """RFC 8878."""

    def __init__(self, level: int) -> None:
        # No level up to 19 takes a larger window than a client must have room for.
        self._zstd = zstd.ZstdCompressor(level=level)

    def encode(self, data: bytes) -> bytes:
        """Take octets."""
        return self._zstd.compress(data)

    def flush(self) -> bytes:
        """End a block."""
        return self._zstd.flush(zstd.ZstdCompressor.FLUSH_BLOCK)

    def finish(self) -> bytes:
        """End the frame."""
        return self._zstd.flush(zstd.ZstdCompressor.FLUSH_FRAME)


class BrotliEncoder:
    """RFC 7932."""

    def __init__(self, level: int) -> None:
        self._brotli = brotli.Compressor(quality=level)

    def encode(self, data: bytes) -> bytes:
        """Take octets."""
        return bytes(self._brotli.process(data))

    def flush(self) -> bytes:
        """End a meta-block."""
        return bytes(self._brotli.flush())

    def finish(self) -> bytes:
        """End the stream."""
        return bytes(self._brotli.finish())


class GzipEncoder:
    """RFC 1952."""

    def __init__(self, level: int) -> None:
        self._zlib = zlib_ng.compressobj(level, zlib_ng.DEFLATED, _GZIP)

    def encode(self, data: bytes) -> bytes:
        """Take octets."""
        return self._zlib.compress(data)

    def flush(self) -> bytes:
        """End a block."""
        return self._zlib.flush(zlib_ng.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """End the member."""
        return self._zlib.flush(zlib_ng.Z_FINISH)


class ZstdDecoder:
    """Frames, one behind the other."""

    def __init__(self) -> None:
        self._zstd = self._frame()
        self._has_begun = False

    @property
    def is_at_end(self) -> bool:
        """Whether a frame has just ended."""
        return self._zstd.eof or not self._has_begun

    @property
    def has_more(self) -> bool:
        """Whether output waits, or another frame begins."""
        return bool(self._zstd.unused_data) if self._zstd.eof else not self._zstd.needs_input

    def decode(self, data: bytes, limit: int) -> bytes:
        """Decode within one frame."""
        if self._zstd.eof:
            data = self._zstd.unused_data + data
            self._zstd, self._has_begun = self._frame(), False
        self._has_begun = self._has_begun or bool(data)
        try:
            return self._zstd.decompress(data, limit)
        except (zstd.ZstdError, EOFError) as error:
            raise UpstreamUndecodable("not zstd") from error

    @staticmethod
    def _frame() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW})


class BrotliDecoder:
    """One stream."""

    def __init__(self) -> None:
        self._brotli = brotli.Decompressor()
        self._has_begun = self._is_full = False

    @property
    def is_at_end(self) -> bool:
        """Whether the stream has ended."""
        return self._brotli.is_finished() or not self._has_begun

    @property
    def has_more(self) -> bool:
        """Whether output waits."""
        return not self._brotli.is_finished() and (self._is_full or not self._brotli.can_accept_more_data())

    def decode(self, data: bytes, limit: int) -> bytes:
        """Decode."""
        self._has_begun = self._has_begun or bool(data)
        try:
            if self._brotli.is_finished() and data:
                raise UpstreamUndecodable("something behind the end of brotli")
            decoded = bytes(self._brotli.process(data, output_buffer_limit=limit))
        except brotli.error as error:
            raise UpstreamUndecodable("not brotli") from error
        self._is_full = len(decoded) >= limit
        return decoded


class GzipDecoder:
    """Members, one behind the other (RFC 1952 §2.2)."""

    def __init__(self) -> None:
        self._zlib = zlib_ng.decompressobj(_GZIP)
        self._has_begun = self._is_full = False

    @property
    def is_at_end(self) -> bool:
        """Whether a member has just ended."""
        return self._zlib.eof or not self._has_begun

    @property
    def has_more(self) -> bool:
        """Whether output waits, or another member begins."""
        # Without input left, there is still output where the limit fell into the middle of a match.
        return bool(self._zlib.unused_data) if self._zlib.eof else bool(self._zlib.unconsumed_tail) or self._is_full

    def decode(self, data: bytes, limit: int) -> bytes:
        """Decode within one member."""
        if self._zlib.eof:
            data = self._zlib.unused_data + data
            self._zlib, self._has_begun = zlib_ng.decompressobj(_GZIP), False
        else:
            data = self._zlib.unconsumed_tail + data
        self._has_begun = self._has_begun or bool(data)
        try:
            decoded = self._zlib.decompress(data, limit)
        except zlib_ng.error as error:  # type: ignore[misc]  # its types take the class for an instance
            raise UpstreamUndecodable("not gzip") from error
        self._is_full = len(decoded) >= limit
        return decoded


#: By coding: what makes it at a level.
ENCODERS: Mapping[bytes, Callable[[int], Encoder]] = {b"zstd": ZstdEncoder, b"br": BrotliEncoder, b"gzip": GzipEncoder}
#: By coding: what reads it.
DECODERS: Mapping[bytes, Callable[[], Decoder]] = {b"zstd": ZstdDecoder, b"br": BrotliDecoder, b"gzip": GzipDecoder}
