"""One worker process, as its supervisor sees it."""

import asyncio
import ctypes
import itertools
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from edge.supervisor.channel import Answered, Ask, Begin, Channel, Failed, Message, Report, Told, Word
from edge.supervisor.faults import StartError
from edge.supervisor.fork import Become, fork, may_fork
from edge.tasks import spawn

_PR_SET_PDEATHSIG = 1


class Child:
    """A worker process.

    Attributes:
        pid: its number.
        index: which of the workers of its generation it is.
        slot: its part of the shared page.
        is_leaving: whether it was told to end.
        ended: becomes the exit code, or the negative number of the signal that ended it.
        last: what it told last.
    """

    def __init__(self, pid: int, channel: Channel[Word], fd: int, index: int, slot: int) -> None:
        """See `start` and `adopt`."""
        loop = asyncio.get_running_loop()
        self.pid, self.index, self.slot = pid, index, slot
        self.is_leaving = False
        self.ended: asyncio.Future[int] = loop.create_future()
        self.last: Told | None = None
        #: The descriptor of our end of the channel.
        self.fd = fd
        self._channel = channel
        self._words: asyncio.Queue[Word | None] = asyncio.Queue()
        self._told = asyncio.Event()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._questions = itertools.count()
        self._pidfd = os.pidfd_open(pid)
        loop.add_reader(self._pidfd, self._reap)
        self._listening = spawn(self._listen(), name=f"worker-{index}")

    @classmethod
    async def start(cls, begin: Begin, become: Become | None = None) -> Self:
        """Start a process, by a fork that does `become` if that can be; OSError when the system has none to give."""
        ours, theirs = socket.socketpair()
        files = [theirs.fileno(), begin.page, *begin.listeners]
        with theirs:
            try:
                pid = fork(become, theirs, files) if become is not None and may_fork() else _spawn(files)
            except OSError:
                ours.close()
                raise
        child = await cls.adopt(pid, ours, begin.index, begin.slot)
        child.say(begin)
        return child

    @classmethod
    async def adopt(cls, pid: int, ours: socket.socket, index: int, slot: int) -> Self:
        """Take over a process that is a child of this one already, with our end of its channel."""
        return cls(pid, await Channel[Word].open(ours, Word), ours.fileno(), index, slot)

    def say(self, order: Message) -> None:
        """Send an order."""
        self._channel.say(order)

    async def expect(self, kind: type[Word], seconds: float) -> None:
        """Wait for a word.

        Raises:
            StartError: it said why not, ended, or took too long.
        """
        try:
            async with asyncio.timeout(seconds):
                word = await self._words.get()
        except TimeoutError as error:
            raise StartError(f"worker {self.index} did not answer within {seconds:.0f} s") from error
        if isinstance(word, Failed):
            raise StartError(word.reason)
        if not isinstance(word, kind):
            raise StartError(f"worker {self.index} {told_end(await self.ended)}")

    async def report(self, seconds: float, *, flushes: bool = False) -> Told | None:
        """Return its numbers, those it told last when it does not answer in time."""
        self._told.clear()
        self.say(Report(flushes))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()
        return self.last

    async def ask(self, question: bytes, seconds: float) -> bytes | None:
        """Return its answer to a question, None when it has ended or does not answer in time."""
        number = next(self._questions)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self.say(Ask(number, question))
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._asked[number]

    def kill(self) -> None:
        """End it now; does nothing once it has ended."""
        self.is_leaving = True
        if not self.ended.done():
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def _listen(self) -> None:
        while (word := await self._channel.hear()) is not None:
            if isinstance(word, Told):
                self.last = word
                self._told.set()
            elif isinstance(word, Answered):
                if (future := self._asked.get(word.number)) is not None and not future.done():
                    future.set_result(word.answer)
            else:
                self._words.put_nowait(word)
        self._words.put_nowait(None)
        self._told.set()

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.ended.set_result(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]))

    async def forget(self) -> None:
        """Hear the rest of what it said, and close the channel to a process that has ended."""
        await asyncio.wait([self._listening])
        self._channel.close()


def told_end(code: int) -> str:
    """Return the end of a process as a predicate."""
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def die_with(parent: int) -> None:
    """Let the system end this process when its parent ends, however that happens; at once if it has."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _spawn(files: Sequence[int]) -> int:
    """Return the id of a new process that has `files`, the first of them its end of the channel."""
    arguments = [sys.executable, "-m", "edge.worker", str(files[0]), str(os.getpid())]
    with _inherited(files):
        return os.posix_spawn(sys.executable, arguments, os.environ)


@contextmanager
def _inherited(descriptors: Sequence[int]) -> Iterator[None]:
    for fd in descriptors:
        os.set_inheritable(fd, True)  # noqa: FBT003 - the parameter has no keyword
    try:
        yield
    finally:
        for fd in descriptors:
            os.set_inheritable(fd, False)  # noqa: FBT003 - the parameter has no keyword
