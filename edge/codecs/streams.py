"""Sources of coded and decoded content, worked on in threads of their own that give way to the event loop."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from edge.codecs.coders import DECODERS, ENCODERS, Decoder, Encoder
from edge.errors import UpstreamUndecodable
from edge.ports import Closable, Incoming, Piece

#: What is worked on at once, octets; less than `_INLINE` in all take no longer than the way to a thread and back.
SLICE, _INLINE = 256 << 10, 2048
#: Content that was `FREE` octets long may not become more than so many times what came in.
FREE, PROPORTION = 1 << 20, 1000
_THREADS = 2
_LEVELS = {b"zstd": 3, b"br": 4, b"gzip": 6}
_SMALL_LEVELS = {b"zstd": 19, b"br": 11, b"gzip": 9}
# So much less urgent than the event loop the threads are.
_NICE, _NICEST = 10, 19


class NodeCodecs:
    """The port `Codecs`."""

    def __init__(self) -> None:
        self._fast = ThreadPoolExecutor(_THREADS, "code", _give_way, (_NICE,))
        self._slow = ThreadPoolExecutor(1, "code-small", _give_way, (_NICEST,))

    def coded(self, source: Closable, coding: bytes, *, small: bool, is_dry: Callable[[], bool]) -> Incoming:
        """Return what `source` gives, in `coding`."""
        encoder = ENCODERS[coding]((_SMALL_LEVELS if small else _LEVELS)[coding])
        return CodedSource(source, encoder, self._slow if small else self._fast, is_dry)

    def decoded(self, source: Closable, coding: bytes, limit: int) -> Incoming:
        """Return what `source` gives in `coding`, without it."""
        return DecodedSource(source, DECODERS[coding](), self._fast, limit)

    def close(self) -> None:
        """Begin no more work."""
        for pool in (self._fast, self._slow):
            pool.shutdown(wait=False, cancel_futures=True)


class CodedSource:
    """A content in a coding."""

    def __init__(
        self, source: Closable, encoder: Encoder, pool: ThreadPoolExecutor, is_dry: Callable[[], bool]
    ) -> None:
        self._source, self._encoder, self._pool, self._is_dry = source, encoder, pool, is_dry
        self._rest: Piece = b""
        self._taken = 0
        self._is_over = False

    async def read(self) -> bytes:
        """Return the next octets of the coded content as soon as there are any that need not wait."""
        while not self._is_over:
            piece = self._rest or await self._source.read()
            data, self._rest = bytes(piece[:SLICE]), piece[SLICE:]
            self._is_over = not data
            work = partial(_encode, self._encoder, data, is_dry=not self._rest and self._is_dry())
            # The encoder may have put off all of the work until now.
            self._taken += len(data)
            if coded := await self._done(work):
                return coded
        return b""

    async def _done(self, work: Callable[[], bytes]) -> bytes:
        if self._taken < _INLINE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()


class DecodedSource:
    """A content without its coding."""

    def __init__(self, source: Closable, decoder: Decoder, pool: ThreadPoolExecutor, limit: int) -> None:
        self._source, self._decoder, self._pool, self._limit = source, decoder, pool, limit
        self._taken = self._given = 0
        self._rest: Piece = b""

    async def read(self) -> bytes:
        """Return the next octets; UpstreamUndecodable when there are none, or too many."""
        while True:
            data = b""
            if not self._decoder.has_more:
                piece = self._rest or await self._source.read()
                data, self._rest = bytes(piece[:SLICE]), piece[SLICE:]
                if not data:
                    if self._decoder.is_at_end:
                        return b""
                    raise UpstreamUndecodable("the content ends in the middle")
            self._taken += len(data)
            work = partial(self._decoder.decode, data, SLICE)
            decoded = await asyncio.get_running_loop().run_in_executor(self._pool, work)
            self._given += len(decoded)
            if self._given > self._limit or self._given > max(FREE, PROPORTION * self._taken):
                raise UpstreamUndecodable("too much when it is decoded")
            if decoded:
                return decoded

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()


def _encode(encoder: Encoder, data: bytes, *, is_dry: bool) -> bytes:
    if not data:
        return encoder.finish()
    coded = encoder.encode(data)
    return coded + encoder.flush() if is_dry else coded


def _give_way(nice: int) -> None:
    """Let the thread have the CPU when nobody else wants it."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
