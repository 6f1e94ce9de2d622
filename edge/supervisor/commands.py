"""The socket on which `edge reload` and `edge upgrade` ask, and wait for the result.

One line with a word comes in, one line of JSON goes out: a list of problems, empty when it was done.  Whoever can
connect owns the directory, so nothing else is checked.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.supervisor.faults import NotAnswered
from edge.supervisor.paths import Directory

_NAME = "control"
#: Returns the problems; given the descriptor of the connection, for a program that answers in our place.
Command = Callable[[int], Awaitable[list[str]]]


class Commands:
    """What the node is told from outside."""

    def __init__(self, commands: dict[str, Command]) -> None:
        self._commands = commands
        self._server: asyncio.Server | None = None

    async def start(self, folder: Path) -> None:
        """Listen in `folder`; OSError when that cannot be."""
        with Directory(folder) as directory:
            self._server = await asyncio.start_unix_server(self._answer, sock=directory.listener(_NAME))

    def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ValueError):
            word = (await reader.readline()).strip().decode("ascii", "replace")
            command = self._commands.get(word)
            fd = writer.get_extra_info("socket").fileno()
            problems = [f"{word!r} is no command"] if command is None else await command(fd)
            writer.write(answer(problems))
            await writer.drain()
        writer.close()


def answer(problems: list[str]) -> bytes:
    """Return the line that says what came of a command."""
    return msgspec.json.encode(problems) + b"\n"


def reply(fd: int, problems: list[str]) -> None:
    """Answer on a connection that the program before this one has accepted."""
    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as asker:
        asker.sendall(answer(problems))
    os.close(fd)


def ask(folder: Path, word: str) -> list[str]:
    """Tell the node whose directory `folder` is; return the problems.  NotAnswered when there is none."""
    with Directory(folder) as directory, socket.socket(socket.AF_UNIX) as asker:
        try:
            asker.connect(directory.address(_NAME))
            asker.sendall(word.encode("ascii") + b"\n")
            line = asker.makefile("rb").readline()
        except OSError as error:
            raise NotAnswered(f"no node answers at {folder / _NAME}: {error.strerror}") from error
    if not line:
        raise NotAnswered("the node ended before it was done")
    return msgspec.json.decode(line, type=list[str])
