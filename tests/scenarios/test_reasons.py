"""For every reason token there is something that brings it about, and that is then explained by it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network

import pytest

from edge import reasons
from edge.control.inquiries import AboutRequest, Inquiries, Told
from edge.errors import (
    EdgeError,
    NoHealthyOrigin,
    PurgeNotWritten,
    StoreError,
    UpstreamClosed,
    UpstreamConnectError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from edge.exchange.tunnel_limits import TunnelLimits
from edge.exchange.unwritten import UnwrittenPurges
from edge.explain import sentence
from edge.inquiry import Inquiry
from edge.policy.limits import Limits
from edge.policy.profile import SAFE, STRICT_RFC
from edge.policy.purging import EVERYTHING, Mode
from edge.telemetry.lines import make_line
from edge.telemetry.recorder import Recorder
from edge.testing.responder import RecordingResponder
from edge.testing.store import MemoryStore, MemoryWriter
from edge.testing.upstream import Answer
from tests.exchange.test_ranging import RULES, RangeOrigin
from tests.exchange.test_variants import RULES as COMPRESSION
from tests.exchange.world import ETAG, FRESH, STALE, Got, Page, World
from tests.scenarios.visiting import Visitor, get, message, post

#: What no exchange is told with: functions raise it, and who calls them answers with a token that says more.
INTERNAL = {"parse"}


@pytest.fixture
def world() -> World:
    return World()


def directives(value: bytes) -> tuple[bytes, bytes]:
    return (b"cache-control", value)


async def told_by(world: World, *fields, method: bytes = b"GET", path: bytes = b"/", host: bytes = b"a.test") -> Told:
    """Return what `edge explain` says of a request, with the exchanges so far as the past."""
    recorder = Recorder(world.clock, ["a.test"])
    for record in world.telemetry.records:
        recorder.exchange_ended(record)
    driver = world.driver
    inquiry = Inquiry(
        driver.explaining, driver.pushing, recorder, lambda each: make_line(each, "keep", node="edge", zone="")
    )

    async def ask(question: bytes) -> list[bytes]:
        return [await inquiry.answer(question)]

    url = (b"http://" + host + path).decode()
    lines = [(name.decode(), value.decode()) for name, value in fields]
    return await Inquiries(ask).explain(AboutRequest(url, method.decode(), lines))


def tokens(got: Got) -> set[str]:
    """Return the tokens that an exchange is told with."""
    status = b"" if got.responder.head is None else got.field(b"cache-status") or b""
    fwd = status.decode().partition("fwd=")[2].partition(";")[0]
    return {got.record.detail, fwd, *got.trace} - {""}


def assert_documented(token: str, told: Told) -> None:
    """Assert that an explanation has the token, its sentence and its rule, and says what would have to change."""
    reason = reasons.DETAILS.get(token) or reasons.FORWARD[token]
    assert (f"{token}: {reason.sentence}", reason.rule) in [(step.finding, step.rule) for step in told.steps]
    assert not reason.remedy or reason.remedy in told.remedies


@dataclass(frozen=True)
class Known:
    """A decision that is known before the request: what is stored, and by which, what time passes, what is asked."""

    token: str
    stored: Answer | None = None
    by: tuple = ()
    seconds: float = 0.0
    fields: tuple = ()
    is_strict: bool = False
    soft: bool = False
    request: tuple = ()


UPGRADE = ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))
PART = Answer(206, [FRESH, ETAG, (b"content-range", b"bytes 0-4/9")], [b"hello"])
WHOLE = Answer(fields=[FRESH, ETAG], content=[b"hello"])
KNOWN = [
    Known("uri-miss"),
    Known("vary-miss", Answer(fields=[FRESH, (b"vary", b"foo")], content=[b"x"]), fields=((b"foo", b"2"),)),
    Known("stale", Answer(fields=[STALE, ETAG], content=[b"x"]), seconds=9),
    Known("lifetime-over", Answer(fields=[STALE, ETAG], content=[b"x"]), seconds=9),
    Known("partial", PART, by=((b"range", b"bytes=0-4"),)),
    Known("request", WHOLE, fields=((b"if-match", b'"v2"'),)),
    Known("method", request=(("method", b"POST"),)),
    Known(
        "stale-while-revalidate", Answer(fields=[directives(b"max-age=1, stale-while-revalidate=60"), ETAG]), seconds=9
    ),
    Known("max-stale", WHOLE, seconds=70, fields=(directives(b"max-stale=60"),), is_strict=True),
    Known("response-no-cache", Answer(fields=[directives(b"no-cache"), ETAG])),
    Known("request-no-cache", WHOLE, seconds=1, fields=(directives(b"no-cache"),), is_strict=True),
    Known("request-max-age", WHOLE, seconds=9, fields=(directives(b"max-age=5"),), is_strict=True),
    Known("request-min-fresh", WHOLE, seconds=9, fields=(directives(b"min-fresh=100"),), is_strict=True),
    Known("soft-purged", WHOLE, seconds=1, soft=True),
    Known("only-if-cached", fields=(directives(b"only-if-cached"),)),
    Known("bypass", fields=UPGRADE),
    Known("loop-detected", fields=((b"cdn-loop", b"edge"),)),
    Known("unknown-authority", request=(("host", b"b.test"),)),
    Known("method-refused", request=(("method", b"TRACE"),)),
]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.token)
async def test_what_is_decided_before_anybody_is_asked(known: Known) -> None:
    world = World(profile=STRICT_RFC if known.is_strict else SAFE)
    if known.stored is not None:
        world.upstream.answers(known.stored)
        await world.get(*known.by)
        await world.settle()
    world.clock.advance(known.seconds)
    if known.soft:
        await world.driver._context.purges.purge(Mode.SOFT, (EVERYTHING,), world.clock.now())
        world.clock.advance(1)
    told = await told_by(world, *known.fields, **dict(known.request))
    assert_documented(known.token, told)
    assert known.token in {told.detail, told.fwd}
    world.upstream.script = lambda _: WHOLE
    got = await world.get(*known.fields, **dict(known.request))
    assert known.token in tokens(got)
    await world.settle()


async def test_fresh_is_only_told_when_somebody_asks(world: World) -> None:
    await world.warm(WHOLE)
    told = await told_by(world)
    assert_documented("fresh", told)
    got = await world.get()
    assert (got.record.outcome, got.record.detail) == ("HIT", "")
    assert sentence(200, got.record.cache_status.decode(), "0") == "HIT: stored 0 s ago, fresh for 60 s"


@dataclass(frozen=True)
class Unstored:
    """A response that is not stored, for a reason that the next explanation of the same request tells."""

    token: str
    answer: Answer
    fields: tuple = ()
    is_full: bool = False


UNSTORED = [
    Unstored("status", Answer(302)),
    Unstored("no-store", Answer(fields=[directives(b"no-store")])),
    Unstored("request-no-store", Answer(fields=[FRESH]), (directives(b"no-store"),)),
    Unstored("private", Answer(fields=[directives(b"private, max-age=9")])),
    Unstored("authorization", Answer(fields=[FRESH]), ((b"authorization", b"x"),)),
    Unstored("set-cookie", Answer(fields=[FRESH, (b"set-cookie", b"a=b")])),
    Unstored("cookie", Answer(fields=[ETAG]), ((b"cookie", b"a=b"),)),
    Unstored("server-error", Answer(503, [FRESH])),
    Unstored("vary-star", Answer(fields=[FRESH, (b"vary", b"*")])),
    Unstored("vary-too-long", Answer(fields=[FRESH, (b"vary", b", ".join(b"x-%d" % n for n in range(33)))])),
    Unstored("no-lifetime", Answer()),
    Unstored("partial-unclear", Answer(206, [FRESH], [b"x"]), ((b"range", b"bytes=0-4, 7-8"),)),
    Unstored("connection-option", Answer(fields=[FRESH, (b"connection", b"cache-control")])),
    Unstored("tags-too-long", Answer(fields=[FRESH, (b"cache-tag", b"x," * 9000)])),
    Unstored("store-unavailable", Answer(fields=[FRESH]), is_full=True),
]


@pytest.mark.parametrize("unstored", UNSTORED, ids=lambda unstored: unstored.token)
async def test_what_is_not_stored(world: World, unstored: Unstored) -> None:
    world.store.is_full = unstored.is_full
    world.upstream.script = lambda _: unstored.answer
    got = await world.get(*unstored.fields)
    assert unstored.token in tokens(got)
    # What `edge get` says of it.
    said = sentence(got.status, got.record.cache_status.decode(), None)
    assert said.endswith(f"not stored: {reasons.DETAILS[unstored.token].sentence}")
    told = await told_by(world, *unstored.fields)
    assert (told.fwd, told.past[0].reason) == ("uri-miss", unstored.token)
    assert_documented(unstored.token, told)


class Declining(MemoryStore):
    """A store that keeps nothing for longer than others need it."""

    async def writer(self, key: bytes, **about) -> MemoryWriter:
        writer = await super().writer(key, **about)
        writer.is_admitted = False
        return writer


async def test_what_the_disk_had_better_not_take() -> None:
    world = World(store=Declining())
    assert (await world.get()).record.detail == "not-admitted"
    assert_documented("not-admitted", await told_by(world))


Play = Callable[[World], Awaitable[Got]]
PLAYS: list = []


def plays(token: str, **about) -> Callable[[Play], Play]:
    """Have a play bring a token about in a world of its own."""

    def keep(play: Play) -> Play:
        PLAYS.append(pytest.param(token, play, about, id=token))
        return play

    return keep


@plays("usable-stored", profile=STRICT_RFC)
async def a_storable_server_error_over_what_is_stored(world: World) -> Got:
    await world.warm(Answer(fields=[directives(b"max-age=10, must-revalidate"), ETAG], content=[b"old"]))
    world.clock.advance(50)
    world.upstream.answers(Answer(503, fields=[FRESH], content=[b"no"]))
    return await world.get()


async def stale_and_no_origin(world: World, value: bytes) -> Got:
    await world.warm(Answer(fields=[directives(value), ETAG], content=[b"old"]))
    world.clock.advance(9)
    world.upstream.answers(Answer(error=UpstreamConnectError()))
    return await world.get()


@plays("stale-if-error")
async def an_origin_that_fails_in_the_window(world: World) -> Got:
    return await stale_and_no_origin(world, b"max-age=1, stale-if-error=60")


@plays("stale-disconnected", profile=STRICT_RFC)
async def an_origin_that_is_not_there(world: World) -> Got:
    return await stale_and_no_origin(world, b"max-age=1")


async def damaged(world: World) -> Got:
    await world.warm(WHOLE)
    world.store.damaged.update(stored.generation for stored in world.stored())
    return await world.get()


plays("store-damaged")(damaged)
plays("miss")(damaged)


class Failing(MemoryStore):
    """A store that finds what it cannot read."""

    def open(self, *_) -> None:
        raise StoreError("the disk is gone")

    def at_hand(self, _) -> None:
        return None


@plays("store", store=Failing())
async def a_stored_response_that_cannot_be_read(world: World) -> Got:
    await world.warm(Answer(fields=[FRESH], content=[b"x" * (1 << 20)]))
    return await world.get()


@plays("published")
async def a_page_that_is_published_here(world: World) -> Got:
    await world.warm(WHOLE)
    object.__setattr__(world.driver._context, "published", Page(world.store, world.stored()[0]))
    assert_documented("published", await told_by(world))
    got = await world.get(path=b"/nobody-asked-for-it")
    assert (got.content, world.asked) == (b"hello", [])
    return got


def failing(token: str, error: EdgeError) -> None:
    @plays(token)
    async def _(world: World) -> Got:
        world.upstream.answers(Answer(error=error))
        got = await world.get()
        told = await told_by(world)
        assert_documented(token, told)
        return got


failing("origin-error", UpstreamError())
failing("origin-protocol", UpstreamProtocolError())
failing("origin-connect", UpstreamConnectError())
failing("origin-closed", UpstreamClosed())
failing("origin-busy", NoHealthyOrigin())
failing("origin-timeout", UpstreamTimeout())


@plays("origin-changed", chunks=RULES)
async def another_representation_between_two_parts(world: World) -> Got:
    world.upstream.script = origin = RangeOrigin()
    await world.get((b"range", b"bytes=10-19"))
    await world.settle()
    origin.content, origin.etag = bytes(reversed(origin.content)), b'"v2"'
    return await world.get((b"range", b"bytes=10-39"))


@plays("origin-undecodable", compression=COMPRESSION)
async def a_content_that_is_not_what_it_says(world: World) -> Got:
    fields = [FRESH, (b"content-type", b"text/html"), (b"content-encoding", b"gzip")]
    world.upstream.answers(Answer(fields=fields, content=[b"no gzip" * 1000]))
    return await world.get()


@plays("internal")
async def a_fault_of_our_own(world: World) -> Got:
    def script(_request) -> Answer:
        raise RuntimeError("a fault, as the test wants it")

    world.upstream.script = script
    return await world.get()


@plays("client-closed")
async def a_client_that_leaves(world: World) -> Got:
    return await world.get(responder=RecordingResponder(leaves_after=0))


@plays("content-too-large", max_request_content=4)
async def a_long_content(world: World) -> Got:
    return await world.get(method=b"POST", content=[b"hello"])


@plays("purge-not-written", purge_from=(ip_network("192.0.2.1"),))
async def a_purge_that_no_disk_takes(world: World) -> Got:
    class Full(UnwrittenPurges):
        async def purge(self, *_) -> None:
            raise PurgeNotWritten

    object.__setattr__(world.driver._context, "purges", Full())
    return await world.get(method=b"PURGE")


@plays("client-certificate", client_ca="/ca.pem")
async def a_client_that_nobody_knows(world: World) -> Got:
    assert_documented("client-certificate", await told_by(world))
    return await world.get()


@plays("tunnels-full")
async def one_tunnel_too_many(world: World) -> Got:
    object.__setattr__(world.driver._tunnels, "_limits", TunnelLimits(most=0))
    return await world.get(*UPGRADE)


@pytest.mark.parametrize(("token", "play", "about"), PLAYS)
async def test_what_goes_wrong(token: str, play: Play, about: dict) -> None:
    world = World(**about)
    got = await play(world)
    assert token in tokens(got)
    if got.record.detail == token and got.record.complete and got.record.cache_status:
        # What `edge get` says of it.
        said = sentence(got.status, got.record.cache_status.decode(), "0")
        assert reasons.DETAILS[token].sentence in said
    line = make_line(got.record, "keep", node="edge", zone="")
    assert line.reason == got.record.detail
    await world.settle()


async def test_what_the_store_has_no_room_for_is_counted(world: World) -> None:
    world.store.is_full = True
    assert "store-unavailable" in tokens(await world.get())
    assert world.telemetry.counters["store-full"] == 1


#: Requests that are refused as octets: before there is anything that the cache could be asked.
WIRE = [
    pytest.param("bad-request", get(b"Content-Length: 1", b"Content-Length: 2"), 400, id="bad-request"),
    pytest.param("target-too-long", get(target=b"/" + b"x" * 9000), 414, id="target-too-long"),
    pytest.param("fields-too-large", get(b"X: " + b"x" * 70_000), 431, id="fields-too-large"),
    pytest.param("expectation-failed", post(b"Expect: tea", b"Content-Length: 0"), 417, id="expectation-failed"),
    pytest.param("method-unknown", message(b"BREW / HTTP/1.1"), 501, id="method-unknown"),
    pytest.param("version-refused", message(b"GET / HTTP/3.7"), 505, id="version-refused"),
    pytest.param("request-timeout", b"GET / HTTP/1.1\r\n", 408, id="request-timeout"),
]


@pytest.mark.parametrize(("token", "octets", "status"), WIRE)
async def test_what_is_no_request_is_refused_with_its_token(stage, edge_with, token, octets, status) -> None:
    edge = await edge_with(await stage.origin(), limits=replace(Limits(), header_timeout=0.2))
    async with Visitor(edge) as visitor:
        await visitor.send(octets)
        answer = await visitor.answer()
    assert (answer.status, answer.content) == (status, b"%d %s\n" % (status, token.encode()))
    assert [record.detail for record in edge.log.records] == [token]


def test_every_token_is_brought_about() -> None:
    shown = {each.token for each in (*KNOWN, *UNSTORED)} | {str(param.values[0]) for param in (*PLAYS, *WIRE)}
    shown |= {"fresh", "not-admitted", "store-full"} | INTERNAL
    assert shown == set(reasons.FORWARD) | set(reasons.DETAILS)
