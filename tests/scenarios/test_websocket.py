"""WebSocket through the edge, with a real server and a real client, and what happens when one of the parts fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.real.node import STUCK, Running, client, edge, running
from tests.real.test_processes import written

pytestmark = pytest.mark.slow
MIB = 1 << 20


class Server:
    """An origin that echoes, counts, refuses and dies."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[dict[str, str]] = []
        self.ended = asyncio.Event()

    async def echo(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.headers))
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(text="plain", headers={"Cache-Control": "max-age=60"})
        socket = web.WebSocketResponse(max_msg_size=64 * MIB, protocols=("chat",))
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            elif message.data == "die":
                request.transport.abort()
            elif message.data == "flood":
                for _ in range(64):
                    await socket.send_bytes(bytes(MIB))
            else:
                await socket.send_str(message.data[::-1])
        self.ended.set()
        return socket

    async def refuse(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=403, text="no")


@asynccontextmanager
async def served() -> AsyncIterator[Server]:
    server, app = Server(), web.Application()
    app.router.add_get("/echo", server.echo)
    app.router.add_get("/refuse", server.refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def both(tmp_path: Path, *options: str, is_secure: bool = False) -> AsyncIterator[tuple[Server, Running]]:
    async with served() as server:
        origin = f"http://127.0.0.1:{server.port}"
        async with edge(origin, tmp_path / "cache", *options, is_secure=is_secure) as node, asyncio.timeout(STUCK):
            yield server, node


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
async def test_messages_of_all_sizes_go_both_ways(tmp_path, is_secure) -> None:
    async with both(tmp_path, is_secure=is_secure) as (server, node), client() as session:
        async with session.ws_connect(f"{node.url}/echo", protocols=("chat",), max_msg_size=64 * MIB) as socket:
            assert socket.protocol == "chat"
            await socket.send_str("hello")
            assert await socket.receive_str() == "olleh"
            for size in (0, 1, 125, 70_000, 20 * MIB):
                content = bytes(range(256)) * (size // 256) + bytes(size % 256)
                await socket.send_bytes(content)
                assert await socket.receive_bytes() == content
        await server.ended.wait()
    (fields,) = server.requests
    assert fields["X-Forwarded-Proto"] == ("https" if is_secure else "http")
    assert (fields["Connection"], fields["Upgrade"].lower()) == ("Upgrade", "websocket")


async def test_a_slow_reader_fills_nobodys_memory(tmp_path) -> None:
    async with both(tmp_path, "--workers", "2") as (_, node), client() as session:
        socket = await session.ws_connect(f"{node.url}/echo", max_msg_size=0)
        await socket.send_str("flood")
        for _ in range(64):
            assert len(await socket.receive_bytes()) == MIB
        await socket.close()


async def test_what_the_origin_refuses_is_an_ordinary_response(tmp_path) -> None:
    async with both(tmp_path) as (_, node), client() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{node.url}/refuse")
        assert refused.value.status == 403


async def test_a_site_that_does_not_allow_it_answers_as_if_it_had_not_been_asked(tmp_path) -> None:
    async with served() as server, client() as session:
        file = written(tmp_path, f"http://127.0.0.1:{server.port}", site="upgrade = []")
        async with running("edge", "serve", "--config", str(file)) as node:
            await _not_asked(server, node, session)


async def _not_asked(server: Server, node: Running, session: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(f"{node.url}/echo")
    assert refused.value.status == 200
    async with session.get(f"{node.url}/echo") as response:
        assert "; hit" in response.headers["Cache-Status"]
    assert all("Upgrade" not in fields for fields in server.requests)


async def test_there_are_no_more_tunnels_than_allowed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EDGE_LIMITS__TUNNELS", "1")
    async with both(tmp_path) as (_, node), client() as session:
        async with session.ws_connect(f"{node.url}/echo"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{node.url}/echo")
            assert refused.value.status == 503
        # As soon as the edge knows of the end, there is room for another.
        while True:
            with suppress(aiohttp.WSServerHandshakeError):
                async with session.ws_connect(f"{node.url}/echo") as socket:
                    await socket.send_str("again")
                    assert await socket.receive_str() == "niaga"
                    break


async def test_the_end_of_the_origin_is_the_end_of_the_client(tmp_path) -> None:
    async with both(tmp_path) as (_, node), client() as session, session.ws_connect(f"{node.url}/echo") as socket:
        await socket.send_str("die")
        message = await socket.receive()
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_the_end_of_the_client_is_the_end_at_the_origin(tmp_path) -> None:
    async with both(tmp_path) as (server, node), client() as session:
        socket = await session.ws_connect(f"{node.url}/echo")
        socket._response.connection.transport.abort()
        await server.ended.wait()


async def test_a_silent_tunnel_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EDGE_LIMITS__TUNNEL_IDLE", "1s")
    async with both(tmp_path) as (server, node), client() as session, session.ws_connect(f"{node.url}/echo") as socket:
        assert (await socket.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        await server.ended.wait()


async def test_what_comes_before_the_origin_has_agreed_is_not_lost_and_not_taken_for_a_request(tmp_path) -> None:
    async with both(tmp_path) as (server, node):
        for path, allowed in (("/echo", True), ("/refuse", False)):
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            head = (
                f"GET {path} HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            # A masked text frame of "hi", and what would be a request if it were read as one.
            frame = b"\x81\x82\0\0\0\0hi" if allowed else b"GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n"
            writer.write(head.encode() + frame)
            answer = await reader.readuntil(b"\r\n\r\n")
            if allowed:
                assert answer.startswith(b"HTTP/1.1 101 ")
                assert await reader.readexactly(4) == b"\x81\x02ih"
            else:
                assert answer.startswith(b"HTTP/1.1 403 ")
                assert (await reader.read()) == b"no"
            writer.close()
    assert len(server.requests) == 1
