"""Hits without a task: which requests get them, and what is left to the full path."""

import pytest

from edge.policy.profile import STRICT_RFC
from edge.policy.purging import EVERYTHING, Mode
from edge.semantics.dates import format_date
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.test_short import Short
from tests.exchange.world import ETAG, FRESH

HELLO = Answer(fields=[FRESH, ETAG], content=[b"hello"])
TRACE = ["lookup", "reuse", "deliver"]


async def warmed(answer: Answer = HELLO, *fields, **site) -> Short:
    short = Short(**site)
    short.world.upstream.answers(answer)
    await short.world.get(*fields)
    await short.world.settle()
    return short


async def test_what_is_stored_and_fresh_is_answered_at_once() -> None:
    short = await warmed()
    short.world.clock.advance(7)
    responder, trace = await short.get()
    assert (bytes(responder.content), trace) == (b"hello", TRACE)
    assert (responder.head.fields.get(b"age"), responder.head.fields.get(b"x-cache")) == (b"7", b"HIT")
    record = short.world.telemetry.records[-1]
    assert (record.status, record.outcome, record.bytes_out, record.complete) == (200, "HIT", 5, True)
    assert record.cache_status == b"edge; hit; ttl=53"
    assert len(short.world.asked) == 1


async def test_its_second_answer_is_a_ready_one() -> None:
    short = await warmed()
    assert short.world.driver.prepared.find(short.world.request()) is None
    await short.get()
    assert short.world.driver.prepared.find(short.world.request()).body == b"hello"


@pytest.mark.parametrize(
    "lifetime",
    [
        pytest.param((b"expires", b"Sat, 01 Jan 2050 00:00:00 GMT"), id="a date"),
        pytest.param((b"last-modified", format_date(0)), id="the time since the last change"),
        pytest.param((b"cdn-cache-control", b"max-age=9"), id="a field that is targeted at caches"),
    ],
)
async def test_a_lifetime_may_come_from(lifetime) -> None:
    short = await warmed(Answer(fields=[lifetime], content=[b"x"]), profile=STRICT_RFC)
    expected = (await short.world.get()).cache_status
    await short.get()
    assert expected.startswith("hit; ttl=")
    assert short.world.telemetry.records[-1].cache_status == b"edge; " + expected.encode()


async def test_the_nominated_fields_select_one_of_several() -> None:
    short = Short()
    for coding in (b"gzip", b"br"):
        answer = Answer(fields=[FRESH, (b"vary", b"accept-encoding"), (b"content-encoding", coding)], content=[coding])
        short.world.upstream.answers(answer)
        await short.world.get((b"accept-encoding", coding))
        await short.world.settle()
    for coding in (b"gzip", b"br"):
        responder, trace = await short.get((b"accept-encoding", coding))
        assert (bytes(responder.content), trace) == (coding, TRACE)
    assert short.begin((b"accept-encoding", b"zstd")) is None


async def test_a_client_that_has_left_is_told_of() -> None:
    short = await warmed()
    begun = short.begin(responder=RecordingResponder(leaves_after=0))
    assert begun is not None
    assert begun[1].is_set()
    record = short.world.telemetry.records[-1]
    assert (record.status, record.complete, record.trace[-1]) == (499, False, "client-closed")
    short.world.assert_idle()


async def test_what_is_on_a_slow_disk_takes_the_full_path() -> None:
    short = await warmed()
    short.world.store.is_slow = True
    assert short.begin() is None
    short.world.assert_idle()


async def test_what_is_damaged_takes_the_full_path() -> None:
    short = await warmed()
    short.world.store.damaged.add(short.world.stored()[0].generation)
    assert short.begin() is None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"cache-control", b"max-age=0, stale-while-revalidate=60")], id="what is used stale"),
        pytest.param([FRESH, (b"vary", b"foo")], id="what another request selects"),
    ],
)
async def test_the_full_path_decides_about(fields) -> None:
    short = await warmed(Answer(fields=fields, content=[b"hello"]), (b"foo", b"1"))
    assert short.world.stored()
    assert short.begin() is None


async def test_a_part_takes_the_full_path() -> None:
    part = Answer(206, [FRESH, ETAG, (b"content-range", b"bytes 0-4/9")], [b"hello"])
    short = await warmed(part, (b"range", b"bytes=0-4"))
    assert short.world.stored()[0].complete_length == 9
    assert short.begin() is None


@pytest.mark.parametrize("mode", Mode)
async def test_what_was_purged_takes_the_full_path(mode) -> None:
    short = await warmed()
    await short.world.driver._context.purges.purge(mode, (EVERYTHING,), short.world.clock.now())
    assert short.begin() is None


async def test_a_purge_of_something_else_leaves_it_as_it_is() -> None:
    short = await warmed()
    purges = short.world.driver._context.purges
    await purges.purge(Mode.HARD, (EVERYTHING,), short.world.clock.now())
    short.world.upstream.answers(HELLO)
    await short.world.get(path=b"/new")
    await short.world.settle()
    assert short.begin(path=b"/new") is not None
    await purges.purge(Mode.HARD, (EVERYTHING._replace(kind="tag", value=b"t"),), short.world.clock.now())
    assert short.begin(path=b"/new") is not None


async def test_more_shapes_than_are_remembered_are_still_answered() -> None:
    short = Short()
    for number in range(2100):
        path = b"/%d" % number
        short.world.upstream.answers(Answer(fields=[FRESH, (b"via", b"1.1 n%d" % number)], content=[b"x"]))
        await short.world.get(path=path)
        responder, _ = await short.get(path=path)
        assert responder.head.fields.get(b"via") == b"1.1 n%d, 1.1 edge" % number
