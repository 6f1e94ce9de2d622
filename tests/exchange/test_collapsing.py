"""Many requests for one key at a time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from edge.errors import UpstreamClosed, UpstreamConnectError, UpstreamTimeout
from edge.exchange.fill import FINISH_ABANDONED
from edge.exchange.flight import GO_ALONE_AT_ONCE
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, FRESH, PIECE, STALE, Got, World, turns

SIE = (b"cache-control", b"max-age=10, stale-if-error=100")


class Crowd:
    """Requests under way at the same time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks: list[asyncio.Task[Got]] = []

    def ask(self, count: int = 1, *fields, responder: RecordingResponder | None = None, **request) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            self.tasks.append(loop.create_task(self.world.get(*fields, responder=responder, **request)))

    async def got(self) -> list[Got]:
        await asyncio.wait(self.tasks)
        return [task.result() for task in self.tasks]


@pytest.fixture
async def crowd(world: World) -> AsyncIterator[Crowd]:
    crowd = Crowd(world)
    yield crowd
    for task in crowd.tasks:
        task.cancel()
    if crowd.tasks:
        await asyncio.wait(crowd.tasks)


@pytest.mark.slow
async def test_a_thousand_requests_for_a_cold_key_are_one(world: World, crowd: Crowd) -> None:
    head, rest = asyncio.Event(), asyncio.Event()
    pieces = [PIECE] * 4
    world.upstream.answers(Answer(fields=[FRESH], content=[*pieces[:2], rest, *pieces[2:]], head_after=head))
    responders = [RecordingResponder() for _ in range(1000)]
    for responder in responders[:900]:
        crowd.ask(responder=responder)
    await turns()
    head.set()
    for responder in responders[:900]:
        await responder.began.wait()
    for responder in responders[900:]:
        # Those come after the head, and before the origin has finished.
        crowd.ask(responder=responder)
    for responder in responders[900:]:
        await responder.began.wait()
    assert not any(responder.is_finished for responder in responders)
    rest.set()
    got = await crowd.got()
    assert {each.content for each in got} == {b"".join(pieces)}
    assert all(each.record.complete for each in got)
    assert len(world.asked) == 1
    assert Counter(each.cache_status for each in got) == {
        "fwd=uri-miss; fwd-status=200; ttl=60; stored": 1,
        "fwd=uri-miss; ttl=60; collapsed": 999,
    }
    await world.settle()
    assert (await world.get()).cache_status == "hit; ttl=60"


@pytest.mark.slow
async def test_two_thousand_requests_at_expiry_are_one_validation(world: World, crowd: Crowd) -> None:
    await world.warm(Answer(fields=[FRESH, ETAG], content=[b"body"]))
    world.clock.advance(61)
    answered = asyncio.Event()
    world.upstream.answers(Answer(304, fields=[FRESH, ETAG], head_after=answered))
    crowd.ask(2000)
    await turns()
    answered.set()
    got = await crowd.got()
    assert {(each.content, each.record.outcome) for each in got} == {(b"body", "REVALIDATED")}
    assert len(world.asked) == 1


async def test_a_slow_client_slows_nobody(world: World, crowd: Crowd) -> None:
    content = [PIECE] * 64
    world.upstream.answers(Answer(fields=[FRESH], content=content))
    slow = RecordingResponder()
    slow.takes.clear()
    crowd.ask(responder=slow)
    await turns(3)
    others = Crowd(world)
    others.ask(10)
    assert {each.content for each in await others.got()} == {b"".join(content)}
    assert (bytes(slow.content), world.stored()[0].is_complete) == (b"", True)
    slow.takes.set()
    assert [each.content for each in await crowd.got()] == [b"".join(content)]


async def test_the_leads_client_leaves_and_the_others_stay(world: World, crowd: Crowd) -> None:
    go_on = asyncio.Event()
    length = FINISH_ABANDONED + 2 * len(PIECE)
    world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, go_on, bytes(length - len(PIECE))]))
    leaver, stayer = RecordingResponder(leaves_after=1), RecordingResponder()
    crowd.ask(responder=leaver)
    crowd.ask(responder=stayer)
    await stayer.began.wait()
    await turns()
    assert [(record.status, record.complete) for record in world.telemetry.records] == []
    go_on.set()
    left, stayed = await crowd.got()
    assert (left.record.complete, left.trace[-1]) == (False, "client-closed")
    assert (len(stayed.content), stayed.record.complete) == (length, True)


