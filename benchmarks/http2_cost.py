"""What a hit costs over HTTP/2 and over HTTP/1.1 inside the process: calls and CPU time, without sockets.

    python -m benchmarks.http2_cost        microseconds and calls a request, for ten requests in each read

The connection is given octets and a transport that forgets; so it measures this code, not the machine's network.
"""

import asyncio
import cProfile
import pstats
import time

from edge.clock import SystemClock
from edge.downstream.http1 import Http1
from edge.downstream.http2.connection import Http2
from edge.downstream.http2.encoding import encode_line
from edge.downstream.http2.frames import ACK, PREFACE, SETTINGS, header, headers, window_update
from edge.downstream.listener import Listener
from edge.downstream.ready import ReadyTable
from edge.policy.limits import Limits
from edge.ports import Record, Second
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request, Response

BATCHES, STREAMS = 2000, 10
_FIELDS = FieldSection([
    (b"content-type", b"text/html"), (b"etag", b'"6b0341e0-400"'), (b"cache-control", b"max-age=3600"), (b"age", b"1"),
    (b"via", b"1.1 foreland"), (b"cache-status", b"foreland; hit; ttl=3599"), (b"date", b"Sat, 01 Jan 2022 00:00:00 GMT"),
])  # fmt: skip


class _Answer:
    """An answer that is always ready."""

    body = bytes(1024)
    length = 1024

    def second(self, now: float) -> Second | None:
        return int(now), 0

    def head(self, second: Second) -> Response:
        return Response(200, _FIELDS)

    def record(self, request: Request, client: str, now: float) -> Record:
        raise NotImplementedError


class _Transport(asyncio.Transport):
    """Takes everything, keeps nothing."""

    writes = octets = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self.octets += len(data)

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take everything."""


async def measure(protocol: Http1 | Http2, reads: list[bytes]) -> tuple[float, float, int]:
    """Return CPU microseconds, calls and octets out for each read."""
    transport = _Transport()
    protocol.connection_made(transport)
    for read in reads[:20]:
        protocol.data_received(read)
        await asyncio.sleep(0)
    transport.octets = 0
    profiled = reads[20 : 20 + len(reads) // 4]
    profile = cProfile.Profile()
    profile.enable()
    for read in profiled:
        protocol.data_received(read)
        await asyncio.sleep(0)
    profile.disable()
    timed = reads[20 + len(profiled) :]
    began = time.process_time()
    for read in timed:
        protocol.data_received(read)
        await asyncio.sleep(0)
    spent = time.process_time() - began
    calls = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return spent / len(timed) * 1e6, calls / len(profiled), transport.octets // (len(profiled) + len(timed))


async def main() -> None:
    """Measure."""
    answer = _Answer()
    table = ReadyTable(lambda _: answer, lambda *_: None, SystemClock())
    limits = Limits(requests_per_connection=1 << 40, streams_per_connection=1 << 40)

    async def unused(*_: object) -> None:
        raise NotImplementedError

    listener = Listener(unused, unused, limits, SystemClock(), ready=table)
    one = b"GET /hit/1k HTTP/1.1\r\nHost: a.test\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"
    spent, calls, octets = await measure(Http1(listener), [one] * BATCHES)
    print(f"HTTP/1.1  {spent:6.1f} us  {calls:5.0f} calls  {octets:5d} octets a request")
    lines = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/hit/1k")]
    block = b"".join(encode_line(*line) for line in [*lines, (b"user-agent", b"x"), (b"accept", b"*/*")])
    reads = [PREFACE + header(0, SETTINGS, 0, 0) + header(0, SETTINGS, ACK, 0)]
    for batch in range(BATCHES):
        first = batch * STREAMS * 2 + 1
        asked = [headers(stream, block, ends=True) for stream in range(first, first + 2 * STREAMS, 2)]
        reads.append(b"".join(asked) + window_update(0, STREAMS * 1024))
    spent, calls, octets = await measure(Http2(listener), reads)
    print(f"HTTP/2    {spent / STREAMS:6.1f} us  {calls / STREAMS:5.0f} calls  {octets // STREAMS:5d} octets a request")


if __name__ == "__main__":
    asyncio.run(main())
