"""Range requests through the exchange: on hits, on misses, on stored parts and on fills in progress."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.errors import UpstreamClosed
from edge.policy.chunking import ChunkRules
from edge.policy.profile import STRICT_RFC
from edge.semantics.messages import Request
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, FRESH, World, turns

CONTENT = bytes(range(100))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Return a world in which the origin is asked for ranges as clients ask; `test_ranging` has the other."""
    world = World(chunks=ChunkRules(parallel=0))
    yield world
    await world.settle()
    world.assert_idle()


def ranged(request: Request) -> Answer:
    """Answer as an origin that knows ranges, of one strong representation."""
    value = request.fields.get(b"range")
    if value is None:
        return Answer(fields=[FRESH, ETAG], content=[CONTENT])
    first, _, last = value.removeprefix(b"bytes=").partition(b"-")
    start, end = int(first), int(last or 99) + 1
    return part(start, end)


def part(start: int, end: int, *, etag: bytes = b'"v1"', stated_end: int | None = None, **answer) -> Answer:
    stated = b"bytes %d-%d/100" % (start, (stated_end or end) - 1)
    fields = [FRESH, (b"etag", etag), (b"content-range", stated)]
    return Answer(206, fields=fields, content=[CONTENT[start:end]], **answer)


class TestHit:
    @pytest.mark.parametrize(
        ("fields", "status", "content", "content_range"),
        [
            pytest.param([(b"range", b"bytes=10-19")], 206, CONTENT[10:20], b"bytes 10-19/100", id="one range"),
            pytest.param([(b"range", b"bytes=-5")], 206, CONTENT[-5:], b"bytes 95-99/100", id="a suffix"),
            pytest.param([(b"range", b"bytes=200-")], 416, b"", b"bytes */100", id="unsatisfiable"),
            pytest.param([(b"range", b"lines=1-2")], 200, CONTENT, None, id="another unit"),
            pytest.param(
                [(b"range", b"bytes=0-4"), (b"if-range", b'"v1"')], 206, CONTENT[:5], b"bytes 0-4/100", id="If-Range"
            ),
            pytest.param(
                [(b"range", b"bytes=0-4"), (b"if-range", b'"v2"')], 200, CONTENT, None, id="If-Range that fails"
            ),
        ],
    )
    async def test_is_answered(
        self, world: World, fields: list, status: int, content: bytes, content_range: bytes | None
    ) -> None:
        await world.warm(Answer(fields=[FRESH, ETAG], content=[CONTENT]))
        got = await world.get(*fields)
        assert (got.status, got.content, got.field(b"content-range")) == (status, content, content_range)
        assert (got.record.complete, world.asked) == (True, [])

    async def test_several_ranges_are_multipart(self, world: World) -> None:
        await world.warm(Answer(fields=[FRESH, ETAG, (b"content-type", b"a/b")], content=[CONTENT]))
        got = await world.get((b"range", b"bytes=0-1,50-52"))
        assert got.status == 206
        assert (got.field(b"content-type") or b"").startswith(b"multipart/byteranges; boundary=")
        assert got.responder.length == len(got.content)
        assert b"Content-Range: bytes 50-52/100\r\n\r\n" + CONTENT[50:53] in got.content