class TestAllClientsLeave:
    async def test_what_is_nearly_done_is_finished(self, world: World) -> None:
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, PIECE]))
        await self.leave_after_the_head(world)
        await world.settle()
        assert world.stored()[0].complete_length == 2 * len(PIECE)

    async def test_what_is_far_from_done_ends_at_once(self, world: World) -> None:
        never = asyncio.Event()
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, PIECE, never], length=FINISH_ABANDONED * 2))
        await self.leave_after_the_head(world)
        await world.settle()
        world.assert_idle()
        assert not world.stored()

    async def test_what_has_no_known_end_goes_on_for_a_while(self, world: World) -> None:
        pieces = [PIECE] * (FINISH_ABANDONED // len(PIECE) + 10)
        world.upstream.answers(Answer(fields=[FRESH], content=pieces, is_chunked=True))
        await self.leave_after_the_head(world)
        await world.settle()
        world.assert_idle()
        assert not world.stored()
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, PIECE], is_chunked=True))
        await self.leave_after_the_head(world)
        await world.settle()
        assert world.stored()

    async def test_who_comes_at_that_moment_asks_anew(self, world: World, crowd: Crowd) -> None:
        never = asyncio.Event()
        world.upstream.answers(
            Answer(fields=[FRESH], content=[PIECE, PIECE, never], length=FINISH_ABANDONED * 2),
            Answer(fields=[FRESH], content=[b"new"]),
        )
        await self.leave_after_the_head(world)
        crowd.ask()
        assert [each.content for each in await crowd.got()] == [b"new"]

    async def leave_after_the_head(self, world: World) -> None:
        got = await world.get(responder=RecordingResponder(leaves_after=1))
        assert (got.status, got.record.complete) == (200, False)


class TestOriginFails:
    async def test_before_the_head(self, world: World, crowd: Crowd) -> None:
        failed = asyncio.Event()
        world.upstream.answers(Answer(error=UpstreamTimeout(), head_after=failed))
        crowd.ask(50)
        await turns()
        failed.set()
        got = await crowd.got()
        assert {(each.status, each.record.detail) for each in got} == {(504, "origin-timeout")}
        assert len(world.asked) == 1

    async def test_before_the_head_with_permission_to_be_stale(self, world: World, crowd: Crowd) -> None:
        await world.warm(Answer(fields=[SIE, ETAG], content=[b"old"]))
        world.clock.advance(50)
        for answer in (Answer(error=UpstreamConnectError()), Answer(503)):
            world.upstream.answers(answer)
            crowd.ask(50)
            assert {(each.status, each.content) for each in await crowd.got()} == {(200, b"old")}
        assert len(world.asked) == 2, "a server error is not asked for once more by each"

    async def test_after_the_head(self, world: World, crowd: Crowd) -> None:
        failed = asyncio.Event()
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, failed, UpstreamClosed()], is_chunked=True))
        crowd.ask(50)
        await turns()
        failed.set()
        got = await crowd.got()
        assert {each.content for each in got} == {PIECE}
        assert all(each.responder.is_aborted and not each.responder.is_finished for each in got)
        assert {(each.record.complete, each.record.detail) for each in got} == {(False, "origin-closed")}
        assert not world.stored()

    async def test_silently_by_sending_too_little(self, world: World, crowd: Crowd) -> None:
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE], length=len(PIECE) + 1))
        crowd.ask(5)
        assert all(each.responder.is_aborted for each in await crowd.got())
        await world.settle()
        assert not world.stored()


