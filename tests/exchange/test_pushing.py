"""What is pushed, between the other ways in which a key comes to its content."""

import asyncio

import pytest

from edge.errors import ParseError, StoreFull
from edge.exchange.pushing import PUSHED
from edge.policy.key import KeyPolicy, cache_key
from edge.testing.upstream import Answer
from tests.exchange.world import FRESH, RequestContent, World

TYPE = (PUSHED, b"content-type: text/plain")
KEY = cache_key(World().request().target, KeyPolicy())


async def push(world: World, content: bytes, *lines, path: bytes = b"/", host: bytes = b"a.test") -> None:
    request = world.request(TYPE, *lines, path=path, host=host, method=b"PUT")
    request = type(request)(b"PUT", request.target, request.fields, (1, 1), True, len(content))
    await world.driver.pushing.push(request, RequestContent(*([content] if content else [])))


async def test_it_is_served_for_ever_with_the_fields_of_the_pusher(world: World) -> None:
    await push(world, b"hello", (PUSHED, b"cache-control: max-age=1"), (PUSHED, b'etag: "x"'))
    world.clock.advance(10 * 365 * 86400)
    got = await world.get()
    assert (got.content, got.field(b"cache-control"), got.field(b"content-type")) == (
        b"hello",
        b"max-age=1",
        b"text/plain",
    )
    assert got.field(b"foreland-cache-control") is None
    assert not world.asked
    assert world.stored()[0].pinned
    assert await world.driver.pushing.holds(KEY, b'"x"')
    assert not await world.driver.pushing.holds(KEY, b'"y"')


async def test_it_takes_the_place_of_every_variant(world: World) -> None:
    for value in (b"1", b"2"):
        world.upstream.answers(Answer(fields=[FRESH, (b"vary", b"foo")], content=[value]))
        await world.get((b"foo", value))
        await world.settle()
    await push(world, b"pushed")
    assert [(await world.get((b"foo", value))).content for value in (b"1", b"2")] == [b"pushed"] * 2
    assert len(world.stored()) == 1
    assert not await world.driver.pushing.holds(KEY, b"")


async def test_what_was_asked_of_the_origin_before_does_not_replace_it(world: World) -> None:
    gate = asyncio.Event()
    world.upstream.answers(Answer(fields=[FRESH], content=[b"old"], head_after=gate))
    asked = asyncio.get_running_loop().create_task(world.get())
    while not world.asked:
        await asyncio.sleep(0)
    await push(world, b"new")
    gate.set()
    assert (await asked).content == b"old"
    await world.settle()
    assert (await world.get()).content == b"new"


@pytest.mark.parametrize(
    ("line", "host"),
    [
        pytest.param((PUSHED, b"nonsense"), b"a.test", id="a line without a name"),
        pytest.param((PUSHED, b"a b: c"), b"a.test", id="a name that is none"),
        pytest.param((PUSHED, b"a: b"), b"b.test", id="a host that is nobody's"),
    ],
)
async def test_what_is_no_response_is_refused(world: World, line, host) -> None:
    with pytest.raises(ParseError):
        await push(world, b"x", line, host=host)
    assert not world.store.heads
    world.assert_idle()


async def test_a_store_without_room_leaves_what_was_there(world: World) -> None:
    await push(world, b"")
    world.store.is_full = True
    with pytest.raises(StoreFull):
        await push(world, b"new")
    world.store.is_full = False
    assert (await world.get()).content == b""
    world.assert_idle()
