"""Purges on the path of a request, one interleaving at a time."""

import asyncio
from ipaddress import ip_network

import pytest

from edge.errors import PurgeNotWritten, UpstreamConnectError
from edge.policy import purging_targets
from edge.policy.purging import EVERYTHING, Mode, Selector
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, FRESH, Got, World, turns

TAGGED = (b"surrogate-key", b"t")
NOT_MODIFIED = Answer(304, fields=[ETAG])


async def purge(world: World, mode: Mode, selector: Selector = EVERYTHING) -> None:
    await world.driver._context.purges.purge(mode, (selector,), world.clock.now())


def asks(world: World, *fields, **request) -> asyncio.Task[Got]:
    return asyncio.get_running_loop().create_task(world.get(*fields, **request))


def conditions(world: World) -> list[bytes | None]:
    """Return the entity tags that the origin was asked about."""
    return [request.fields.get(b"if-none-match") for request in world.asked]


async def test_what_was_purged_hard_is_not_there_and_not_validated(world: World) -> None:
    await world.warm(Answer(fields=[FRESH, ETAG], content=[b"old"]))
    await purge(world, Mode.HARD)
    world.upstream.answers(Answer(fields=[FRESH, ETAG], content=[b"new"]))
    got = await world.get()
    assert (got.content, got.cache_status) == (b"new", "fwd=uri-miss; fwd-status=200; ttl=60; stored")
    assert conditions(world) == [None]
    await world.settle()
    assert (await world.get()).cache_status == "hit; ttl=60"
    assert len(world.stored()) == 1


async def test_what_was_purged_hard_does_not_stand_in_for_an_origin_that_fails(world: World) -> None:
    await world.warm(Answer(fields=[(b"cache-control", b"max-age=9, stale-if-error=99"), ETAG], content=[b"old"]))
    await purge(world, Mode.HARD)
    world.upstream.answers(Answer(error=UpstreamConnectError()))
    assert (await world.get()).status == 502


async def test_what_was_purged_softly_is_validated_and_then_fresh(world: World) -> None:
    await world.warm(Answer(fields=[FRESH, ETAG], content=[b"old"]))
    await purge(world, Mode.SOFT)
    world.upstream.answers(NOT_MODIFIED)
    got = await world.get()
    assert (got.content, got.cache_status) == (b"old", "fwd=stale; fwd-status=304; ttl=60; stored; detail=soft-purged")
    assert conditions(world) == [b'"v1"']
    assert (await world.get()).cache_status == "hit; ttl=60"


async def test_what_was_purged_softly_is_used_stale_only_inside_its_windows(world: World) -> None:
    await world.warm(Answer(fields=[(b"cache-control", b"max-age=60, stale-if-error=30"), ETAG], content=[b"old"]))
    await purge(world, Mode.SOFT)
    world.clock.advance(29)
    world.upstream.answers(Answer(error=UpstreamConnectError()))
    assert (await world.get()).cache_status == "fwd=stale; ttl=-29; detail=stale-if-error"
    world.clock.advance(1)
    world.upstream.answers(Answer(error=UpstreamConnectError()))
    assert (await world.get()).status == 502


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("selector", [EVERYTHING, purging_targets.tag("t")], ids=["everything", "tag"])
async def test_what_is_on_its_way_is_delivered_and_used_for_nobody_later(world: World, mode, selector) -> None:
    rest = asyncio.Event()
    world.upstream.answers(
        Answer(fields=[FRESH, TAGGED], content=[b"o", rest, b"ld"]), Answer(fields=[FRESH], content=[b"new"])
    )
    early = asks(world)
    await turns()
    await purge(world, mode, selector)
    late = asks(world)
    await turns()
    rest.set()
    assert ((await early).content, (await late).content) == (b"old", b"new")
    await world.settle()
    assert (await world.get()).content == b"new"


async def test_who_was_waiting_before_a_purge_may_get_what_it_waited_for(world: World) -> None:
    head = asyncio.Event()
    world.upstream.answers(Answer(fields=[FRESH], content=[b"old"], head_after=head))
    early = [asks(world), asks(world)]
    await turns()
    await purge(world, Mode.HARD)
    head.set()
    assert [(await one).content for one in early] == [b"old", b"old"]
    assert len(world.asked) == 1


async def test_nobody_who_comes_after_a_purge_waits_for_a_head_asked_for_before(world: World) -> None:
    head = asyncio.Event()
    world.upstream.answers(
        Answer(fields=[FRESH], content=[b"old"], head_after=head), Answer(fields=[FRESH], content=[b"new"])
    )
    early = asks(world)
    await turns()
    await purge(world, Mode.HARD)
    assert (await world.get()).content == b"new"
    head.set()
    assert (await early).content == b"old"


