"""What a generation of workers is to be, and what one program leaves to the next."""

import os

import msgspec

from edge.supervisor.sockets import Address

#: Names the descriptor of the state that an upgrade leaves behind.
STATE_VARIABLE = "FORELAND_STATE"


class Plan(msgspec.Struct, frozen=True):
    """A generation to be.

    Attributes:
        config: the configuration, as TOML with every setting in it.
        workers: how many there are.
        addresses: where clients are accepted, in the order of the configuration.
        fixed: settings that only a restart can change, by name.
        drain_seconds: how long exchanges may go on when a generation ends.
        stall_seconds: how long a worker may give no sign of life.
    """

    config: str
    workers: int
    addresses: list[Address]
    fixed: dict[str, str]
    drain_seconds: float
    stall_seconds: float


class Left(msgspec.Struct, frozen=True):
    """A worker that goes on while its supervisor becomes another program."""

    pid: int
    fd: int
    index: int
    slot: int
    is_leaving: bool


class State(msgspec.Struct, frozen=True):
    """Everything that outlives the program: processes and descriptors.

    Attributes:
        plan: that of the workers that serve.
        workers: all there are.
        sockets: the listening sockets with the addresses they were asked for under.
        page: the shared page.
        numbers: what the workers counted that have ended.
        reply: the connection of who asked for the upgrade, None if it was a signal.
    """

    plan: Plan
    workers: list[Left]
    sockets: list[tuple[Address, int]]
    page: int
    numbers: bytes
    reply: int | None


def leave(state: State) -> int:
    """Write down the state, and return the descriptor it can be read from after an exec, as all it names can."""
    fd = os.memfd_create("foreland-state")
    os.write(fd, msgspec.json.encode(state))
    for each in _descriptors(state, fd):
        os.set_inheritable(each, True)  # noqa: FBT003 - the parameter has no keyword
    return fd


def take_back(state: State, fd: int) -> None:
    """Undo `leave`: there was no exec."""
    for each in _descriptors(state, fd):
        os.set_inheritable(each, False)  # noqa: FBT003 - the parameter has no keyword
    os.close(fd)


def find() -> State | None:
    """Return what the program before this one left in this process, None when there was none."""
    text = os.environ.pop(STATE_VARIABLE, "")
    if not text:
        return None
    fd = int(text)
    state = msgspec.json.decode(os.pread(fd, os.fstat(fd).st_size, 0), type=State)
    take_back(state, fd)
    return state


def _descriptors(state: State, fd: int) -> list[int]:
    found = [fd, state.page, *(worker.fd for worker in state.workers), *(each for _, each in state.sockets)]
    return found if state.reply is None else [*found, state.reply]
