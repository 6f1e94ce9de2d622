"""What lies beneath the paths: the discipline of a fill when anything goes wrong."""

import asyncio

import pytest

from edge.caching.stored import StoredResponse
from edge.errors import EdgeError, StoreDamaged, StoreFull, UpstreamClosed, UpstreamProtocolError
from edge.exchange.fill import Fill, FillReader
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.tasks import alive
from edge.testing.clock import ManualClock
from edge.testing.store import MemoryStore
from edge.testing.upstream import Answer, ScriptedUpstream
from tests.exchange.world import turns

GET = Request(b"GET", Target(b"http", b"a.test", b"/"), FieldSection())


class Filled:
    """A fill of a scripted answer."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.commits: list[int] = []
        self.failure: Exception | None = None

    async def begin(self, answer: Answer, *, is_kept: bool = False) -> Fill:
        upstream = self.upstream = ScriptedUpstream(self.clock, lambda _: answer)
        response = await upstream.send(GET, None, None)
        writer = await self.store.writer(b"key", length=response.content_length)
        stored = StoredResponse(
            b"key", writer.generation, b"GET", (), 200, b"", FieldSection(), 0.0, 0.0, response.content_length
        )

        async def commit(end: int) -> bool:
            self.commits.append(end)
            if self.failure is not None:
                raise self.failure
            await writer.commit(stored)
            return True

        fill = Fill(writer, stored, start=0, end=response.content_length, is_kept=is_kept)
        fill.begin(response, commit)
        return fill

    async def over(self, fill: Fill) -> None:
        while not fill.is_over:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert alive() == 0
        assert not self.upstream.open


async def read_all(reader: FillReader) -> bytes | tuple[bytes, type[EdgeError]]:
    content = b""
    try:
        while piece := await reader.read():
            content += piece
    except EdgeError as error:
        return content, type(error)
    finally:
        reader.close()
    return content


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(Answer(content=[b"ab", b"c"]), b"abc", id="the whole"),
        pytest.param(Answer(content=[b"ab", b"c"], is_chunked=True), b"abc", id="the whole of unknown length"),
        pytest.param(Answer(), b"", id="nothing"),
        pytest.param(Answer(content=[b"ab", UpstreamClosed()]), (b"ab", UpstreamClosed), id="an error of the origin"),
        pytest.param(Answer(content=[b"ab"], length=3), (b"ab", UpstreamClosed), id="less than announced"),
        pytest.param(
            Answer(content=[b"ab", b"cd"], length=3), (b"ab", UpstreamProtocolError), id="more than announced"
        ),
    ],
)
async def test_readers_get(answer: Answer, outcome: object) -> None:
    filled = Filled()
    fill = await filled.begin(answer, is_kept=True)
    early = fill.open(0, None)
    assert await read_all(early) == outcome
    await filled.over(fill)
    assert await read_all(fill.open(0, None)) == outcome
    assert bool(filled.commits) is isinstance(outcome, bytes)
    assert filled.store.writers == 0
    assert fill.takes_followers is isinstance(outcome, bytes)


async def test_each_reader_gets_its_own_range() -> None:
    filled = Filled()
    fill = await filled.begin(Answer(content=[b"abc", b"def", b"ghi"]))
    ranges = [(0, 9), (2, 4), (3, 3), (8, 9)]
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(read_all(fill.open(*each))) for each in ranges]
    assert [task.result() for task in reading] == [b"abcdefghi"[start:end] for start, end in ranges]


async def test_a_cancelled_fill_is_no_clean_end() -> None:
    filled = Filled()
    fill = await filled.begin(Answer(content=[b"ab", asyncio.Event()], length=9))
    reader = fill.open(0, None)
    assert await reader.read() == b"ab"
    assert fill._task is not None
    fill._task.cancel()
    with pytest.raises(UpstreamClosed):
        await reader.read()
    reader.close()
    await filled.over(fill)
    assert (filled.commits, filled.store.writers) == ([], 0)


async def test_a_fault_of_the_edge_leaves_no_reader_waiting(caplog: pytest.LogCaptureFixture) -> None:
    filled = Filled()
    filled.failure = ZeroDivisionError()
    fill = await filled.begin(Answer(content=[b"ab"]))
    assert await read_all(fill.open(0, None)) == b"ab"
    await filled.over(fill)
    assert "task fill failed" in caplog.text
    assert filled.store.writers == 0


async def test_what_cannot_be_committed_is_still_read_to_its_end() -> None:
    filled = Filled()
    filled.failure = StoreFull()
    fill = await filled.begin(Answer(content=[b"ab", b"cd"]))
    slow = fill.open(0, None)
    while not fill.is_over:
        await asyncio.sleep(0)
    assert filled.store.writers == 1, "as long as somebody reads"
    assert await read_all(slow) == b"abcd"
    assert isinstance(fill.store_error, StoreFull)
    assert filled.store.writers == 0


async def test_what_cannot_be_read_back_is_not_committed() -> None:
    filled = Filled()
    end = asyncio.Event()
    fill = await filled.begin(Answer(content=[b"ab", end]))
    filled.store.damaged.add(fill.stored.generation)
    assert await read_all(fill.open(0, None)) == (b"", StoreDamaged)
    assert not fill.takes_followers
    end.set()
    await filled.over(fill)
    assert filled.commits == []


async def test_many_readers_of_an_error_do_not_add_to_its_traceback() -> None:
    filled = Filled()
    fill = await filled.begin(Answer(content=[UpstreamClosed()]), is_kept=True)
    await filled.over(fill)
    depths = []
    for _ in range(5):
        with pytest.raises(UpstreamClosed) as caught:
            await fill.open(0, None).read()
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1


async def test_nobody_keeps_a_fill_that_is_kept_once_nothing_is_stored() -> None:
    filled = Filled()
    go_on = asyncio.Event()
    fill = await filled.begin(Answer(content=[b"ab", go_on, b"cd", b"ef"]), is_kept=True)
    await turns()
    filled.store.is_full = True
    go_on.set()
    await filled.over(fill)
    assert (fill.produced, filled.commits) == (4, [])


async def test_callbacks_come_when_what_was_stored_can_be_found() -> None:
    filled = Filled()
    fill = await filled.begin(Answer(content=[b"ab"]), is_kept=True)
    seen: list[int] = []
    fill.call_when_over(lambda: seen.append(len(filled.store.heads)))
    await filled.over(fill)
    await asyncio.sleep(0)
    assert seen == [1]
