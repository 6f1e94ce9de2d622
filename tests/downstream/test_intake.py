import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.downstream.intake import Intake
from edge.errors import BadRequest, DownstreamError, DownstreamTimeout
from edge.policy.limits import Limits

GET = b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST %s HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
STREAM = (
    GET % b"/1"
    + POST % (b"/2", b"Content-Length: 7")
    + b"a\r\n\r\nbc"
    + b"\r\n"
    + POST % (b"/3", b"Transfer-Encoding: chunked")
    + b"4;a=b\r\n\r\n\r\n\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n"
    + GET % b"/4"
)


class Connection:
    """Nobody is at the other end."""

    def write(self, *pieces: bytes) -> None:
        raise AssertionError

    def regulate(self) -> None:
        pass


def intake(limits: Limits | None = None) -> Intake:
    return Intake(b"http", limits or Limits(), Connection())


async def taken(*pieces: bytes) -> list[tuple[bytes, bytes] | type[DownstreamError]]:
    """Return the targets and contents of what is taken from `pieces`, and the error that ends them."""
    taking = intake()
    for piece in pieces:
        taking.feed(piece)
    items: list[tuple[bytes, bytes] | type[DownstreamError]] = []
    for item in taking.queue:
        if isinstance(item, DownstreamError):
            items.append(type(item))
        else:
            head, content = item
            arrived = []
            while piece := await content.read():
                arrived.append(piece)
            items.append((head.request.target.path, b"".join(arrived)))
    return items


@pytest.mark.parametrize(
    ("tail", "end"),
    [
        pytest.param(b"", [], id="and no more"),
        pytest.param(b"GET / HT", [], id="and a head that is not whole"),
        pytest.param(b"\x16\x03\x01", [BadRequest], id="and garbage"),
        pytest.param(LAST, [(b"/last", b"")], id="and a last one"),
        pytest.param(LAST + b"\x81\x05" + GET % b"/none", [(b"/last", b"")], id="and a last one, then anything"),
    ],
)
@given(data=st.data())
@settings(max_examples=30)
def test_requests_are_the_same_wherever_the_segments_end(tail, end, data):
    wire = STREAM + tail
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    expected = [(b"/1", b""), (b"/2", b"a\r\n\r\nbc"), (b"/3", b"\r\n\r\n!"), (b"/4", b""), *end]
    assert asyncio.run(taken(*pieces)) == expected


async def test_no_more_is_taken_than_there_is_room_for():
    taking = intake(Limits(pipelined=2))
    taking.feed(GET % b"/1" * 5)
    assert (len(taking.queue), taking.has_room, bool(taking.input)) == (2, False, True)
    taking.queue.popleft()
    taking.advance()
    assert (len(taking.queue), taking.has_room) == (2, False)


async def test_there_is_no_room_while_content_is_not_read():
    taking = intake()
    taking.feed(POST % (b"/", b"Content-Length: %d" % (1 << 20)))
    assert taking.has_room
    taking.feed(bytes(512 << 10))
    assert not taking.has_room
    assert len(await taking.content.read()) == 512 << 10
    assert taking.has_room


async def test_what_is_ignored_has_a_limit_too():
    taking = intake(Limits(drain_octets=10))
    taking.feed(LAST + bytes(9))
    assert (taking.is_deaf, taking.ignored, taking.has_room) == (True, 9, True)
    taking.feed(bytes(2))
    assert (taking.ignored, taking.has_room) == (11, False)


async def test_an_error_comes_after_what_was_asked_before_it():
    taking = intake()
    taking.feed(GET % b"/1" + b"GET / HT")
    taking.refuse(DownstreamTimeout())
    taking.feed(b"TP/1.1\r\nHost: a.test\r\n\r\n")
    assert len(taking.queue) == 2
    assert isinstance(taking.queue[1], DownstreamTimeout)


async def test_broken_framing_is_told_to_the_reader_of_the_content():
    taking = intake()
    taking.feed(POST % (b"/", b"Transfer-Encoding: chunked") + b"nonsense\r\n")
    (_, content), error = taking.queue
    assert isinstance(error, BadRequest)
    with pytest.raises(BadRequest):
        await content.read()