async def test_followers_of_what_is_not_storable_are_released_at_once(world: World, crowd: Crowd) -> None:
    never = asyncio.Event()
    no_store = (b"cache-control", b"no-store")
    endless = Answer(fields=[no_store], content=[b"x", never], is_chunked=True)
    world.upstream.answers(endless, *[Answer(fields=[no_store], content=[b"own"])] * 8)
    lead = RecordingResponder()
    crowd.ask(responder=lead)
    others = Crowd(world)
    others.ask(4)
    assert [each.content for each in await others.got()] == [b"own"] * 4
    await lead.began.wait()
    second = Crowd(world)
    second.ask(4)
    assert [each.trace for each in await second.got()] == [
        ["lookup", "miss", "alone", "forward", "no-store", "pass"]
    ] * 4
    never.set()
    await crowd.got()


async def test_what_one_request_forbids_does_not_keep_others_apart(world: World, crowd: Crowd) -> None:
    first = asyncio.Event()
    world.upstream.answers(Answer(fields=[FRESH], head_after=first), Answer(fields=[FRESH], content=[b"shared"]))
    crowd.ask(1, (b"cache-control", b"no-store"))
    await turns(5)
    crowd.ask(50)
    await turns(5)
    first.set()
    got = await crowd.got()
    assert {each.content for each in got[1:]} == {b"shared"}
    assert len(world.asked) == 2


async def test_followers_of_another_variant_share_their_own(world: World, crowd: Crowd) -> None:
    vary = (b"vary", b"x-lang")
    head = asyncio.Event()
    world.upstream.script = lambda request: Answer(
        fields=[FRESH, vary], content=[request.fields.get(b"x-lang") or b""], head_after=head
    )
    for _ in range(20):
        for language in (b"de", b"fr", b"it"):
            crowd.ask(1, (b"x-lang", language))
    await turns()
    head.set()
    got = await crowd.got()
    assert [each.content for each in got] == [b"de", b"fr", b"it"] * 20
    assert len(world.asked) == 3


async def test_what_must_be_validated_is_not_shared(world: World, crowd: Crowd) -> None:
    head = asyncio.Event()
    world.upstream.script = lambda _: Answer(fields=[(b"cache-control", b"no-cache"), ETAG], head_after=head)
    crowd.ask(3)
    await turns()
    head.set()
    await crowd.got()
    assert len(world.asked) == 3


async def test_credentials_are_never_collapsed(world: World, crowd: Crowd) -> None:
    head = asyncio.Event()
    world.upstream.script = lambda _: Answer(fields=[FRESH], head_after=head)
    crowd.ask(3, (b"authorization", b"a"))
    await turns()
    assert len(world.asked) == 3
    head.set()
    await crowd.got()


class TestLeadTakesTooLong:
    async def test_a_few_go_alone(self, crowd: Crowd) -> None:
        crowd.world = world = World(collapse_wait=0.0)
        never = asyncio.Event()
        world.upstream.script = lambda _: Answer(fields=[FRESH], head_after=never)
        crowd.ask(100)
        while len(world.asked) < 1 + GO_ALONE_AT_ONCE:
            await asyncio.sleep(0)
        await turns(50)
        assert len(world.asked) == 1 + GO_ALONE_AT_ONCE
        never.set()
        await crowd.got()
        await world.settle()
        world.assert_idle()

    async def test_the_others_follow_whoever_succeeds_first(self, crowd: Crowd) -> None:
        crowd.world = world = World(collapse_wait=0.0)
        never = asyncio.Event()
        stuck = Answer(fields=[FRESH], head_after=never, error=UpstreamTimeout())
        world.upstream.answers(*[stuck] * GO_ALONE_AT_ONCE, Answer(fields=[FRESH], content=[b"body"]))
        crowd.ask(100)
        while not world.stored():
            await asyncio.sleep(0)
        await turns(50)
        assert Counter(task.done() for task in crowd.tasks) == {True: 100 - GO_ALONE_AT_ONCE, False: GO_ALONE_AT_ONCE}
        never.set()
        assert Counter(each.status for each in await crowd.got()) == {200: 84, 504: 16}
        await world.settle()
        world.assert_idle()


