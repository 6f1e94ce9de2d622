"""What is put is sent in order, in the same turn, and who is gone keeps nobody from having theirs."""

import asyncio
import socket

import pytest

from edge.outbox import Outbox


@pytest.fixture
async def pair():
    """Yield a function that returns a transport and the socket at its other end."""
    transports, ends = [], []

    async def make() -> tuple[asyncio.WriteTransport, socket.socket]:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transports.append(transport)
        ends.append(theirs)
        return transport, theirs

    yield make
    for transport in transports:
        transport.abort()
    for end in ends:
        end.close()


def heard(end: socket.socket) -> bytes:
    """Return what has arrived so far."""
    try:
        return end.recv(1 << 20)
    except BlockingIOError:
        return b""


async def test_what_is_put_is_sent_when_the_turn_ends(pair):
    outbox, (one, first), (two, second) = Outbox(), await pair(), await pair()
    outbox.put(one, b"a")
    outbox.put(two, b"b")
    outbox.put(one, b"c")
    assert (heard(first), heard(second)) == (b"", b"")
    # It was called soon before this is.
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn
    assert (heard(first), heard(second)) == (b"ac", b"b")


async def test_much_is_sent_at_once(pair):
    outbox, (transport, end) = Outbox(), await pair()
    outbox.put(transport, b"a")
    outbox.put(transport, bytes(256 << 10))
    assert heard(end).startswith(b"a\0")


async def test_who_cannot_be_sent_to_is_given_up_and_holds_up_nobody(pair, caplog):
    outbox, (one, first), (two, second) = Outbox(), await pair(), await pair()
    one.write_eof()
    outbox.put(one, b"a")
    outbox.put(two, b"b")
    outbox.flush()
    assert (heard(first), heard(second)) == (b"", b"b")
    assert one.is_closing()
    assert "could not be sent" in caplog.text


async def test_who_is_gone_holds_up_nobody(pair):
    outbox, (one, first), (two, second) = Outbox(), await pair(), await pair()
    outbox.put(one, b"a")
    outbox.put(two, b"b")
    one.abort()
    outbox.flush()
    assert (heard(first), heard(second)) == (b"", b"b")
