"""An origin in a process of its own: 10 GB that nobody wrote down, sent slowly, and every octet of it counted.

Run it with the octets a second of each response; it prints its port.  `GET /-/counts` tells what it was asked for and
has sent since the last time, `GET /-/replace` gives it another representation, and `GET /-/hold` lets it send no more
than a piece of a response until `GET /-/release`.
"""

import asyncio
import json
import re
import sys
from contextlib import suppress

SIZE = 10_000_000_000
#: Sent at once.
PIECE = 64 << 10
_range = re.compile(rb"\r\nrange: bytes=([0-9]+)-([0-9]+)\r\n", re.IGNORECASE)
_if_range = re.compile(rb"\r\nif-range: ([^\r]*)\r\n", re.IGNORECASE)


def content(start: int, end: int, generation: int) -> bytes:
    """Return the octets [start, end): each eight of them say where they are, and in which representation."""
    first, last = start // 8, -(-end // 8)
    words = b"".join((word << 8 | generation).to_bytes(8, "big") for word in range(first, last))
    return words[start - first * 8 : end - first * 8]


class ThrottledOrigin:
    """Answers ranges of its one representation.

    Attributes:
        generation: its number, from 1 on.
        asked: the ranges, as pairs.
        sent: octets of content.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.generation = 1
        self.asked: list[tuple[int, int]] = []
        self.sent = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                if request.startswith(b"GET /-/"):
                    self._control(request, writer)
                else:
                    await self._answer(request, writer)
        writer.close()

    def _control(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        if request.startswith(b"GET /-/replace"):
            self.generation += 1
        elif request.startswith(b"GET /-/hold"):
            self.goes_on.clear()
        elif request.startswith(b"GET /-/release"):
            self.goes_on.set()
        told = json.dumps({"asked": self.asked, "sent": self.sent}).encode()
        self.asked, self.sent = [], 0
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        etag = b'"%d"' % self.generation
        asked, condition = _range.search(request), _if_range.search(request)
        start, end = 0, SIZE
        status, lines = b"200 OK", b""
        if asked is not None and (condition is None or condition[1] == etag):
            start, end = int(asked[1]), min(int(asked[2]) + 1, SIZE)
            status, lines = b"206 Partial Content", b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, SIZE)
        self.asked.append((start, end))
        lines += b"Cache-Control: max-age=60\r\nETag: %s\r\nContent-Length: %d\r\n" % (etag, end - start)
        writer.write(b"HTTP/1.1 %s\r\n%s\r\n" % (status, lines))
        generation = self.generation
        for at in range(start, end, PIECE):
            piece = content(at, min(at + PIECE, end), generation)
            self.sent += len(piece)
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(len(piece) / self.rate)
            await self.goes_on.wait()


async def main(rate: int) -> None:
    origin = ThrottledOrigin(rate)
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - what the test reads
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
