"""Edge-Debug: who may read gets the decisions, nobody else gets or passes on anything."""

import http_sf
import pytest

from edge.exchange.debugging import DEBUG, debug_lines
from edge.exchange.explaining import Explanation, Step
from edge.semantics.fields import FieldSection
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, FRESH, Got, World

TOKEN = (DEBUG, b"the-token")


@pytest.fixture
def debugged(world: World) -> World:
    object.__setattr__(world.driver._context, "may_debug", lambda token: token == b"the-token")
    return world


def steps(got: Got) -> list[tuple[str, dict]]:
    values = got.head.fields.values(DEBUG)
    parsed = http_sf.parse(b", ".join(values), tltype="list")
    return [(str(name), parameters) for name, parameters in parsed]


async def test_who_may_read_gets_every_decision(debugged: World) -> None:
    await debugged.warm(Answer(fields=[FRESH, ETAG, (b"surrogate-key", b"news")], content=[b"x"]))
    debugged.clock.advance(7)
    got = await debugged.get(TOKEN)
    assert got.cache_status == "hit; ttl=53"
    told = dict(steps(got))
    assert list(told) == ["site", "key", "lookup", "variant", "lifetime", "age", "tier", "tags", "outcome"]
    assert told["lifetime"]["finding"] == "60 s, by max-age (cache-control: max-age=60)"
    assert told["age"]["finding"].startswith("7 s = ")
    assert told["age"]["rule"] == "RFC 9111 section 4.2.3"
    assert told["tags"]["finding"] == "news"


async def test_what_is_told_is_kept_by_nobody_on_the_way(debugged: World) -> None:
    await debugged.warm(Answer(fields=[FRESH, (b"cdn-cache-control", b"max-age=60")], content=[b"x"]))
    told, plain = await debugged.get(TOKEN), await debugged.get()
    assert told.head.fields.values(b"cache-control") == [b"max-age=60", b"no-store"]
    assert told.field(b"cdn-cache-control") is None
    assert plain.head.fields.values(b"cache-control") == [b"max-age=60"]
    assert plain.field(b"cdn-cache-control") == b"max-age=60"


async def test_a_miss_says_what_would_make_it_a_hit(debugged: World) -> None:
    got = await debugged.get(TOKEN)
    assert [name for name, _ in steps(got)][-1] == "for-a-hit"
    assert DEBUG not in debugged.asked[0].fields
    # Nor is any of it stored.
    await debugged.settle()
    assert DEBUG not in (await debugged.get()).head.fields
    assert all(DEBUG not in stored.fields for stored in debugged.stored())


@pytest.mark.parametrize("value", [b"another", b""])
async def test_nobody_else_gets_anything(debugged: World, value: bytes) -> None:
    got = await debugged.get((DEBUG, value))
    assert DEBUG not in got.head.fields
    assert DEBUG not in debugged.asked[0].fields


async def test_it_is_told_of_what_is_refused(debugged: World) -> None:
    got = await debugged.get(TOKEN, host=b"b.test")
    assert (got.status, dict(steps(got))["outcome"]["rule"]) == (421, "setting site[].hosts")


async def test_an_answer_is_not_ready_with_it(debugged: World) -> None:
    await debugged.warm(Answer(fields=[FRESH, ETAG], content=[b"x"]))
    await debugged.get(TOKEN)
    assert debugged.driver.prepared.find(debugged.request(TOKEN)) is None
    await debugged.get()
    plain = debugged.driver.prepared.find(debugged.request())
    assert plain is not None
    assert DEBUG not in plain.head(plain.second(debugged.clock.now())).fields


def test_what_is_told_is_bounded_and_well_formed() -> None:
    told = Explanation(steps=[Step("key", 'a "b" \\ ü\n' + "x" * 1000)] * 100)
    lines = FieldSection(debug_lines(told)).values(DEBUG)
    assert len(lines) == 32
    assert lines[15] == b'omitted; finding="69 steps"'
    ((name, parameters),) = http_sf.parse(lines[0], tltype="list")
    assert (str(name), len(parameters["finding"])) == ("key", 512)
    assert parameters["finding"].startswith('a "b" \\ \\xfc\\x0a')
