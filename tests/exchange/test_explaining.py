"""An explanation says what the full path does."""

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import reasons
from edge.caching.freshness import FreshnessRules
from edge.policy.key import KeyPolicy
from edge.policy.profile import PROFILES
from edge.policy.purging import EVERYTHING, Mode
from edge.purges.log import PurgeLog
from edge.purges.node import LocalEpoch, NodePurges
from edge.semantics.dates import format_date
from edge.tasks import cancel_all
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, FRESH, STALE, World
from tests.scenarios.histories import parsed, raw, steps

_member = re.compile(r"edge; (hit|fwd=([a-z-]+))").match


def said(explanation, name: str) -> list[str]:
    return [step.finding for step in explanation.steps if step.name == name]


async def explained(world: World, *fields, **request):
    return await world.driver.explaining.explain(world.request(*fields, **request))


@settings(max_examples=200)
@given(
    steps=steps, profile=st.sampled_from(["safe", "strict-rfc"]), soft=st.lists(st.booleans(), min_size=1, max_size=9)
)  # fmt: skip
def test_what_is_explained_is_what_happens(steps, profile, soft) -> None:
    async def play() -> None:
        world = World(profile=PROFILES[profile])
        for number, step in enumerate(steps):
            match step:
                case ("get", path, lines):
                    head = parsed(raw(path, *lines))
                    told = await world.driver.explaining.explain(head.request)
                    got = await world.get(*head.request.fields, path=path)
                    await world.settle()
                    match = _member(got.record.cache_status.decode())
                    if match is None or "loop-detected" in got.trace:
                        continue
                    if told.detail == "only-if-cached":
                        assert got.record.status == 504
                    elif match[1] == "hit":
                        assert told.outcome in {"hit", "stale-hit"}
                        assert got.record.detail == ("" if told.outcome == "hit" else told.detail)
                    else:
                        assert (told.outcome, told.fwd) == ("forward", match[2])
                case ("wait", seconds):
                    world.clock.advance(seconds)
                case ("answer", status, fields, size):
                    date = (b"date", format_date(world.clock.now()))
                    answer = Answer(status, [date, *fields], [b"x" * size] if size and status != 204 else [])
                    world.upstream.script = lambda _, answer=answer: answer
                case ("remove", path):
                    mode = Mode.SOFT if soft[number % len(soft)] else Mode.HARD
                    await world.driver._context.purges.purge(mode, (EVERYTHING,), world.clock.now())
                case ("post", path):
                    await world.get(method=b"POST", path=path)
        await cancel_all()

    asyncio.run(play())


async def test_nothing_is_changed_by_it(world: World) -> None:
    await world.warm(Answer(fields=[STALE, ETAG], content=[b"x"]))
    before, asked = world.stored(), list(world.asked)
    await explained(world)
    assert (world.stored(), world.asked) == (before, asked)
    world.assert_idle()


async def test_a_hit_is_told_with_its_arithmetic(world: World) -> None:
    tagged = (b"surrogate-key", b"news front")
    await world.warm(Answer(fields=[FRESH, tagged, (b"age", b"5")], content=[b"x"]))
    world.clock.advance(7)
    told = await explained(world)
    assert (told.outcome, told.detail, told.remedies) == ("hit", "fresh", [])
    assert said(told, "lifetime") == ["60 s, by max-age (cache-control: max-age=60)"]
    assert said(told, "age")[0].startswith("12 s = the greater of 0 s (from Date to arrival) and 5.0 s")
    assert said(told, "tags") == ["front, news"] or said(told, "tags") == ["news, front"]
    assert said(told, "variant") == ["200, selected"]


async def test_a_lifetime_that_an_operator_gives_is_told_with_the_setting() -> None:
    world = World(freshness=FreshnessRules(default=30))
    await world.warm(Answer(content=[b"x"]))
    (step,) = [step for step in (await explained(world)).steps if step.name == "lifetime"]
    assert (step.finding, step.rule) == ("30 s, by default (no field states one)", "setting site[].ttl.default")


