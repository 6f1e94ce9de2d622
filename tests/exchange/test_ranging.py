"""Ranges by chunks: what the origin is asked for, what every client gets, and what is left in the store."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace

import pytest

from edge.errors import StoreFull, UpstreamClosed, UpstreamConnectError
from edge.policy.chunking import ChunkRules
from edge.policy.profile import STRICT_RFC
from edge.semantics.messages import Request
from edge.semantics.ranges import format_content_range, parse_range, resolve
from edge.tasks import alive, cancel_all
from edge.testing.pauses import Pauses
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer, Piece
from tests.exchange.world import ETAG, FRESH, STALE, Got, World, turns

SIZE = 95
UNIT = 10
RULES = ChunkRules(unit=UNIT, parallel=3, read_ahead=40)
V1 = bytes(range(SIZE))
V2 = bytes(reversed(range(SIZE)))


@dataclass
class RangeOrigin:
    """Answers as an origin that knows ranges and If-Range.

    Attributes:
        content: the representation.
        etag: its entity tag.
        fields: what else goes into each response.
        holds: by first octet of a range, what is waited for before the last octet is sent.
        instead: by first octet of a range, what is answered in place of that part.
    """

    content: bytes = V1
    etag: bytes = b'"v1"'
    fields: list = field(default_factory=lambda: [FRESH])
    holds: dict[int, asyncio.Event] = field(default_factory=dict)
    instead: dict[int, Answer] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        fields = [*self.fields, (b"etag", self.etag)]
        asked = request.fields.get(b"range")
        if request.fields.get(b"if-none-match") == self.etag:
            return Answer(304, fields=fields)
        if asked is None or request.fields.get(b"if-range") not in {None, self.etag}:
            return Answer(fields=fields, content=[self.content])
        ranges = resolve(parse_range(asked), len(self.content))
        if not ranges:
            return Answer(416, fields=[(b"content-range", b"bytes */%d" % len(self.content))])
        start, end = ranges[0]
        if start in self.instead:
            return self.instead[start]
        pieces: list[Piece] = [self.content[start:end]]
        if start in self.holds:
            pieces = [self.content[start : end - 1], self.holds[start], self.content[end - 1 : end]]
        stated = (b"content-range", format_content_range(start, end, len(self.content)))
        return Answer(206, fields=[*fields, stated], content=pieces, length=end - start)

    def replace(self) -> None:
        self.content, self.etag = V2, b'"v2"'


class RangeWorld(World):
    """A world with small chunks and an origin that knows ranges."""

    def __init__(self, **site) -> None:
        super().__init__(**{"chunks": RULES, **site})
        self.origin = RangeOrigin()
        self.upstream.script = self.origin

    async def range(self, value: str, *fields, **request) -> Got:
        return await self.get((b"range", b"bytes=" + value.encode()), *fields, **request)

    @property
    def fetched(self) -> list[str]:
        """The ranges the origin was asked for, in order."""
        return [(each.fields.get(b"range") or b"whole").decode().removeprefix("bytes=") for each in self.asked]

    @property
    def held(self) -> list[tuple]:
        return [stored.ranges for stored in self.stored()]


@pytest.fixture
async def world() -> AsyncIterator[RangeWorld]:
    world = RangeWorld()
    yield world
    await world.settle()
    world.assert_idle()


async def until(condition: Callable[[], object]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never comes true")


def begin(asking: Coroutine[object, object, Got]) -> asyncio.Task[Got]:
    return asyncio.get_running_loop().create_task(asking)


async def together(*asking: Coroutine[object, object, Got]) -> list[Got]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in asking]
    return [task.result() for task in tasks]


class TestCold:
    async def test_the_chunks_around_the_range_are_fetched_and_stored(self, world: RangeWorld) -> None:
        got = await world.range("17-33")
        assert (got.status, got.content, got.field(b"content-range")) == (206, V1[17:34], b"bytes 17-33/95")
        assert got.cache_status == "fwd=uri-miss; fwd-status=206; ttl=60; stored"
        assert got.trace == ["lookup", "miss", "forward", "store", "deliver"]
        await world.settle()
        assert (world.fetched, world.held) == (["10-19", "20-29", "30-39"], [((10, 40),)])
        again = await world.range("10-39")
        assert (again.content, again.cache_status) == (V1[10:40], "hit; ttl=60")

    async def test_chunks_after_the_first_are_asked_for_under_its_validator(self, world: RangeWorld) -> None:
        await world.range("17-33", (b"x-mine", b"1"))
        assert [each.fields.get(b"if-range") for each in world.asked] == [None, b'"v1"', b'"v1"']
        assert [each.fields.get(b"x-mine") for each in world.asked] == [b"1"] * 3

    @pytest.mark.parametrize(
        ("asked", "status", "content", "fetched"),
        [
            pytest.param("0-0", 206, V1[:1], ["0-9"], id="one octet"),
            pytest.param("10-19", 206, V1[10:20], ["10-19"], id="a chunk"),
            pytest.param("90-", 206, V1[90:], ["90-99"], id="the last chunk"),
            pytest.param("93-200", 206, V1[93:], ["90-99"], id="beyond the end"),
            pytest.param("97-98", 416, b"", ["90-99"], id="behind the end, in the last chunk"),
            pytest.param("300-", 416, b"", ["300-309"], id="far behind the end"),
            pytest.param("-7", 206, V1[-7:], ["-7"], id="a suffix, as the client asked"),
            pytest.param("25-20", 200, V1, ["25-20"], id="an invalid range"),
        ],
    )
    async def test_a_range(
        self, world: RangeWorld, asked: str, status: int, content: bytes, fetched: list[str]
    ) -> None:
        if asked == "25-20":
            world.upstream.script = lambda _: Answer(fields=[FRESH, ETAG], content=[V1])
        got = await world.range(asked)
        assert (got.status, got.content, got.record.complete, world.fetched) == (status, content, True, fetched)

    async def test_several_ranges_are_multipart(self, world: RangeWorld) -> None:
        got = await world.range("42-43,17-18")
        assert got.responder.length == len(got.content)
        for start, end in ((42, 44), (17, 19)):
            part = b"Content-Range: bytes %d-%d/95\r\n\r\n" % (start, end - 1) + V1[start:end]
            assert part in got.content
        assert world.fetched == ["10-19", "40-49"]

    async def test_a_small_representation_comes_whole(self, world: RangeWorld) -> None:
        world.origin.content = V1[:8]
        await world.range("2-3")
        await world.settle()
        whole = await world.get()
        assert (whole.status, whole.content, whole.cache_status) == (200, V1[:8], "hit; ttl=60")

    async def test_no_more_than_so_many_pieces_are_fetched_at_a_time(self, world: RangeWorld) -> None:
        world.origin.holds = {start: asyncio.Event() for start in range(0, 90, UNIT)}
        task = begin(world.range("0-79"))
        await until(lambda: len(world.asked) == 3)
        await turns()
        assert world.fetched == ["0-9", "10-19", "20-29"]
        for hold in world.origin.holds.values():
            hold.set()
        assert (await task).content == V1[:80]
        assert sorted(world.fetched) == [f"{start}-{start + 9}" for start in range(0, 80, UNIT)]

    async def test_the_first_octet_goes_out_as_soon_as_it_is_there(self, world: RangeWorld) -> None:
        world.origin.holds[10] = asyncio.Event()
        responder = RecordingResponder()
        task = begin(world.range("12-19", responder=responder))
        await responder.began.wait()
        assert bytes(responder.content) == V1[12:19]
        world.origin.holds[10].set()
        assert (await task).content == V1[12:20]

    async def test_an_if_range_of_another_representation_gets_the_whole(self, world: RangeWorld) -> None:
        got = await world.range("10-19", (b"if-range", b'"v0"'))
        assert (got.status, got.content, len(world.asked)) == (200, V1, 1)

    async def test_the_fields_that_are_not_stored_go_to_who_asked_first(self) -> None:
        world = RangeWorld(profile=STRICT_RFC)
        world.origin.fields = [FRESH, (b"content-type", b"a/b"), (b"age", b"7")]
        got = await world.range("10-19")
        assert (got.field(b"content-type"), got.field(b"age")) == (b"a/b", b"7")


class TestNotByChunks:
    """Origins and responses that will not do: everybody gets what is right, and nothing wrong is stored."""

    async def test_an_origin_without_ranges(self, world: RangeWorld) -> None:
        world.upstream.script = lambda _: Answer(fields=[FRESH], content=[V1])
        got = await together(world.range("12-19"), world.range("50-59"))
        assert [each.content for each in got] == [V1[12:20], V1[50:60]]
        await world.settle()
        assert (len(world.asked), world.held) == (1, [((0, SIZE),)])

    @pytest.mark.parametrize(
        ("fields", "detail"),
        [
            pytest.param([(b"cache-control", b"no-store")], "no-store", id="no-store"),
            pytest.param([(b"cache-control", b"private")], "private", id="private"),
            pytest.param([FRESH, (b"set-cookie", b"a=b")], "set-cookie", id="Set-Cookie"),
        ],
    )
    async def test_what_may_not_be_stored(self, world: RangeWorld, fields: list, detail: str) -> None:
        world.origin.fields = fields
        near = await world.range("12-19")
        assert (near.content, near.cache_status) == (V1[12:20], f"fwd=uri-miss; fwd-status=206; detail={detail}")
        later = await world.range("5-44")
        assert (later.content, world.fetched, world.held) == (V1[5:45], ["10-19", "5-44"], [])

    async def test_what_may_not_be_stored_and_is_longer_than_a_chunk(self, world: RangeWorld) -> None:
        world.origin.fields = [(b"cache-control", b"no-store")]
        got = await world.range("12-44")
        assert (got.content, world.fetched) == (V1[12:45], ["10-19", "12-44"])
        assert got.trace == ["lookup", "miss", "forward", "as-is", "alone", "forward", "no-store", "pass"]
        assert ((await world.range("12-44")).content, world.fetched[2:]) == (V1[12:45], ["12-44"])

    @pytest.mark.parametrize(("asked", "fetched"), [("12-14", ["10-19"]), ("12-44", ["10-19", "12-44"])])
    async def test_no_strong_validator(self, world: RangeWorld, asked: str, fetched: list[str]) -> None:
        world.origin.etag = b'W/"v1"'
        ((start, end),) = resolve(parse_range(b"bytes=" + asked.encode()), SIZE)
        assert (await world.range(asked)).content == V1[start:end]
        await world.settle()
        assert (world.fetched, len(world.held)) == (fetched, 1)
        assert (await world.range(asked)).cache_status == "hit; ttl=60"
        other = await world.range("60-69")
        assert (other.content, other.record.complete) == (V1[60:70], True)

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param([(b"content-range", b"bytes 10-19/*")], id="of an unknown length"),
            pytest.param([(b"content-range", b"bytes 10-19")], id="with a malformed Content-Range"),
            pytest.param([(b"content-range", b"bytes 10-18/95")], id="with another length than it states"),
            pytest.param([(b"content-range", b"bytes 50-59/95")], id="of other octets, without a validator"),
            pytest.param([], id="without a Content-Range"),
        ],
    )
    async def test_a_part(self, world: RangeWorld, fields: list) -> None:
        world.origin.instead[10] = Answer(206, fields=[FRESH, *fields], content=[V1[10:20]])
        got = await world.range("12-14")
        assert (got.content, world.fetched) == (V1[12:15], ["10-19", "12-14"])

    async def test_a_part_longer_than_was_asked_for(self, world: RangeWorld) -> None:
        stated = (b"content-range", b"bytes 10-94/95")
        world.origin.instead[10] = Answer(206, fields=[FRESH, ETAG, stated], content=[V1[10:]])
        assert ((await world.range("12-14")).content, world.fetched) == (V1[12:15], ["10-19", "12-14"])

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param([(b"authorization", b"Basic YTpi")], id="Authorization"),
            pytest.param([(b"cache-control", b"no-store")], id="no-store"),
            pytest.param([(b"if-match", b'"v1"')], id="a precondition"),
        ],
    )
    async def test_a_request_with(self, world: RangeWorld, fields: list) -> None:
        assert (await world.range("12-14", *fields)).content == V1[12:15]
        assert world.fetched == ["12-14"]

    async def test_a_site_that_does_not_collapse(self) -> None:
        world = RangeWorld(collapse=False)
        assert (await world.range("12-14")).content == V1[12:15]
        assert world.fetched == ["12-14"]

    async def test_an_origin_that_cannot_be_reached(self, world: RangeWorld) -> None:
        world.upstream.script = lambda _: Answer(error=UpstreamConnectError(), head_after=None)
        got = await together(world.range("12-14"), world.range("12-14"))
        assert [each.status for each in got] == [502, 502]

    async def test_an_error_is_passed_on(self, world: RangeWorld) -> None:
        world.upstream.script = lambda _: Answer(403, content=[b"no"])
        got = await world.range("12-14")
        assert (got.status, got.content) == (403, b"no")


class TestLies:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param([V1[20:25]], id="less than was announced"),
            pytest.param([V1[20:25], UpstreamClosed()], id="a connection that breaks"),
            pytest.param([V1[20:35]], id="more than was announced"),
        ],
    )
    async def test_a_piece_after_the_first(self, world: RangeWorld, content: list) -> None:
        fields = [FRESH, ETAG, (b"content-range", b"bytes 20-29/95")]
        world.origin.instead[20] = Answer(206, fields=fields, content=content, is_chunked=True)
        got = await world.range("12-34")
        assert (got.responder.is_aborted, got.record.complete) == (True, False)
        assert V1[12:35].startswith(got.content)
        await world.settle()
        assert all(stop <= 20 or start >= 30 for held in world.held for start, stop in held)

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(Answer(500), id="a server error"),
            pytest.param(Answer(404), id="not found"),
            pytest.param(Answer(fields=[FRESH, ETAG], content=[V1]), id="the whole, though it is the same"),
            pytest.param(
                Answer(206, fields=[FRESH, ETAG, (b"content-range", b"bytes 0-9/95")], content=[V1[:10]]),
                id="other octets",
            ),
        ],
    )
    async def test_another_answer_than_the_piece(self, world: RangeWorld, answer: Answer) -> None:
        world.origin.instead[20] = answer
        got = await world.range("12-34")
        assert (got.responder.is_aborted, got.content[:8]) == (True, V1[12:20])
        await world.settle()
        world.origin.instead.clear()
        assert (await world.range("12-34")).content == V1[12:35]


class TestWarm:
    async def test_only_what_is_missing_is_fetched(self, world: RangeWorld) -> None:
        await world.range("20-29")
        await world.settle()
        world.asked.clear()
        got = await world.range("15-34")
        assert got.cache_status == "fwd=partial; fwd-status=206; ttl=60; stored"
        assert (got.content, got.trace) == (V1[15:35], ["lookup", "combine", "deliver"])
        await world.settle()
        assert (sorted(world.fetched), world.held) == (["10-19", "30-39"], [((10, 40),)])

    async def test_octets_inside_a_chunk_are_not_fetched_again(self, world: RangeWorld) -> None:
        await world.range("-3")
        await world.settle()
        got = await world.range("88-")
        assert (got.content, world.fetched[1:]) == (V1[88:], ["80-89", "90-91"])
        await world.settle()
        assert world.held == [((80, SIZE),)]

    async def test_a_whole_with_gaps_is_filled(self, world: RangeWorld) -> None:
        for asked in ("20-29", "50-59"):
            await world.range(asked)
            await world.settle()
        got = await world.get()
        assert (got.status, got.content) == (200, V1)
        await world.settle()
        assert (len(world.asked), world.held) == (10, [((0, SIZE),)])

    async def test_a_stale_part_is_confirmed_by_the_missing_one(self, world: RangeWorld) -> None:
        world.origin.fields = [STALE]
        await world.range("10-19")
        await world.settle()
        world.origin.fields = [FRESH]
        got = await world.range("10-29")
        assert (got.content, got.cache_status) == (V1[10:30], "fwd=partial; fwd-status=206; ttl=60; stored")

    async def test_nothing_is_asked_for_a_client_that_wants_only_what_is_stored(self, world: RangeWorld) -> None:
        await world.range("10-19")
        assert (await world.range("10-29", (b"cache-control", b"only-if-cached"))).status == 504

    async def test_an_origin_that_fails_is_heard(self, world: RangeWorld) -> None:
        await world.range("10-19")
        await world.settle()
        world.upstream.script = lambda _: Answer(503, content=[b"busy"])
        got = await world.range("10-29")
        assert (got.status, got.content) == (503, b"busy")

    async def test_a_part_that_is_damaged_is_fetched_again(self, world: RangeWorld) -> None:
        await world.range("10-19")
        await world.settle()
        world.store.damaged.add(world.stored()[0].generation)
        got = await world.range("10-29")
        assert (got.content, got.responder.is_finished) == (V1[10:30], True)
        await world.settle()
        assert world.held == [((10, 30),)]


class TestValidation:
    """What is stored of a large representation is stale: if there is another one, only a part of that is fetched."""

    @pytest.fixture
    async def stale(self, world: RangeWorld) -> RangeWorld:
        world.origin.fields = [STALE]
        await world.get()
        await world.settle()
        world.asked.clear()
        world.clock.advance(1)
        world.origin.fields = [FRESH]
        return world

    async def test_it_holds(self, stale: RangeWorld) -> None:
        got = await stale.range("15-34")
        assert (got.status, got.content) == (206, V1[15:35])
        assert got.cache_status == "fwd=stale; fwd-status=304; ttl=60; stored; detail=lifetime-over"
        assert [each.fields.get(b"if-none-match") for each in stale.asked] == [b'"v1"']

    async def test_it_holds_for_all_who_ask(self, stale: RangeWorld) -> None:
        got = await together(*[stale.range("15-34") for _ in range(3)])
        assert [each.content for each in got] == [V1[15:35]] * 3
        assert (len(stale.asked), got[2].record.outcome) == (1, "REVALIDATED")

    async def test_there_is_another(self, stale: RangeWorld) -> None:
        stale.origin.replace()
        got = await stale.range("15-34")
        assert (got.status, got.content) == (206, V2[15:35])
        await stale.settle()
        assert (stale.fetched, stale.held) == (["10-19", "20-29", "30-39"], [((10, 40),)])

    async def test_the_origin_fails(self, stale: RangeWorld) -> None:
        stale.upstream.script = lambda _: Answer(503)
        got = await together(*[stale.range("15-34") for _ in range(2)])
        assert [each.status for each in got] == [503, 503]


class TestShared:
    async def test_overlapping_ranges_asked_at_once(self, world: RangeWorld) -> None:
        ranges = [(5, 45), (12, 38), (33, 60), (12, 38)]
        got = await together(*[world.range(f"{start}-{end - 1}") for start, end in ranges])
        assert [each.content for each in got] == [V1[start:end] for start, end in ranges]
        assert sorted(world.fetched) == ["0-9", "10-19", "20-29", "30-39", "40-49", "50-59"]
        assert "collapsed" in got[3].cache_status

    async def test_a_piece_on_its_way_is_shared(self, world: RangeWorld) -> None:
        world.origin.holds[10] = asyncio.Event()
        first = begin(world.range("10-19"))
        await until(lambda: world.driver._collapsing._ranging._assemblies)
        second = begin(world.range("15-19"))
        await turns()
        world.origin.holds[10].set()
        assert ((await first).content, (await second).content) == (V1[10:20], V1[15:20])
        assert (await second).cache_status == "fwd=uri-miss; ttl=60; collapsed"
        assert world.fetched == ["10-19"]

    async def test_who_came_first_leaves(self, world: RangeWorld) -> None:
        world.origin.holds[10] = asyncio.Event()
        first = begin(world.range("10-29"))
        await until(lambda: world.driver._collapsing._ranging._assemblies)
        second = begin(world.range("10-29"))
        await turns()
        first.cancel()
        await turns()
        world.origin.holds[10].set()
        assert ((await second).content, world.fetched) == (V1[10:30], ["10-19", "20-29"])

    async def test_another_variant_is_not_shared(self, world: RangeWorld) -> None:
        world.origin.fields = [FRESH, (b"vary", b"x-kind")]
        world.origin.holds[10] = asyncio.Event()
        asking = [begin(world.range("10-19", (b"x-kind", kind))) for kind in (b"a", b"b")]
        await until(lambda: len(world.asked) == 2)
        world.origin.holds[10].set()
        assert [(await each).content for each in asking] == [V1[10:20]] * 2

    async def test_a_lead_that_leaves_is_followed_by_another(self, world: RangeWorld) -> None:
        head = asyncio.Event()
        world.origin.instead[10] = replace(Answer(206), head_after=head)
        first = begin(world.range("10-19"))
        await until(lambda: world.asked)
        second = begin(world.range("10-19"))
        await turns()
        world.origin.instead.clear()
        first.cancel()
        assert (await second).content == V1[10:20]

    async def test_nobody_waits_for_a_first_answer_for_ever(self) -> None:
        world = RangeWorld(collapse_wait=0.0)
        head = asyncio.Event()
        world.origin.instead[10] = replace(Answer(206), head_after=head)
        first = begin(world.range("10-19"))
        await until(lambda: world.asked)
        assert (await world.range("12-19")).content == V1[12:20]
        assert world.fetched == ["10-19", "12-19"]
        first.cancel()


class TestReadAhead:
    async def test_a_range_that_goes_on_is_read_ahead_of(self, world: RangeWorld) -> None:
        for asked in ("0-9", "10-19", "20-29", "30-39"):
            await world.range(asked)
            await world.settle()
        assert world.held == [((0, 70),)]
        assert len(world.asked) == 7, "each chunk once"

    async def test_who_is_read_ahead_of_hits(self, world: RangeWorld) -> None:
        for asked in ("0-9", "10-19"):
            await world.range(asked)
            await world.settle()
        got = await world.range("20-29")
        assert got.cache_status == "hit; ttl=60"

    async def test_a_seek_is_not(self, world: RangeWorld) -> None:
        for asked in ("0-9", "50-59", "20-29", "0-9"):
            await world.range(asked)
            await world.settle()
        assert sorted(world.fetched) == ["0-9", "20-29", "50-59"]

    async def test_it_can_be_turned_off(self) -> None:
        world = RangeWorld(chunks=replace(RULES, read_ahead=0))
        for asked in ("0-9", "10-19", "20-29"):
            await world.range(asked)
            await world.settle()
        assert len(world.asked) == 3

    async def test_all_there_is_from_a_seek_on_is_fetched_as_it_is_read(self, world: RangeWorld) -> None:
        responder = RecordingResponder()
        responder.takes.clear()
        task = begin(world.range("30-", responder=responder))
        await until(lambda: world.held)
        await turns()
        assert world.fetched == ["30-39"]
        responder.takes.set()
        assert (await task).content == V1[30:]
        assert len(world.asked) == 7

    async def test_a_store_that_is_behind_holds_up_who_reads(self, world: RangeWorld) -> None:
        world.origin.content = bytes(400)
        world.store.takes.clear()
        task = begin(world.range("0-"))
        await turns(2000)
        assert 1 < len(world.asked) < 16, "what waits for the store is in memory"
        world.store.takes.set()
        assert (await task).content == bytes(400)
        assert len(world.asked) == 40

    async def test_nothing_more_is_fetched_for_who_has_left(self, world: RangeWorld) -> None:
        world.origin.holds = {start: asyncio.Event() for start in (20, 30)}
        responder = RecordingResponder(leaves_after=5)
        got = await world.range("12-79", responder=responder)
        assert got.trace[-1] == "client-closed"
        world.origin.holds[20].set()
        await world.settle()
        assert world.fetched == ["10-19", "20-29", "30-39"]
        assert world.held == [((10, 30),)], "what it waited for is kept, the rest given up"

    async def test_an_origin_that_fails_is_not_asked_ahead(self, world: RangeWorld) -> None:
        await world.range("0-9")
        await world.settle()
        world.origin.instead[20] = Answer(500)
        got = await world.range("10-19")
        assert got.content == V1[10:20]
        await world.settle()
        assert world.fetched == ["0-9", "10-19", "20-29"]

    async def test_a_store_that_takes_nothing_is_not_read_ahead_for(self, world: RangeWorld) -> None:
        for asked in ("0-9", "10-19"):
            await world.range(asked)
            await world.settle()
        world.store.is_full = True
        got = await world.range("20-39")
        assert (got.content, got.record.complete) == (V1[20:40], True)
        await world.settle()
        assert world.held == [((0, 30),)]

    async def test_what_is_invalidated_is_not_read_ahead_of(self, world: RangeWorld) -> None:
        await world.range("0-9")
        await world.settle()
        hold = world.origin.holds[20] = asyncio.Event()
        await world.range("10-19")
        await world.get(method=b"POST", content=[b"x"])
        hold.set()
        await world.settle()
        assert world.held == []


class TestChanged:
    async def test_an_answer_that_has_begun_is_broken_off(self, world: RangeWorld) -> None:
        world.origin.holds[10] = asyncio.Event()
        responder = RecordingResponder()
        task = begin(world.range("10-59", responder=responder))
        await responder.began.wait()
        await until(lambda: len(world.asked) == 3)
        world.origin.replace()
        world.origin.holds[10].set()
        got = await task
        assert (got.responder.is_aborted, got.record.complete, got.record.detail) == (True, False, "origin-changed")
        assert V1[10:60].startswith(got.content)
        await world.settle()
        assert world.held == []
        again = await world.range("10-59")
        assert (again.content, again.record.complete) == (V2[10:60], True)

    async def test_one_that_has_not_begun_starts_over(self, world: RangeWorld) -> None:
        await world.range("10-19")
        await world.settle()
        world.origin.replace()
        got = await world.range("10-39")
        assert (got.status, got.content, got.record.complete) == (206, V2[10:40], True)
        assert got.trace == [
            "lookup", "origin-changed", "miss", "forward", "store", "deliver",
        ]  # fmt: skip
        await world.settle()
        assert world.held == [((10, 40),)]
        assert [stored.fields.get(b"etag") for stored in world.stored()] == [b'"v2"']

    async def test_all_that_have_not_begun_start_over_together(self, world: RangeWorld) -> None:
        await world.range("10-19")
        await world.settle()
        world.origin.replace()
        got = await together(*[world.range("10-39") for _ in range(5)])
        assert {each.content for each in got} == {V2[10:40]}
        assert len(world.asked) == 1 + 1 + 3

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(Answer(416, fields=[(b"content-range", b"bytes */12")]), id="it is shorter now"),
            pytest.param(
                Answer(206, fields=[FRESH, (b"content-range", b"bytes 20-29/95")], content=[V2[20:30]]),
                id="a part without a validator",
            ),
            pytest.param(
                Answer(206, fields=[FRESH, ETAG, (b"content-range", b"bytes 20-29/96")], content=[V2[20:30]]),
                id="a part of another length",
            ),
        ],
    )
    async def test_what_is_no_part_of_it(self, world: RangeWorld, answer: Answer) -> None:
        world.origin.instead[20] = answer
        got = await world.range("12-34")
        assert (got.responder.is_aborted, got.record.detail) == (True, "origin-changed")
        assert V1[12:35].startswith(got.content)
        await world.settle()

    async def test_a_representation_that_changes_all_the_time(self, world: RangeWorld) -> None:
        await world.range("10-19")
        await world.settle()

        def changing(request: Request) -> Answer:
            world.origin.etag = b'"%d"' % len(world.asked)
            return RangeOrigin(etag=world.origin.etag)(request)

        world.upstream.script = changing
        got = await world.range("10-39")
        assert got.responder.is_aborted
        assert V1[10:40].startswith(got.content)

    async def test_what_may_no_longer_be_stored_is_delivered(self, world: RangeWorld) -> None:
        await world.range("10-19")
        await world.settle()
        world.origin.fields = [(b"cache-control", b"no-store")]
        got = await world.range("10-39")
        assert (got.content, got.record.complete) == (V1[10:40], True)
        await world.settle()
        assert world.held == [((10, 20),)]


class TestStore:
    async def test_that_is_full_lets_a_range_pass(self, world: RangeWorld) -> None:
        world.store.is_full = True
        near, far = await world.range("12-19"), await world.range("5-44")
        assert (near.content, far.content, world.held) == (V1[12:20], V1[5:45], [])
        assert "detail=store-unavailable" in near.cache_status
        assert world.fetched == ["10-19", "0-9", "5-44"]

    async def test_that_becomes_full_costs_nobody_anything(self, world: RangeWorld) -> None:
        hold = world.origin.holds[10] = asyncio.Event()
        responder = RecordingResponder()
        task = begin(world.range("12-79", responder=responder))
        await responder.began.wait()
        world.store.is_full = True
        hold.set()
        got = await task
        assert (got.content, got.record.complete) == (V1[12:80], True)
        await world.settle()
        assert world.telemetry.counters[StoreFull.detail] > 0

    async def test_an_invalidation_keeps_out_what_came_before_it(self, world: RangeWorld) -> None:
        hold = world.origin.holds[10] = asyncio.Event()
        responder = RecordingResponder()
        task = begin(world.range("10-19", responder=responder))
        await responder.began.wait()
        await world.get(method=b"POST", content=[b"x"])
        hold.set()
        assert (await task).content == V1[10:20]
        await world.settle()
        assert world.held == []

    async def test_a_whole_that_comes_in_meanwhile_stays(self, world: RangeWorld) -> None:
        hold = world.origin.holds[10] = asyncio.Event()
        responder = RecordingResponder()
        task = begin(world.range("10-39", responder=responder))
        await responder.began.wait()
        await world.get()
        await until(lambda: world.held == [((0, SIZE),)])
        hold.set()
        assert (await task).content == V1[10:40]
        await world.settle()
        assert world.held == [((0, SIZE),)]


async def test_a_client_cancelled_at_every_wait_leaves_nothing_behind() -> None:
    hang_at = 0
    while True:
        hang_at += 1
        pauses = Pauses(hang_at)
        world = RangeWorld(pauses=pauses)
        task = begin(world.range("12-44", responder=RecordingResponder(pauses=pauses)))
        while not pauses.reached.is_set() and not (task.done() and alive() == 0):
            await asyncio.sleep(0)
        if not pauses.reached.is_set():
            break
        follower = begin(world.range("20-59"))
        await turns(200)
        task.cancel()
        await turns(200)
        # What hangs is an origin or a store that never answers.
        await cancel_all()
        got = await follower
        assert got.content == V1[20:60] if got.record.complete else not got.responder.is_finished
        await world.settle()
        world.assert_idle()
    assert hang_at > 10


class Trouble:
    """Clients that seek, leave and are slow, an origin that changes and fails, a store that forgets: by a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = RangeWorld()
        self.world.upstream.script = self.answer
        self.generation = 0

    def answer(self, request: Request) -> Answer:
        origin = self.world.origin
        if self.chance.random() < 0.02:
            self.generation += 1
            origin.etag = b'"%d"' % self.generation
            origin.content = bytes([self.generation % 256]) * SIZE
        answer = origin(request)
        fault = self.chance.random()
        if fault < 0.02:
            return Answer(503)
        if fault < 0.05 and (answer.content_length or 0) > 1:
            whole = answer.content[0]
            assert isinstance(whole, bytes)
            return replace(answer, content=[whole[: len(whole) // 2], UpstreamClosed()], length=len(whole))
        return answer

    async def client(self) -> None:
        for _ in range(4):
            start = self.chance.randrange(SIZE)
            end = min(SIZE, start + self.chance.choice([1, 10, 35, SIZE]))
            leaves_after = self.chance.choice([None, None, 7])
            got = await self.world.range(f"{start}-{end - 1}", responder=RecordingResponder(leaves_after=leaves_after))
            assert len(set(got.content)) <= 1, "octets of two generations in one answer"
            assert not got.responder.is_finished or got.status != 206 or len(got.content) == end - start
            await turns(self.chance.randrange(10))
            await self.store()

    async def store(self) -> None:
        self.world.store.is_full = self.chance.random() < 0.1
        for stored in self.world.stored():
            if self.chance.random() < 0.1:
                self.world.store.damaged.add(stored.generation)


@pytest.mark.parametrize("seed", range(40))
async def test_no_answer_is_ever_of_two_generations(seed: int) -> None:
    trouble = Trouble(seed)
    trouble.world.origin.content, trouble.world.origin.etag = bytes(SIZE), b'"0"'
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(trouble.client())
    await trouble.world.settle()
    trouble.world.assert_idle()
    for stored in trouble.world.stored():
        content = trouble.world.store.contents[stored.generation]
        octets = {octet for start, end in stored.ranges for octet in content[start:end]}
        assert len(octets) <= 1
        assert stored.fields.get(b"etag") in {b'"%d"' % octet for octet in octets} | {b'"0"'}
