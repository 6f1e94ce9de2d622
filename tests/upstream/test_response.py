import asyncio
from itertools import pairwise

import pytest

from edge.errors import UpstreamTimeout
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response
from edge.upstream.response import HIGH_WATER, JOINED_LIMIT, LOW_WATER, PIECE_LIMIT, OriginResponse
from tests.upstream.scripted import outcome


class RecordedFlow:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def abort(self) -> None:
        self.calls.append("abort")

    def hasten(self) -> None:
        self.calls.append("hasten")


@pytest.fixture
def flow():
    return RecordedFlow()


@pytest.fixture
def response(flow):
    return OriginResponse(Response(200, FieldSection()), None, request_time=1.0, response_time=2.0, flow=flow)


@pytest.mark.parametrize(
    ("put", "read"),
    [
        pytest.param([3, 4, 5], [12], id="small pieces are joined"),
        pytest.param([JOINED_LIMIT - 1, 1, 1], [JOINED_LIMIT, 1], id="up to a limit"),
        pytest.param([JOINED_LIMIT, JOINED_LIMIT], [JOINED_LIMIT, JOINED_LIMIT], id="pieces at the limit are not"),
        pytest.param([JOINED_LIMIT + 1, 1], [JOINED_LIMIT + 1, 1], id="a longer piece is given as it came"),
        pytest.param([PIECE_LIMIT], [PIECE_LIMIT], id="none is longer than the port allows"),
        pytest.param([PIECE_LIMIT * 2 + 5], [PIECE_LIMIT, PIECE_LIMIT, 5], id="a piece that would be is cut"),
    ],
)
async def test_pieces(response, put, read):
    data = bytes(range(256)) * ((sum(put) // 256) + 1)
    ends = [sum(put[:index]) for index in range(len(put) + 1)]
    response.put(data[start:end] for start, end in pairwise(ends))
    response.end()
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    assert [len(piece) for piece in pieces] == read
    assert b"".join(pieces) == data[: sum(put)]
    assert await response.read() == b""


async def test_flow_pauses_above_high_water_and_resumes_at_low_water(response, flow):
    response.put([b"x" * LOW_WATER, b"x" * (HIGH_WATER - LOW_WATER)])
    assert flow.calls == []
    response.put([b"x", b"y"])
    response.put([b"z"])
    assert flow.calls == ["pause"]
    await response.read()
    assert flow.calls == ["pause", "resume"]
    response.close()
    assert flow.calls == ["pause", "resume", "abort"]


async def test_reader_waits_for_the_next_piece(response):
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(response.read())
        await asyncio.sleep(0)
        response.put([b"a"])
        response.put([b"b"])
    assert reading.result() == b"ab"


async def test_reader_that_was_cancelled_loses_nothing(response):
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(response.read())
        await asyncio.sleep(0)
        reading.cancel()
        response.put([b"a"])
    assert await response.read() == b"a"


async def test_error_comes_after_what_had_arrived_and_every_time(response):
    response.put([b"a"])
    response.fail(UpstreamTimeout())
    assert await response.read() == b"a"
    for _ in range(2):
        with pytest.raises(UpstreamTimeout):
            await response.read()


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        pytest.param(lambda response: response.end(), "clean end", id="the end"),
        pytest.param(lambda response: response.fail(UpstreamTimeout()), "origin-timeout", id="an error"),
        pytest.param(lambda response: response.close(), "origin-closed", id="being closed"),
    ],
)
async def test_reader_that_waits_learns_of(response, finish, expected):
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(outcome(response.read()))
        await asyncio.sleep(0)
        finish(response)
    assert getattr(reading.result(), "detail", "clean end") == expected


async def test_close_after_the_end_does_nothing_to_the_connection(response, flow):
    response.put([b"a"])
    response.end()
    response.close()
    assert flow.calls == []
    assert await response.read() == b""


async def test_flow_pauses_once_there_is_no_room_and_goes_on_for_whoever_waits(flow):
    told = []

    def allowance(ahead):
        told.append(ahead)
        return 3 - ahead

    response = OriginResponse(
        Response(200, FieldSection()), None, request_time=1.0, response_time=2.0, flow=flow, allowance=allowance
    )
    response.put([b"ab"])
    assert flow.calls == []
    response.put([b"c"])
    assert (flow.calls, told[-1]) == (["pause"], 3)
    # There is room again as soon as it has been read.
    assert await response.read() == b"abc"
    assert (flow.calls, told[-1]) == (["pause", "resume"], 0)
    told.clear()
    response.put([b"defg"])
    async with asyncio.TaskGroup() as group:
        assert await response.read() == b"defg"
        response.put([b"hijkl"])
        response.hasten()
        assert flow.calls[4:] == ["pause", "hasten", "resume"]
        told.clear()
        assert await response.read() == b"hijkl"
        reading = group.create_task(response.read())
        await asyncio.sleep(0)
        response.put([b"m"])
    assert (reading.result(), told) == (b"m", [])


async def test_whoever_waits_is_given_something_however_little_room_there_is(flow):
    response = OriginResponse(
        Response(200, FieldSection()), None, request_time=1.0, response_time=2.0, flow=flow, allowance=lambda _: 0
    )
    response.put([b"a"])
    assert await response.read() == b"a"
    assert flow.calls == ["pause"]
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(response.read())
        await asyncio.sleep(0)
        assert flow.calls == ["pause", "resume"]
        response.put([b"b"])
    assert reading.result() == b"b"
    assert flow.calls == ["pause", "resume", "pause"]
