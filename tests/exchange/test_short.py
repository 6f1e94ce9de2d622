"""Where the short way ends: whatever needs waiting, or others, goes on in a task from where it is."""

import asyncio

import pytest

from edge.errors import UpstreamClosed, UpstreamTimeout
from edge.exchange.unwritten import UnwrittenPurges
from edge.semantics.dates import format_date
from edge.semantics.messages import Response
from edge.testing.clock import ManualClock
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer, ScriptedUpstream
from tests.exchange.world import FRESH, Got, Page, World, turns


class Short:
    """A world whose requests go the short way, as far as they may."""

    def __init__(self, **site) -> None:
        self.world = World(**site)
        self.date = (b"date", format_date(self.world.clock.now()))

    def begin(self, *fields, responder: RecordingResponder | None = None, **request):
        """Return the responder of a request that has begun, and what is set when it is over; None if it did not."""
        responder, over = responder or RecordingResponder(), asyncio.Event()
        asked = self.world.request(*fields, **request)
        return (responder, over) if self.world.driver.begin(asked, responder, "192.0.2.1", over.set) else None

    async def get(self, *fields, **request):
        """Return what a client got, and the trace."""
        begun = self.begin(*fields, **request)
        assert begun is not None
        responder, over = begun
        await over.wait()
        await self.world.settle()
        self.world.assert_idle()
        return responder, list(self.world.telemetry.records[-1].trace)


async def followed(short: Short, gate: asyncio.Event) -> Got:
    """Return what a client gets that asks while the origin is held at `gate`; the one that led gets the same content."""
    first = short.begin()
    assert first is not None
    assert short.begin() is None
    async with asyncio.TaskGroup() as group:
        follower = group.create_task(short.world.get())
        await turns()
        gate.set()
    await first[1].wait()
    await short.world.settle()
    assert bytes(first[0].content) == follower.result().content == b"hello"
    return follower.result()


async def test_a_follower_makes_the_lead_fill_for_both() -> None:
    short, gate = Short(), asyncio.Event()
    short.world.upstream.answers(Answer(fields=[FRESH, short.date], content=[b"hello"], head_after=gate))
    assert "collapsed" in (await followed(short, gate)).cache_status
    assert len(short.world.asked) == 1
    short.world.assert_idle()