async def test_a_validation_before_a_hard_purge_does_not_bring_back_what_it_purged(world: World) -> None:
    await world.warm(Answer(fields=[(b"cache-control", b"max-age=0"), ETAG], content=[b"old"]))
    never = asyncio.Event()
    world.upstream.answers(
        Answer(304, fields=[FRESH, ETAG], head_after=never),
        Answer(304, fields=[FRESH, ETAG]),
        Answer(fields=[FRESH, ETAG], content=[b"new"]),
    )
    lead, follower = asks(world), asks(world)
    await turns()
    await purge(world, Mode.HARD)
    lead.cancel()
    # It had found the response before the purge, and asks about it after.
    assert (await follower).content == b"old"
    assert (await world.get()).content == b"new"
    assert conditions(world) == [b'"v1"', b'"v1"', None]


async def test_a_head_that_agrees_does_not_bring_back_what_was_purged_meanwhile(world: World) -> None:
    await world.warm(Answer(fields=[(b"cache-control", b"max-age=0"), ETAG], content=[b"old"]))
    head = asyncio.Event()
    world.upstream.answers(Answer(fields=[FRESH, ETAG], head_after=head), Answer(fields=[FRESH], content=[b"new"]))
    asked = asks(world, method=b"HEAD")
    await turns()
    await purge(world, Mode.HARD)
    head.set()
    await asked
    assert (await world.get()).content == b"new"


async def test_tags_are_for_this_cache_and_groups_for_every_cache(world: World) -> None:
    group = (b"cache-groups", b'"g"')
    world.upstream.answers(Answer(fields=[FRESH, TAGGED, (b"xkey", b"x"), (b"cache-tag", b"c"), group]))
    got = await world.get()
    assert [got.field(name) for name in (b"surrogate-key", b"xkey", b"cache-tag")] == [None] * 3
    assert got.field(b"cache-groups") == b'"g"'


async def test_an_unsafe_request_invalidates_the_groups_its_response_names(world: World) -> None:
    for path, groups in ((b"/a", b'"g", "h"'), (b"/b", b'"h"')):
        await world.warm(Answer(fields=[FRESH, (b"cache-groups", groups)]), path=path)
    world.upstream.answers(Answer(204, fields=[(b"cache-group-invalidation", b'"g"')]))
    got = await world.get(method=b"POST", path=b"/c")
    assert "invalidate-groups" in got.trace
    world.upstream.answers(Answer(fields=[FRESH]))
    assert (await world.get(path=b"/a")).cache_status.startswith("fwd=uri-miss")
    assert (await world.get(path=b"/b")).cache_status == "hit; ttl=60"


async def test_a_purge_request_from_an_allowed_network() -> None:
    world = World(purge_from=(ip_network("192.0.2.0/24"),))
    await world.warm(Answer(fields=[FRESH], content=[b"old"]))
    got = await world.get(method=b"PURGE")
    assert (got.status, got.content, got.field(b"cache-control")) == (200, b'{"status":"ok","id":"1"}\n', b"no-store")
    world.upstream.answers(Answer(fields=[FRESH, ETAG]), NOT_MODIFIED)
    assert (await world.get()).cache_status.startswith("fwd=uri-miss")
    await world.settle()
    await world.get((b"fastly-soft-purge", b"1"), method=b"PURGE")
    assert (await world.get()).cache_status.startswith("fwd=stale")


@pytest.mark.parametrize("networks", [(), ("192.0.3.0/24",), ("2001:db8::/32",)])
async def test_a_purge_request_from_anywhere_else_is_refused(networks) -> None:
    world = World(purge_from=tuple(map(ip_network, networks)))
    assert (await world.get(method=b"PURGE")).status == 405
    assert (await world.get(method=b"PURGE", host=b"b.test")).status == 405


class FullPurges:
    """Purges that no disk takes."""

    def __init__(self, purges) -> None:
        self._purges = purges

    def __getattr__(self, name: str):
        return getattr(self._purges, name)

    async def purge(self, *_):
        raise PurgeNotWritten


async def test_a_purge_request_that_cannot_be_written_down_says_so() -> None:
    world = World(purge_from=(ip_network("192.0.2.1"),))
    context = world.driver._context
    object.__setattr__(context, "purges", FullPurges(context.purges))
    got = await world.get(method=b"PURGE")
    assert (got.status, got.content) == (507, b"507 purge-not-written\n")
    world.upstream.answers(Answer(204, fields=[(b"cache-group-invalidation", b'"g"')]))
    assert (await world.get(method=b"POST")).status == 204
    assert world.telemetry.counters["purge-not-written"] == 1
