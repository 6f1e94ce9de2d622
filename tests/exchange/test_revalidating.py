"""Validation on the short way: what a 304 lets out at once, and what goes on as on the full path."""

import asyncio

import pytest

from edge.errors import UpstreamTimeout
from edge.semantics.dates import format_date
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.test_short import Short, followed
from tests.exchange.world import ETAG

BRIEF = (b"cache-control", b"max-age=1, stale-if-error=60")
VALIDATED = ["lookup", "stale", "validate", "forward"]


async def stale(*fields, **site) -> Short:
    """Return a world with a stale response, told about what it was asked."""
    short = Short(**site)
    await short.world.warm(Answer(fields=[BRIEF, *fields], content=[b"hello"]))
    assert short.world.stored()
    short.world.clock.advance(10)
    return short


async def test_what_the_origin_says_still_holds_is_freshened_and_goes_out_at_once() -> None:
    short = await stale(ETAG)
    date = format_date(short.world.clock.now())
    short.world.upstream.answers(Answer(304, [(b"date", date), ETAG, (b"cache-control", b"max-age=60")]))
    responder, trace = await short.get()
    assert (bytes(responder.content), responder.head.status) == (b"hello", 200)
    assert trace == [*VALIDATED, "not-modified", "freshen", "deliver"]
    assert short.world.asked[0].fields.get(b"if-none-match") == ETAG[1]
    record = short.world.telemetry.records[-1]
    assert (record.outcome, record.status, record.bytes_out, record.origin_status) == ("REVALIDATED", 200, 5, 304)
    assert record.cache_status == b"edge; fwd=stale; fwd-status=304; ttl=60; stored; detail=lifetime-over"
    responder, trace = await short.get()
    assert (bytes(responder.content), trace) == (b"hello", ["lookup", "reuse", "deliver"])
    assert responder.head.fields.get(b"date") == date
    assert len(short.world.asked) == 1


async def test_what_is_remembered_of_one_304_is_right_for_one_with_another_tag() -> None:
    short = await stale(ETAG)
    weak = (b"etag", b"W/" + ETAG[1])
    for tag in (ETAG, ETAG, weak, weak):
        date = (b"date", format_date(short.world.clock.now()))
        # The first lines are those that are stored, themselves.
        short.world.upstream.answers(Answer(304, [date, tag, BRIEF]))
        responder, trace = await short.get()
        assert (bytes(responder.content), trace) == (b"hello", [*VALIDATED, "not-modified", "freshen", "deliver"])
        assert responder.head.fields.get(b"etag") == short.world.stored()[0].fields.get(b"etag") == ETAG[1]
        assert responder.head.fields.get(b"date") == date[1]
        short.world.clock.advance(10)


@pytest.mark.parametrize(
    ("answer", "content", "trace"),
    [
        pytest.param(Answer(fields=[BRIEF, ETAG], content=[b"new"]), b"new", ["store", "deliver"], id="a new one"),
        pytest.param(Answer(500, [], [b"x"]), b"hello", ["stale-if-error", "deliver"], id="an error of the origin"),
        pytest.param(
            Answer(error=UpstreamTimeout()), b"hello", ["origin-timeout", "stale-if-error", "deliver"], id="no answer"
        ),
        pytest.param(
            Answer(304, [ETAG, (b"cache-control", b"no-store")]),
            b"hello",
            ["not-modified", "deliver"],
            id="not to be stored now",
        ),
    ],
)
async def test_any_other_answer_is_taken_as_on_the_full_path(answer, content, trace) -> None:
    short = await stale(ETAG)
    short.world.upstream.answers(answer)
    responder, told = await short.get()
    assert (bytes(responder.content), told) == (content, [*VALIDATED, *trace])


async def test_a_304_about_another_one_is_not_believed() -> None:
    short = await stale(ETAG)
    short.world.upstream.answers(Answer(304, [(b"etag", b'"other"')]), Answer(fields=[BRIEF], content=[b"new"]))
    responder, trace = await short.get()
    assert (bytes(responder.content), trace) == (b"new", [*VALIDATED, "mismatch", "forward", "store", "deliver"])


async def test_content_that_turns_out_to_be_damaged_is_asked_for() -> None:
    short = await stale(ETAG)
    short.world.store.damaged.add(short.world.stored()[0].generation)
    short.world.upstream.answers(Answer(304, [ETAG]), Answer(fields=[BRIEF], content=[b"new"]))
    responder, trace = await short.get()
    assert bytes(responder.content) == b"new"
    assert trace == [*VALIDATED, "not-modified", "freshen", "store-damaged", "forward", "store", "deliver"]


async def test_content_that_is_damaged_when_it_is_to_stand_in_is_asked_for() -> None:
    short = await stale(ETAG)
    short.world.store.damaged.add(short.world.stored()[0].generation)
    short.world.upstream.answers(Answer(500, [], [b"x"]), Answer(fields=[BRIEF], content=[b"new"]))
    responder, trace = await short.get()
    assert bytes(responder.content) == b"new"
    assert trace == [*VALIDATED, "stale-if-error", "store-damaged", "miss", "forward", "store", "deliver"]


async def test_without_collapsing_each_asks_for_itself() -> None:
    short = await stale(ETAG, collapse=False)
    short.world.upstream.answers(Answer(304, [ETAG]))
    _, trace = await short.get()
    assert trace == ["lookup", "stale", "validate", "alone", "forward", "not-modified", "freshen", "deliver"]


async def test_followers_get_what_was_freshened() -> None:
    short, gate = await stale(ETAG), asyncio.Event()
    fresh = (b"cache-control", b"max-age=60")
    short.world.upstream.answers(Answer(304, [ETAG, fresh], head_after=gate))
    await followed(short, gate)
    assert len(short.world.asked) == 1
    short.world.assert_idle()


async def test_a_client_that_has_left_costs_nothing_but_its_answer() -> None:
    short = await stale(ETAG)
    short.world.upstream.answers(Answer(304, [ETAG, (b"cache-control", b"max-age=60")]))
    begun = short.begin(responder=RecordingResponder(leaves_after=0))
    assert begun is not None
    await begun[1].wait()
    await short.world.settle()
    short.world.assert_idle()
    record = short.world.telemetry.records[-1]
    assert (record.status, record.complete, record.trace[-1]) == (499, False, "client-closed")
    assert short.world.stored()[0].fields.get(b"cache-control") == b"max-age=60"


async def test_what_has_no_validator_is_asked_for_on_the_full_path() -> None:
    short = await stale()
    assert short.begin() is None