class Ring:
    """Another worker, which owns every key but `/mine`."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.other = ScriptedUpstream(self.clock, lambda _: Answer(content=[b"theirs"]))

    def owner(self, key: bytes) -> ScriptedUpstream | None:
        return None if b"/mine" in key else self.other

    async def invalidate(self, key: bytes) -> None:
        """Do nothing: nothing is stored."""


async def test_what_another_worker_owns_is_asked_of_that_worker() -> None:
    ring = Ring()
    short = Short(ring=ring)
    short.world.upstream.answers(Answer(fields=[FRESH, short.date], content=[b"ours"]))
    got, _ = await short.get(path=b"/mine")
    assert bytes(got.content) == b"ours"
    assert short.begin(path=b"/theirs") is None
    assert (await short.world.get(path=b"/theirs")).content == b"theirs"
    assert (len(short.world.asked), len(ring.other.requests)) == (1, 1)


async def test_content_that_does_not_come_whole_is_filled() -> None:
    short, gate = Short(), asyncio.Event()
    short.world.upstream.answers(Answer(fields=[FRESH, short.date], content=[b"hel", gate, b"lo"], length=5))
    gate.set()
    responder, trace = await short.get()
    assert (bytes(responder.content), trace) == (b"hello", ["lookup", "miss", "forward", "store", "deliver"])
    assert len(short.world.stored()) == 1


@pytest.mark.parametrize("error", [UpstreamTimeout(), UpstreamClosed()], ids=lambda error: error.detail)
async def test_an_origin_that_fails_is_answered_as_on_the_full_path(error) -> None:
    short = Short()
    short.world.upstream.answers(Answer(error=error))
    responder, trace = await short.get()
    assert responder.head is not None
    assert responder.head.status == error.status
    assert trace == ["lookup", "miss", "forward", error.detail]


async def test_a_store_that_takes_nothing_costs_no_answer() -> None:
    short = Short()
    short.world.store.is_full = True
    short.world.upstream.answers(Answer(fields=[FRESH, short.date], content=[b"hello"]))
    responder, trace = await short.get()
    assert bytes(responder.content) == b"hello"
    assert trace[-2:] == ["store-unavailable", "pass"]
    assert short.world.telemetry.counters["store-full"] == 1


async def test_what_was_invalidated_meanwhile_is_not_stored() -> None:
    short, gate = Short(), asyncio.Event()
    gated = Answer(fields=[FRESH, short.date], content=[b"old"], head_after=gate)
    short.world.upstream.answers(gated, Answer(204))
    first = short.begin()
    assert first is not None
    await asyncio.sleep(0)
    await short.world.get(method=b"POST")
    gate.set()
    await first[1].wait()
    await short.world.settle()
    assert bytes(first[0].content) == b"old"
    assert short.world.stored() == []


async def test_a_client_that_left_is_told_of_as_one() -> None:
    short = Short()
    short.world.upstream.answers(Answer(fields=[FRESH, short.date], content=[b"hello"]))
    _, trace = await short.get(responder=RecordingResponder(leaves_after=0))
    record = short.world.telemetry.records[-1]
    assert (record.status, record.complete, record.bytes_out, trace[-1]) == (499, False, 0, "client-closed")
    assert len(short.world.stored()) == 1


async def test_interim_responses_come_first() -> None:
    short = Short()
    early = Response(103, short.world.request((b"link", b"</a>")).fields)
    short.world.upstream.answers(Answer(fields=[FRESH, short.date], content=[b"hello"], interims=[early]))
    responder, _ = await short.get()
    assert (responder.interims, bytes(responder.content)) == ([early], b"hello")


async def test_a_fault_of_ours_breaks_the_answer_off_and_is_logged(caplog) -> None:
    short = Short()
    short.world.upstream.answers(Answer(fields=[FRESH, short.date], content=[b"hello"]))
    short.world.store.keep = None
    responder, _ = await short.get()
    assert responder.is_aborted
    assert "by a fault of the edge" in caplog.text


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        pytest.param([(b"range", b"bytes=0-1")], {}, id="a range request"),
        pytest.param([(b"if-none-match", b"*")], {}, id="a conditional request"),
        pytest.param([(b"cache-control", b"only-if-cached")], {}, id="a request with directives"),
        pytest.param([], {"method": b"HEAD"}, id="HEAD"),
        pytest.param([], {"method": b"POST"}, id="a method that is written through"),
        pytest.param([], {"host": b"other.test"}, id="an authority that is nobody's"),
    ],
)
async def test_what_is_not_plain_takes_the_full_path(fields, request_) -> None:
    assert Short().begin(*fields, **request_) is None


@pytest.mark.parametrize("site", [{"https_port": 8443}, {"client_ca": "/ca.pem"}], ids=["redirected", "certificates"])
async def test_what_depends_on_the_connection_takes_the_full_path(site) -> None:
    assert Short(**site).begin() is None


async def test_without_a_connection_at_hand_the_full_path_waits_for_one() -> None:
    short = Short()
    short.world.upstream.is_at_hand = False
    assert short.begin() is None
    short.world.assert_idle()


async def test_more_shapes_than_are_remembered_are_still_answered() -> None:
    short = Short()
    for number in range(2100):
        answer = Answer(
            fields=[(b"cache-control", b"no-store"), (b"via", b"1.1 n%d" % number), short.date], content=[b"x"]
        )
        short.world.upstream.script = lambda _, answer=answer: answer
        responder, over = short.begin((b"user-agent", b"n%d" % number), path=b"/%d" % number)
        await over.wait()
        assert responder.head.fields.get(b"via") == b"1.1 n%d, 1.1 edge" % number


async def test_what_another_worker_has_published_is_seen_before_what_is_stored() -> None:
    short = Short()
    await short.world.warm(Answer(fields=[FRESH, short.date], content=[b"old"]))
    assert short.begin() is not None
    context, page = short.world.driver._context, Page(short.world.store, short.world.stored()[0])

    class Behind(UnwrittenPurges):
        """Purges that learn of a publication only when they are asked."""

        def current(self) -> int:
            object.__setattr__(context, "published", page)
            return super().current()

    object.__setattr__(context, "purges", Behind())
    assert short.begin() is None
