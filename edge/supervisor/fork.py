"""Workers by fork: what the first of them need is imported once, before there are threads, and not by each anew."""

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

#: Is a worker over its end of the channel; given the id of the supervisor, too.
Become = Callable[[socket.socket, int], None]


def may_fork() -> bool:
    """Return whether there is no other thread, of which a fork would have the locks and not the work."""
    return threading.active_count() == 1


def fork(become: Become, end: socket.socket, kept: Sequence[int]) -> int:
    """Return the id of a process that does `become` over `end`, and has of the open files only `kept` and the first 3.

    OSError when the system has none to give.
    """
    supervisor = os.getpid()
    sys.stdout.flush()
    # What arrives before the other process is one of its own is not for the handlers of this one.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _be(become, end, supervisor, kept, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _be(
    become: Become, end: socket.socket, supervisor: int, kept: Sequence[int], mask: set[signal.Signals | int]
) -> NoReturn:
    """Be the other process: nothing of what waits on the stack below is ever gone back to."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        _let_go({0, 1, 2, *kept})
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        become(end, supervisor)
        sys.stdout.flush()
        code = 0
    except BaseException:  # noqa: BLE001 - the top of a process
        traceback.print_exc()
    finally:
        os._exit(code)


def _let_go(kept: set[int]) -> None:
    """Close all files but those `kept`; their numbers stay taken, since objects of the supervisor still have them."""
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept and int(name) != nothing:
            with suppress(OSError):
                os.dup2(nothing, int(name), inheritable=False)