async def test_another_variant_is_told_with_what_was_compared(world: World) -> None:
    await world.warm(Answer(fields=[FRESH, (b"vary", b"foo")], content=[b"x"]))
    told = await explained(world, (b"foo", b"2"))
    assert (told.outcome, told.fwd) == ("forward", "vary-miss")
    assert said(told, "variant") == ['200, not selected: foo was absent, is "2"']
    assert told.remedies == [reasons.FORWARD["vary-miss"].remedy]


@pytest.mark.parametrize("mode", Mode)
async def test_a_purge_is_told(world: World, mode) -> None:
    await world.warm(Answer(fields=[FRESH, ETAG], content=[b"x"]))
    await world.driver._context.purges.purge(mode, (EVERYTHING,), world.clock.now())
    told = await explained(world)
    assert len(said(told, "purge")) == 1
    assert (told.fwd, told.detail) == (("stale", "soft-purged") if mode is Mode.SOFT else ("uri-miss", ""))


async def test_a_purge_by_another_process_is_told_although_no_request_has_come_since(tmp_path: Path) -> None:
    shared = LocalEpoch()
    here, there = (NodePurges(PurgeLog(tmp_path, shared, holds=False, now=0.0), shared) for _ in range(2))
    world = World(purges=here)
    await world.warm(Answer(fields=[FRESH, ETAG], content=[b"x"]))
    await there.purge(Mode.SOFT, (EVERYTHING,), world.clock.now())
    assert (await explained(world)).detail == "soft-purged"
    here.close()
    there.close()


async def test_what_was_not_storable_of_late_is_told(world: World) -> None:
    world.upstream.answers(Answer(fields=[(b"cache-control", b"no-store")], content=[b"x"]))
    await world.get()
    told = await explained(world)
    assert (told.fwd, len(said(told, "learned"))) == ("uri-miss", 1)


async def test_the_query_that_counts_is_told() -> None:
    world = World(key=KeyPolicy(drop=(b"utm_*",)))
    assert said(await explained(world, path=b"/?a=1&utm_x=2"), "query")[0].endswith("a=1")
    assert said(await explained(world, path=b"/?utm_x=2"), "query")[0].endswith("none")
    assert said(await explained(world, path=b"/?a=1"), "query") == []


@pytest.mark.parametrize(
    ("site", "request_", "outcome", "token"),
    [
        pytest.param({}, {"host": b"b.test"}, "refused", "unknown-authority", id="a host that is nobody's"),
        pytest.param({}, {"method": b"TRACE"}, "refused", "method-refused", id="a method that is never served"),
        pytest.param({}, {"method": b"POST"}, "forward", "", id="a method that goes through"),
        pytest.param({"https_port": 443}, {}, "refused", "", id="plain HTTP that is redirected"),
        pytest.param(
            {"client_ca": "/ca.pem"},
            {},
            "refused",
            "client-certificate",
            id="plain HTTP, where no certificate is shown",
        ),
    ],
)
async def test_what_does_not_reach_the_cache_is_told(site, request_, outcome, token) -> None:
    told = await explained(World(**site), **request_)
    assert (told.outcome, told.detail) == (outcome, token)


async def test_a_certificate_that_is_wanted_is_told_and_taken_for_shown() -> None:
    told = await explained(World(client_ca="/ca.pem"), scheme=b"https")
    assert said(told, "certificate") == ["the client has to show one that an authority in /ca.pem has signed"]
    assert (told.outcome, told.fwd) == ("forward", "uri-miss")


async def test_preconditions_and_parts_are_told(world: World) -> None:
    await world.warm(Answer(fields=[FRESH, ETAG], content=[b"hello"]))
    assert said(await explained(world, (b"if-none-match", b'"v1"')), "preconditions")
    assert (await explained(world, (b"if-match", b'"v2"'))).fwd == "request"
    part = Answer(206, [FRESH, ETAG, (b"content-range", b"bytes 0-4/9")], [b"hello"])
    world.upstream.answers(part)
    await world.get((b"range", b"bytes=0-4"), path=b"/part")
    await world.settle()
    assert (await explained(world, path=b"/part")).fwd == "partial"
