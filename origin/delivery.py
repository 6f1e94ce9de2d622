"""Sending an answer: framing, pace, and breaking off on purpose."""

import array
import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncIterator

from aiohttp import web
from multidict import CIMultiDict

from origin.answer import WITHOUT_CONTENT, Answer
from origin.knobs import Knobs
from origin.negotiation import encoded

SERVER = "foreland-origin"

#: Milliseconds that a client may take to receive what comes before a reset.
_PATIENCE = 5000


async def deliver(request: web.Request, answer: Answer, knobs: Knobs, bandwidth: int | None) -> web.StreamResponse:
    """Send `answer` at most at `bandwidth` octets a second; a client that leaves early is not an error."""
    response = web.StreamResponse(status=answer.status, headers=CIMultiDict([*answer.fields, ("Server", SERVER)]))
    if not knobs.chunked and answer.length is not None and answer.status not in WITHOUT_CONTENT:
        response.content_length = answer.length
    try:
        await response.prepare(request)
        if request.method != "HEAD" and answer.status not in WITHOUT_CONTENT:
            await _send(request, response, paced(_content(answer), bandwidth), knobs.truncate)
    except ConnectionError:
        pass
    except EOFError:
        await _reset(request)
    return response


def hint(request: web.Request) -> None:
    """Send a 103 with the style sheet (RFC 8297), to a client that can take it."""
    if request.version >= (1, 1) and request.transport is not None:
        request.transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n")


async def paced(content: AsyncIterator[bytes], bandwidth: int | None) -> AsyncIterator[bytes]:
    """Yield `content` in pieces of a twentieth of a second each, or as it is when `bandwidth` is None."""
    if bandwidth is None:
        async for data in content:
            yield data
        return
    loop = asyncio.get_running_loop()
    size, due = max(1, bandwidth // 20), loop.time()
    async for data in content:
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            await asyncio.sleep(due - loop.time())
            yield piece
            due += len(piece) / bandwidth


async def _content(answer: Answer) -> AsyncIterator[bytes]:
    if answer.coding is not None:
        async for data in encoded(answer.content.read(0, answer.content.length), answer.coding):
            yield data
        return
    for piece in answer.pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        async for data in answer.content.read(*piece):
            yield data


async def _send(
    request: web.Request, response: web.StreamResponse, content: AsyncIterator[bytes], truncate: int | None
) -> None:
    left = truncate
    async for data in content:
        if left is not None and len(data) > left:
            if left:
                await response.write(data[:left])
            await _reset(request)
            return
        if data:
            await response.write(data)
        left = None if left is None else left - len(data)
    await response.write_eof()


async def _reset(request: web.Request) -> None:
    """Close the connection with a RST once the client's system has what was written."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket = transport.get_extra_info("socket")
    # A reset throws away what was not acknowledged, and nothing wakes a program when that has come.
    for _ in range(_PATIENCE):
        unsent = array.array("i", [0])
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unsent)
        if transport.is_closing() or (not transport.get_write_buffer_size() and not unsent[0]):
            break
        await asyncio.sleep(0.001)
    if not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
