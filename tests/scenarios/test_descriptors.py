"""No descriptor is left: clients that are connected are served, the loop does not spin, and accepting goes on."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.downstream.talking import Client
from tests.scenarios.visiting import Visitor, get


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


async def served(client: Client) -> bytes:
    client.writer.write(get(target=b"/hit"))
    return (await client.answer()).fields[b"x-cache"]


async def test_connected_clients_are_served_and_accepting_goes_on(stage, edge_with):
    edge = await edge_with(await stage.origin())
    waiting = [socket.socket() for _ in range(4)]
    async with Visitor(edge) as client:
        assert await served(client) == b"MISS"
        with no_descriptors_left():
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", edge.port))
            for _ in range(100):
                assert await served(client) == b"HIT"
    for sock in waiting:
        sock.close()
    async with Visitor(edge) as another:
        assert await served(another) == b"HIT"
