"""Requests as octets, and clients that send them to an edge."""

import asyncio
from typing import Self

from tests.downstream.talking import Client
from tests.scenarios.staging import Edge


def message(line: bytes, *lines: bytes, content: bytes = b"", host: bytes = b"Host: a.test") -> bytes:
    return b"\r\n".join([line, host, *lines, b"", content])


def get(*lines: bytes, content: bytes = b"", target: bytes = b"/x") -> bytes:
    return message(b"GET %s HTTP/1.1" % target, *lines, content=content)


def post(*lines: bytes, content: bytes = b"") -> bytes:
    return message(b"POST /p HTTP/1.1", *lines, content=content)


class Visitor(Client):
    """A client of an edge for the length of a block."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def __aenter__(self) -> Self:
        super().__init__(*await asyncio.open_connection("127.0.0.1", self._edge.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
