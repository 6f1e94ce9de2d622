import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from origin.delivery import paced
from origin.pattern import pattern
from origin.server import application
from origin.settings import Settings

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(application(Settings()))


async def exchange(client: Client, request: bytes) -> tuple[bytes, BaseException | None]:
    """Return what comes back for `request` until the connection ends, and how it ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    received = bytearray()
    try:
        while data := await reader.read(65536):
            received += data
    except ConnectionResetError as error:
        return bytes(received), error
    finally:
        writer.close()
    return bytes(received), None


@pytest.mark.parametrize("octets", [0, 1, 1000, 3_000_000])
async def test_truncate_sends_so_much_and_resets(client: Client, octets: int) -> None:
    target = f"/bytes/t?_size=4MiB&_truncate={octets}".encode()
    received, error = await exchange(client, b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    head, _, content = received.partition(b"\r\n\r\n")
    assert isinstance(error, ConnectionResetError)
    assert b"Content-Length: 4194304" in head
    assert content == pattern(0, octets, b"/bytes/t")


async def test_truncate_beyond_the_content_changes_nothing(client: Client) -> None:
    response = await client.get("/bytes?_size=1000&_truncate=1000")
    assert len(await response.read()) == 1000


async def test_truncated_content_without_a_length(client: Client) -> None:
    response = await client.get("/bytes?_size=1000&_truncate=10&_chunked=1")
    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_early_hints_come_before_the_answer(client: Client) -> None:
    request = b"GET /api/time?_early_hints=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    received, _ = await exchange(client, request)
    hints, _, rest = received.partition(b"\r\n\r\n")
    assert hints == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style"
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_old_client_gets_no_hints_and_no_chunks(client: Client) -> None:
    received, error = await exchange(client, b"GET /bytes?_size=9&_early_hints=1&_chunked=1 HTTP/1.0\r\n\r\n")
    head, _, content = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert (content, error) == (pattern(0, 9, b"/bytes"), None)


async def test_asterisk_form(client: Client) -> None:
    received, _ = await exchange(client, b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n")


async def test_delayed_request_has_arrived_and_is_not_answered(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(client.get("/?_delay=1h").__aenter__())
        while (await (await client.get("/_origin/stats")).json())["requests"] == 0:
            assert not waiting.done()
        assert not waiting.done()
        waiting.cancel()


async def test_content_comes_at_the_pace_asked_for(client: Client) -> None:
    response = await client.get("/bytes?_size=1MiB&_bandwidth=200KiB")
    assert await response.content.readany()
    assert not response.content.at_eof()
    response.close()


async def test_pace_cuts_content_into_pieces_of_a_twentieth_of_a_second() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield bytes(2500)

    assert [len(piece) async for piece in paced(content(), 20_000)] == [1000, 1000, 500]


async def test_client_that_leaves_is_not_an_error(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    assert (await client.get("/robots.txt")).status == 200
    await client.close()
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
