"""Frames at random: no crash, no hang, no growth.

FORELAND_FUZZ_SECONDS sets how long; FORELAND_FUZZ_SEED repeats a run.
"""

import asyncio
import gc
import logging
import os
import random
import tracemalloc

import hpack

from edge.downstream.http2.frames import PREFACE
from edge.errors import DownstreamError
from edge.policy.limits import Limits
from edge.tasks import alive
from tests.downstream.http2.speaking import (
    GET,
    POST,
    block,
    data,
    frame,
    headers,
    ping,
    priority,
    priority_update,
    rst,
    settings,
    window_update,
)  # fmt: skip
from tests.downstream.talking import say

SECONDS = float(os.environ.get("FORELAND_FUZZ_SECONDS", "2"))
SEED = int(os.environ.get("FORELAND_FUZZ_SEED", "1"))
VALUES = [b"", b"/", b"*", b"0", b"5", b"GET", b"\r\n", b"\0", b"trailers", b"a.test", b"x" * 300]
NAMES = [b":path", b":method", b":status", b"host", b"te", b"content-length", b"cookie", b"A", b"", b"a", b"expect"]


async def handle(request, content, responder, _client):
    try:
        size = 0
        if request.target.path != b"/early":
            while piece := await content.read():
                size += len(piece)
        await say(responder, 200, bytes(size % 100_000))
    except DownstreamError:
        return


class Fuzzer:
    """Sequences of frames that are right for the most part, and then not."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.encoder = hpack.Encoder()
        self.last = -1

    def sequence(self) -> bytes:
        self.encoder, self.last = hpack.Encoder(), -1
        pieces = [self.piece() for _ in range(self.random.randint(1, 60))]
        sent = PREFACE + settings() + b"".join(pieces)
        return self.spoilt(sent) if self.random.random() < 0.3 else sent

    def piece(self) -> bytes:
        stream, pick = self.stream(), self.random
        return pick.choice([
            self.request, self.request, self.request,
            lambda: data(stream, pick.randbytes(pick.choice([0, 1, 100, 16384])), ends=pick.random() < 0.5),
            lambda: frame(0, pick.choice([8, 9]), stream, bytes([pick.randrange(256)]) + bytes(pick.randrange(300))),
            lambda: window_update(pick.choice([0, stream]), pick.choice([0, 1, 1000, 65535, (1 << 31) - 1])),
            lambda: rst(stream), ping, lambda: settings((pick.randrange(11), pick.choice([0, 1, 100, 65535, 1 << 31]))),
            lambda: priority(stream, self.stream()), lambda: priority_update(stream, pick.randbytes(5)),
            lambda: frame(pick.randrange(18), pick.randrange(256), stream, pick.randbytes(pick.randrange(40))),
            lambda: frame(1, 5, self.next(), pick.randbytes(pick.randrange(60))),
            lambda: frame(1, 1, self.next(), block(*GET)) + frame(9, pick.choice([0, 4]), self.last, block((b"a", b"b"))),
        ])()  # fmt: skip

    def request(self) -> bytes:
        pick = self.random
        lines = list(pick.choice([GET, POST]))
        for _ in range(pick.choice([0, 0, 1, 3])):
            lines.insert(pick.randrange(len(lines) + 1), (pick.choice(NAMES), pick.choice(VALUES)))
        if pick.random() < 0.5:
            return frame(1, pick.choice([4, 5]), self.next(), self.encoder.encode(lines))
        return headers(self.next(), ends=pick.random() < 0.5, request=lines)

    def spoilt(self, sent: bytes) -> bytes:
        octets = bytearray(sent)
        for _ in range(self.random.randint(1, 8)):
            octets[self.random.randrange(len(octets))] = self.random.randrange(256)
        return bytes(octets[: self.random.randint(1, len(octets))])

    def stream(self) -> int:
        return self.random.choice([0, 1, self.last, self.last, max(0, self.last - 2), self.last + 4, 2]) & 0x7FFFFFFF

    def next(self) -> int:
        self.last += 2
        return self.last


async def test_whatever_comes_a_connection_ends_and_leaves_nothing(speaking, caplog):
    caplog.set_level(logging.ERROR)
    _, port = await speaking.listener(handle, Limits(drain_timeout=0.5))
    fuzzer, loop = Fuzzer(SEED), asyncio.get_running_loop()
    began, rounds, sizes = loop.time(), 0, []
    tracemalloc.start()
    try:
        while loop.time() - began < SECONDS:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sent = fuzzer.sequence()
            at = 0
            try:
                while at < len(sent):
                    size = fuzzer.random.choice([1, 9, 100, 5000, 1 << 17])
                    writer.write(sent[at : at + size])
                    at += size
                    await writer.drain()
                writer.write_eof()
                async with asyncio.timeout(30):
                    while await reader.read(1 << 16):
                        pass
            except ConnectionError:
                pass
            finally:
                writer.close()
            rounds += 1
            if rounds % 50 == 0:
                # What the test is told of is no growth of ours.
                speaking.counted.clear()
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert rounds > 5
    assert not caplog.records
    async with asyncio.timeout(30):
        while alive() or speaking.listeners[0].connections:
            await asyncio.sleep(0)
    if len(sizes) > 4:
        assert min(sizes[-2:]) < max(sizes[1:3]) + (1 << 20)
