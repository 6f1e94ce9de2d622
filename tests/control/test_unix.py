"""The Unix socket of the admin plane."""

import errno
import os
import socket
import stat

import aiohttp
import pytest

from edge.control.unix import UnixSocket
from tests.control.test_server import Node


def test_only_its_owner_can_use_it_and_nothing_is_left_of_it(tmp_path):
    path = tmp_path / "new" / "admin.sock"
    opened = UnixSocket(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect(str(path))
    opened.close()
    assert os.listdir(path.parent) == []


def test_a_socket_that_nobody_answers_at_is_replaced(tmp_path):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    opened = UnixSocket(path)
    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect(str(path))
    opened.close()


def test_a_socket_that_somebody_answers_at_is_left_alone(tmp_path):
    path = tmp_path / "admin.sock"
    first = UnixSocket(path)
    with pytest.raises(OSError) as caught:
        UnixSocket(path)
    assert caught.value.errno == errno.EADDRINUSE
    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect(str(path))
    first.close()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path, kind):
    path = tmp_path / "admin.sock"
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to(tmp_path / "elsewhere")
    before = path.lstat()
    with pytest.raises(OSError, match="not a socket"):
        UnixSocket(path)
    assert path.lstat() == before


def test_the_socket_of_another_process_outlives_ours(tmp_path):
    path = tmp_path / "admin.sock"
    first = UnixSocket(path)
    path.unlink()
    second = UnixSocket(path)
    first.close()
    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect(str(path))
    second.close()


async def test_a_path_longer_than_an_address_can_be(tmp_path):
    folder = tmp_path / ("x" * 120)
    node = Node()
    assert await node.control.start_unix(folder / "s") == f"unix:{folder}/s"
    descriptor = os.open(folder, os.O_RDONLY)
    connector = aiohttp.UnixConnector(f"/proc/self/fd/{descriptor}/s")
    async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
        async with session.get("/ping") as answer:
            assert (answer.status, await answer.text()) == (200, "OK")
        async with session.get("/ping", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421
    os.close(descriptor)
    await node.control.stop()
    assert os.listdir(folder) == []
    await node.control.stop()