class TestMiss:
    async def test_a_part_is_stored_and_reused(self, world: World) -> None:
        world.upstream.script = ranged
        got = await world.get((b"range", b"bytes=10-29"))
        assert (got.status, got.content) == (206, CONTENT[10:30])
        assert got.cache_status == "fwd=uri-miss; fwd-status=206; ttl=60; stored"
        await world.settle()
        again = await world.get((b"range", b"bytes=12-14"))
        assert (again.content, again.cache_status) == (CONTENT[12:15], "hit; ttl=60")
        assert again.field(b"content-range") == b"bytes 12-14/100"

    async def test_parts_are_combined(self, world: World) -> None:
        world.upstream.script = ranged
        for asked in (b"bytes=0-29", b"bytes=30-59", b"bytes=60-99"):
            await world.get((b"range", asked))
            await world.settle()
        assert [stored.ranges for stored in world.stored()] == [((0, 100),)]
        whole = await world.get()
        assert (whole.status, whole.content, whole.cache_status) == (200, CONTENT, "hit; ttl=60")

    async def test_a_part_keeps_the_fields_it_leaves_out(self, world: World) -> None:
        typed = (b"content-type", b"a/b")
        world.upstream.answers(
            Answer(206, fields=[FRESH, ETAG, typed, (b"content-range", b"bytes 0-9/100")], content=[CONTENT[:10]]),
            part(10, 100),
        )
        for asked in (b"bytes=0-9", b"bytes=10-"):
            await world.get((b"range", asked))
            await world.settle()
        assert (await world.get()).field(b"content-type") == b"a/b"

    async def test_a_beginning_is_completed(self, world: World) -> None:
        world.upstream.script = ranged
        await world.get((b"range", b"bytes=0-29"))
        await world.settle()
        got = await world.get()
        assert got.trace == ["lookup", "forward", "combine", "deliver"]
        assert got.cache_status == "fwd=partial; fwd-status=206; ttl=60; stored"
        assert (got.status, got.content, got.responder.length) == (200, CONTENT, 100)
        assert world.asked[1].fields.get(b"range") == b"bytes=30-"
        assert world.asked[1].fields.get(b"if-range") == b'"v1"'
        await world.settle()
        assert (await world.get()).cache_status == "hit; ttl=60"

    async def test_a_beginning_is_completed_once_for_all_who_ask(self, world: World) -> None:
        world.upstream.script = ranged
        await world.get((b"range", b"bytes=0-29"))
        await world.settle()
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(world.get()) for _ in range(50)]
        assert {task.result().content for task in asking} == {CONTENT}
        assert len(world.asked) == 2

    @pytest.mark.parametrize(
        "rest",
        [
            pytest.param(part(30, 100, etag=b'"v2"'), id="of another representation"),
            pytest.param(part(40, 100), id="that leaves a gap"),
            pytest.param(part(30, 90), id="that does not reach the end"),
            pytest.param(Answer(416, fields=[(b"content-range", b"bytes */20")]), id="that is not there"),
        ],
    )
    async def test_a_rest(self, world: World, rest: Answer) -> None:
        world.upstream.script = ranged
        await world.get((b"range", b"bytes=0-29"))
        await world.settle()
        world.upstream.answers(rest, Answer(fields=[FRESH], content=[b"other"]))
        got = await world.get()
        assert got.trace == ["lookup", "forward", "mismatch", "forward", "store", "deliver"]
        assert (got.status, got.content) == (200, b"other")

    async def test_a_damaged_beginning_is_fetched_anew(self, world: World) -> None:
        world.upstream.script = ranged
        await world.get((b"range", b"bytes=0-29"))
        await world.settle()
        world.store.damaged.add(world.stored()[0].generation)
        got = await world.get()
        assert (got.status, got.content, got.responder.is_finished) == (200, CONTENT, True)
        assert b"range" not in world.asked[-1].fields

    async def test_the_whole_in_answer_to_a_range_is_stored_and_cut(self, world: World) -> None:
        world.upstream.answers(Answer(fields=[FRESH], content=[CONTENT]))
        got = await world.get((b"range", b"bytes=10-19"))
        assert (got.status, got.content) == (206, CONTENT[10:20])
        await world.settle()
        assert (await world.get()).content == CONTENT

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(part(0, 5, stated_end=10, is_chunked=True), id="less than Content-Range says"),
            pytest.param(part(0, 15, stated_end=10, is_chunked=True), id="more than Content-Range says"),
        ],
    )
    async def test_a_part_that_is_not_what_it_says_is_broken_off(self, world: World, answer: Answer) -> None:
        world.upstream.answers(answer)
        got = await world.get((b"range", b"bytes=0-9"))
        assert (got.responder.is_aborted, got.record.complete) == (True, False)
        await world.settle()
        assert not world.stored()

    async def test_no_weak_entity_tag_goes_into_if_range(self) -> None:
        world = World(profile=STRICT_RFC, chunks=ChunkRules(parallel=0))
        world.upstream.answers(part(0, 30, etag=b'W/"v1"'))
        await world.get((b"range", b"bytes=0-29"))
        await world.settle()
        world.upstream.answers(part(30, 100, etag=b'W/"v1"'), Answer(fields=[FRESH], content=[CONTENT]))
        assert (await world.get()).content == CONTENT
        assert b"if-range" not in world.asked[1].fields


class TestFillInProgress:
    async def test_a_range_that_is_there_already_is_answered_from_it(self, world: World) -> None:
        go_on = asyncio.Event()
        world.upstream.answers(Answer(fields=[FRESH, ETAG], content=[CONTENT[:50], go_on, CONTENT[50:]]))
        responder = RecordingResponder()
        async with asyncio.TaskGroup() as group:
            whole = group.create_task(world.get(responder=responder))
            await responder.began.wait()
            got = await world.get((b"range", b"bytes=10-19"))
            assert (got.status, got.content) == (206, CONTENT[10:20])
            assert got.cache_status == "fwd=uri-miss; ttl=60; collapsed"
            later = group.create_task(world.get((b"range", b"bytes=-10")))
            await turns()
            go_on.set()
        assert (whole.result().content, later.result().content) == (CONTENT, CONTENT[-10:])
        assert len(world.asked) == 1

    async def test_a_range_far_ahead_is_asked_for(self, world: World) -> None:
        size, go_on = 8 << 20, asyncio.Event()
        whole = Answer(fields=[FRESH, ETAG], content=[b"a", go_on, bytes(size - 1)])
        stated = b"bytes %d-%d/%d" % (size - 5, size - 1, size)
        far = Answer(206, fields=[FRESH, ETAG, (b"content-range", stated)], content=[bytes(5)])
        world.upstream.answers(whole, far)
        responder = RecordingResponder()
        async with asyncio.TaskGroup() as group:
            group.create_task(world.get(responder=responder))
            await responder.began.wait()
            got = await world.get((b"range", b"bytes=-5"))
            go_on.set()
        assert (got.status, len(world.asked)) == (206, 2)

    async def test_a_part_does_not_take_the_place_of_the_whole(self, world: World) -> None:
        go_on = asyncio.Event()
        slow_part = part(10, 20)
        slow_part = Answer(206, fields=slow_part.fields, content=[CONTENT[10:20], go_on])
        world.upstream.script = lambda request: slow_part if b"range" in request.fields else ranged(request)
        async with asyncio.TaskGroup() as group:
            group.create_task(world.get((b"range", b"bytes=10-19")))
            while not world.asked:
                await asyncio.sleep(0)
            await world.get()
            await turns()
            assert world.stored()[0].is_complete
            go_on.set()
        await world.settle()
        assert [stored.is_complete for stored in world.stored()] == [True]

    async def test_a_range_of_a_fill_that_breaks_off_is_broken_off(self, world: World) -> None:
        go_on = asyncio.Event()
        world.upstream.answers(
            Answer(fields=[FRESH], content=[CONTENT[:50], go_on, UpstreamClosed()], length=100),
        )
        responder = RecordingResponder()
        async with asyncio.TaskGroup() as group:
            group.create_task(world.get(responder=responder))
            await responder.began.wait()
            got = group.create_task(world.get((b"range", b"bytes=40-59")))
            await turns()
            go_on.set()
        assert got.result().responder.is_aborted
        assert not world.stored()
