"""A request cancelled wherever it can wait leaves nothing behind."""

import asyncio
import gzip
from collections.abc import Callable

import pytest

from edge.caching.coding import CompressionRules
from edge.tasks import alive, cancel_all
from edge.testing.pauses import Pauses
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, FRESH, STALE, World, turns

FIELDS = {"range", "accept-encoding"}
GZIPPED = gzip.compress(b"some content")
Setting = Callable[[World], None]


def whole(world: World) -> None:
    world.upstream.script = lambda _: Answer(fields=[FRESH, ETAG], content=[b"some ", b"content"])


def not_storable(world: World) -> None:
    world.upstream.script = lambda _: Answer(content=[b"some ", b"content"])


def not_modified(world: World) -> None:
    world.upstream.script = lambda _: Answer(304, fields=[FRESH, ETAG])


def coded(world: World) -> None:
    fields = [FRESH, ETAG, (b"content-type", b"text/html"), (b"content-encoding", b"gzip")]
    world.upstream.script = lambda _: Answer(fields=fields, content=[GZIPPED[:9], GZIPPED[9:]])


def page(world: World) -> None:
    fields = [FRESH, ETAG, (b"content-type", b"text/html")]
    world.upstream.script = lambda _: Answer(fields=fields, content=[b"some ", b"content"])


def part(world: World) -> None:
    fields = [FRESH, ETAG, (b"content-range", b"bytes 4-8/9")]
    world.upstream.script = lambda _: Answer(206, fields=fields, content=[b"56", b"789"])


async def warm(world: World, stored: Answer) -> None:
    world.upstream.answers(stored)
    await world.get(*[(b"range", b"bytes=0-3")] * (stored.status == 206))
    await world.settle()


PAGE = Answer(fields=[FRESH, (b"content-type", b"text/html")], content=[b"body"])
CASES = [
    pytest.param(None, whole, {}, id="a miss that is stored"),
    pytest.param(None, not_storable, {}, id="a miss that is not stored"),
    pytest.param(Answer(fields=[FRESH], content=[b"body"]), whole, {}, id="a hit"),
    pytest.param(Answer(fields=[STALE, ETAG], content=[b"body"]), not_modified, {}, id="a validation that freshens"),
    pytest.param(Answer(fields=[STALE, ETAG], content=[b"body"]), whole, {}, id="a validation that replaces"),
    pytest.param(Answer(fields=[STALE, ETAG], content=[b"body"]), not_storable, {}, id="a validation that removes"),
    pytest.param(
        Answer(fields=[(b"cache-control", b"max-age=0, stale-while-revalidate=9"), ETAG], content=[b"body"]),
        whole,
        {},
        id="a validation in the background",
    ),
    pytest.param(
        Answer(206, fields=[FRESH, ETAG, (b"content-range", b"bytes 0-3/9")], content=[b"1234"]),
        part,
        {},
        id="a part that is completed",
    ),
    pytest.param(None, part, {"range": b"bytes=4-8"}, id="a range"),
    pytest.param(
        Answer(206, fields=[FRESH, ETAG, (b"content-range", b"bytes 0-3/9")], content=[b"1234"]),
        part,
        {"range": b"bytes=2-8"},
        id="a range of which a part is stored",
    ),
    pytest.param(Answer(fields=[FRESH]), whole, {"method": b"POST", "content": [b"x"]}, id="an invalidation"),
    pytest.param(Answer(fields=[STALE, ETAG]), whole, {"method": b"HEAD"}, id="a HEAD"),
    pytest.param(None, page, {"accept-encoding": b"br"}, id="a miss that is coded"),
    pytest.param(PAGE, page, {"accept-encoding": b"br"}, id="a hit that is coded"),
    pytest.param(None, coded, {}, id="a miss that is decoded"),
]


@pytest.mark.parametrize(("stored", "setting", "request_"), CASES)
async def test_at_every_wait(stored: Answer | None, setting: Setting, request_: dict) -> None:
    hang_at = 0
    while True:
        hang_at += 1
        world = World(compression=CompressionRules(min_size=1))
        fields = [(name.encode(), value) for name, value in request_.items() if name in FIELDS]
        if stored is not None:
            await warm(world, stored)
        world.pauses = Pauses(hang_at)
        world.store.pauses = world.upstream.pauses = world.pauses
        setting(world)
        responder = RecordingResponder(pauses=world.pauses)
        sent = {name: value for name, value in request_.items() if name not in FIELDS}
        task = asyncio.get_running_loop().create_task(world.get(*fields, responder=responder, **sent))
        while not world.pauses.reached.is_set() and not (task.done() and alive() == 0):
            await asyncio.sleep(0)
        if not world.pauses.reached.is_set():
            await world.settle()
            break
        follower = asyncio.get_running_loop().create_task(world.get())
        task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            assert responder.is_aborted
            assert not responder.is_finished
        await asyncio.wait([follower], timeout=0)
        follower.cancel()
        await cancel_all()
        await asyncio.wait([follower])
        await world.settle()
        world.assert_idle()
        assert len(world.telemetry.records) == (3 if stored is not None else 2), "each is told once"
    assert hang_at > 2
    world.assert_idle()


async def test_whoever_follows_is_unharmed_by_it() -> None:
    hang_at = 0
    while True:
        hang_at += 1
        world = World(pauses=Pauses(hang_at))
        whole(world)
        lead = asyncio.get_running_loop().create_task(world.get(responder=RecordingResponder(pauses=world.pauses)))
        for _ in range(200):
            if world.pauses.reached.is_set() or lead.done():
                break
            await asyncio.sleep(0)
        if lead.done():
            await world.settle()
            break
        followers = [asyncio.get_running_loop().create_task(world.get()) for _ in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        lead.cancel()
        await asyncio.wait([lead])
        await turns(200)
        if alive():
            # It hangs in the fill itself, which is nobody's to cancel: an origin or a store that never answers.
            await cancel_all()
        for task in followers:
            got = await task
            assert got.content == b"some content" if got.record.complete else got.responder.is_aborted
        await world.settle()
        world.assert_idle()
    assert hang_at > 2


async def test_a_task_that_never_began_leaves_nothing_either() -> None:
    world = World()
    whole(world)
    lead = asyncio.get_running_loop().create_task(world.get())
    while not world.store.writers:
        await asyncio.sleep(0)
    await cancel_all()
    got = await lead
    assert got.responder.is_aborted
    world.assert_idle()