async def test_a_follower_leads_when_the_lead_is_lost(world: World, crowd: Crowd) -> None:
    never = asyncio.Event()
    world.upstream.answers(Answer(head_after=never), Answer(fields=[FRESH], content=[b"body"]))
    crowd.ask()
    await turns(5)
    others = Crowd(world)
    others.ask(50)
    await turns(5)
    crowd.tasks.pop().cancel()
    assert {each.content for each in await others.got()} == {b"body"}
    assert len(world.asked) == 2


async def test_a_fill_that_outlives_its_lifetime_is_not_followed(world: World, crowd: Crowd) -> None:
    go_on = asyncio.Event()
    world.upstream.answers(
        Answer(fields=[FRESH], content=[b"old", go_on]), Answer(fields=[FRESH], content=[b"new", go_on])
    )
    for _ in range(2):
        responder = RecordingResponder()
        crowd.ask(responder=responder)
        await responder.began.wait()
        world.clock.advance(61)
    world.clock.advance(-61)
    crowd.ask()
    await turns()
    go_on.set()
    assert [each.content for each in await crowd.got()] == [b"old", b"new", b"new"]


async def test_damage_found_by_followers_is_one_more_fetch(world: World, crowd: Crowd) -> None:
    await world.warm(Answer(fields=[STALE, ETAG], content=[b"old"]))
    world.store.damaged.add(world.stored()[0].generation)
    whole = Answer(fields=[FRESH], content=[b"new"])
    world.upstream.script = lambda request: (
        Answer(304, fields=[FRESH, ETAG]) if b"if-none-match" in request.fields else whole
    )
    crowd.ask(50)
    got = await crowd.got()
    assert {(each.status, each.content) for each in got} == {(200, b"new")}
    assert len(world.asked) <= 3


class TestStoreFillsUp:
    async def test_everyone_gets_everything(self, world: World, crowd: Crowd) -> None:
        go_on = asyncio.Event()
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, go_on, *[PIECE] * 200]))
        responders = [RecordingResponder() for _ in range(5)]
        for responder in responders:
            crowd.ask(responder=responder)
        for responder in responders:
            await responder.began.wait()
        world.store.is_full = True
        go_on.set()
        got = await crowd.got()
        assert {each.content for each in got} == {PIECE * 201}
        assert all(each.record.complete for each in got)
        await world.settle()
        assert not world.stored()

    async def test_the_memory_it_takes_is_bounded(self, world: World, crowd: Crowd) -> None:
        go_on = asyncio.Event()
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, go_on, *[PIECE] * 200]))
        slow = RecordingResponder()
        crowd.ask(responder=slow)
        await slow.began.wait()
        slow.takes.clear()
        world.store.is_full = True
        go_on.set()
        await turns(2000)
        (response,) = world.upstream.open
        assert 4 << 20 <= (202 - len(response._pieces)) * len(PIECE) <= 5 << 20, "then the origin has to wait"
        slow.takes.set()
        assert [each.content for each in await crowd.got()] == [PIECE * 201]

    async def test_whoever_comes_later_asks_anew(self, world: World, crowd: Crowd) -> None:
        go_on, end = asyncio.Event(), asyncio.Event()
        world.upstream.answers(
            Answer(fields=[FRESH], content=[PIECE, go_on, PIECE, end]), Answer(fields=[FRESH], content=[b"new"])
        )
        lead = RecordingResponder()
        crowd.ask(responder=lead)
        await lead.began.wait()
        world.store.is_full = True
        go_on.set()
        while len(lead.content) < 2 * len(PIECE):
            await asyncio.sleep(0)
        assert (await world.get()).content == b"new"
        end.set()
        assert [each.content for each in await crowd.got()] == [PIECE * 2]

    async def test_at_the_very_end(self, world: World, crowd: Crowd) -> None:
        end = asyncio.Event()
        world.upstream.answers(Answer(fields=[FRESH], content=[PIECE, PIECE, end]))
        slow = RecordingResponder()
        crowd.ask(responder=slow)
        await slow.began.wait()
        slow.takes.clear()
        await turns()
        world.store.is_full = True
        end.set()
        await world.settle()
        slow.takes.set()
        got = await crowd.got()
        assert (got[0].content, got[0].record.complete) == (PIECE * 2, True)
        assert not world.stored()
