"""The socket on which commands such as `edge reload` and `edge explain` ask a node, and wait for the result.

One line comes in: a word, and for a question what is asked, as JSON.  One line of JSON goes out: to a command a list of
problems, empty when it was done; to a question a list with the answer, or an object with the problem.  Whoever can connect
owns the directory, so nothing else is checked.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from edge.supervisor.faults import NotAnswered, Unanswered
from edge.supervisor.paths import Directory

_NAME = "control"
#: Returns the problems; given the descriptor of the connection, for a program that answers in our place.
Command = Callable[[int], Awaitable[list[str]]]
#: Returns the answer to what is asked, as JSON; raises an exception with a sentence when there is none.
Question = Callable[[bytes], Awaitable[object]]
# The longest line, octets.
_LONGEST = 1 << 20


class Commands:
    """What the node is told from outside."""

    def __init__(self, commands: dict[str, Command], questions: Mapping[str, Question] | None = None) -> None:
        self._commands, self._questions = commands, questions or {}
        self._server: asyncio.Server | None = None

    async def start(self, folder: Path) -> None:
        """Listen in `folder`; OSError when that cannot be."""
        with Directory(folder) as directory:
            self._server = await asyncio.start_unix_server(self._answer, sock=directory.listener(_NAME), limit=_LONGEST)

    def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ValueError):
            raw, _, question = (await reader.readline()).strip().partition(b" ")
            word = raw.decode("ascii", "replace")
            if word in self._questions:
                writer.write(await self._told(self._questions[word], question))
            else:
                command = self._commands.get(word)
                fd = writer.get_extra_info("socket").fileno()
                problems = [f"{word!r} is no command"] if command is None else await command(fd)
                writer.write(answer(problems))
            await writer.drain()
        writer.close()

    @staticmethod
    async def _told(asked: Question, question: bytes) -> bytes:
        try:
            told: object = [await asked(question)]
        except (Unanswered, msgspec.DecodeError) as error:
            told = {"problem": f"{error}"}
        return msgspec.json.encode(told) + b"\n"


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
    return msgspec.json.decode(_said(folder, word.encode("ascii")), type=list[str])


def inquire(folder: Path, word: str, question: object) -> object:
    """Ask the node whose directory `folder` is a question; return the answer.

    Raises:
        NotAnswered: there is no node, or it says why it has no answer.
    """
    told = msgspec.json.decode(_said(folder, word.encode("ascii") + b" " + msgspec.json.encode(question)))
    if isinstance(told, dict):
        raise NotAnswered(str(told["problem"]))
    return told[0]


def _said(folder: Path, asked: bytes) -> bytes:
    """Return the line that a node answers."""
    if len(asked) >= _LONGEST:
        raise NotAnswered(f"a node is asked at most {_LONGEST} octets")
    if not folder.is_dir():
        raise NotAnswered(f"no node answers at {folder / _NAME}: there is no such directory")
    with Directory(folder) as directory, socket.socket(socket.AF_UNIX) as asker:
        try:
            asker.connect(directory.address(_NAME))
            asker.sendall(asked + b"\n")
            line = asker.makefile("rb").readline()
        except OSError as error:
            raise NotAnswered(f"no node answers at {folder / _NAME}: {error.strerror}") from error
    if not line.endswith(b"\n"):
        raise NotAnswered("the node ended before it was done")
    return line
