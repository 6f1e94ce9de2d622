"""On the short way a request gets what the full path would answer, octet for octet, and is told of in the same words."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.downstream.response import Http1Responder
from edge.policy.profile import PROFILES
from edge.ports import Record
from edge.semantics.dates import format_date
from edge.tasks import cancel_all
from edge.testing.upstream import Answer
from tests.exchange.world import World
from tests.scenarios.histories import Wire, parsed, paths, raw, rules, steps


class Twin:
    """One of two nodes that live through the same; `is_short` lets requests go the short way if they may."""

    def __init__(self, profile: str, *, is_short: bool, **site) -> None:
        self.world = World(profile=PROFILES[profile], **site)
        self.is_short = is_short
        self.shortened = 0
        self.dates = "now"

    async def answer(self, octets: bytes) -> tuple[bytes, Record]:
        head, wire, over = parsed(octets), Wire(), asyncio.Event()
        responder = Http1Responder(wire, head.request, keep_alive=not head.wants_close)
        driver = self.world.driver
        if (
            self.is_short
            and not head.request.has_content
            and driver.begin(head.request, responder, "192.0.2.1", over.set)
        ):
            self.shortened += 1
            await over.wait()
        else:
            await driver.handle(head.request, None, responder, "192.0.2.1")
        await self.world.settle()
        self.world.assert_idle()
        return wire.written, self.world.telemetry.records[-1]

    async def live_through(self, step) -> None:
        world = self.world
        match step:
            case ("date", dates):
                self.dates = dates
            case ("answer", status, fields, size):
                now = world.clock.now()
                stated = {"now": [(b"date", format_date(now))], "past": [(b"date", format_date(now - 50))]}
                answer = Answer(
                    status,
                    [*stated.get(self.dates, []), *fields],
                    [b"x" * size] if size and status not in {204, 304} else [],
                )
                world.upstream.script = lambda _: answer
            case ("wait", seconds):
                world.clock.advance(seconds)
            case ("remove" | "away", _):
                world.store.heads.clear()
                world.upstream.is_at_hand = step[0] == "remove"
            case ("post", path):
                await world.get(method=b"POST", path=path)

    def kept(self):
        """Return what is stored, without the names of the contents."""
        return {
            key: [replace(stored, generation=b"") for stored in heads]
            for key, heads in self.world.store.heads.items()
            if heads
        }


def without_time(record: Record) -> Record:
    return replace(record, origin_seconds=None)


VALUES = {
    b"cache-control": [
        b"max-age=5", b"max-age=60, stale-while-revalidate=5", b"s-maxage=0", b"no-store", b"private", b"public", b"no-cache",
        b'private="x-hop", max-age=9', b'no-cache="x-hop", max-age=9', b"must-understand, no-store, max-age=1", b"x",
    ],
    b"cdn-cache-control": [b"max-age=9", b"no-store", b"?"],
    b"foreland-cache-control": [b"max-age=7", b"max-age=0"],
    b"expires": [b"0", b"Sat, 01 Jan 2050 00:00:00 GMT", b"Sat, 01 Jan 2022 00:00:00 GMT"],
    b"last-modified": [b"Sat, 01 Jan 2022 00:00:00 GMT", b"Sun, 02 Jan 2022 00:00:00 GMT", b"never"],
    b"vary": [b"accept-encoding", b"foo", b"foo, accept-encoding", b"*", b"a b"],
    b"connection": [b"x-hop", b"cache-control", b"close"],
    b"via": [b"1.1 a", b"1.1 b"],
    b"age": [b"2", b"59", b"x"],
    b"etag": [b'"v1"', b'W/"v1"', b'"v2"', b"v"],
    b"set-cookie": [b"a=b", b"c=d"],
    b"x-hop": [b"1", b"2"],
    b"cache-status": [b"origin; hit", b"origin"],
    b"x-cache": [b"HIT", b"MISS"],
    b"pragma": [b"no-cache", b"x"],
    b"content-language": [b"de", b"en"],
    b"content-type": [b"text/html", b"image/png"],
    b"content-encoding": [b"gzip", b"x"],
}  # fmt: skip
# Two responses with the same names and, here and there, other values.
DECIDING = [b"cache-control", b"vary", b"expires", b"connection", b"via", b"last-modified", b"cdn-cache-control",
            b"content-type", b"content-encoding"]  # fmt: skip
alike = st.lists(st.sampled_from(DECIDING * 4 + list(VALUES)), min_size=1, max_size=4).flatmap(
    lambda names: st.tuples(*[st.tuples(*[st.tuples(st.just(n), st.sampled_from(VALUES[n])) for n in names])] * 2)
)
statuses = st.sampled_from([200, 200, 203, 404, 500, 206, 304, 204, 299])
COOKIE = (b"set-cookie", b"a=b")
dates = st.sampled_from(["now", "now", "past", "none"])
plain_lines = st.sampled_from(
    [[], [b"Accept-Encoding: gzip"], [b"Foo: 1", b"Cookie: a=b"], [b"Connection: foo", b"Foo: 2"]]
)


@settings(max_examples=500, deadline=None)
@given(
    pair=alike, status=statuses, other=statuses, stated=dates, lines=plain_lines, size=st.integers(0, 5),
    profile=st.sampled_from(["safe", "strict-rfc"]), collapse=st.booleans(), strip=st.booleans(), x_cache=st.booleans(),
    compression=rules,
)  # fmt: skip
def test_what_is_learnt_of_one_response_is_right_for_the_next(
    pair, status, other, stated, lines, size, profile, collapse, strip, x_cache, compression
) -> None:
    async def play() -> None:
        site = {"collapse": collapse, "strip_cookies": strip, "x_cache": x_cache, "compression": compression}
        full, short = [Twin(profile, is_short=short, **site) for short in (False, True)]
        for number, (fields, answered_with) in enumerate(
            [(pair[0], status), (pair[1], status), (pair[1], other), ((*pair[0], COOKIE), status)] * 2
        ):
            for twin in (full, short):
                await twin.live_through(("date", stated))
                await twin.live_through(("answer", answered_with, fields, size))
            for name in (b"a", b"b"):
                octets = raw(b"/%s%d" % (name, number), *lines)
                (answered, told), (shortly, shortly_told) = await full.answer(octets), await short.answer(octets)
                assert shortly == answered
                assert without_time(shortly_told) == without_time(told)
        assert short.kept() == full.kept()

    asyncio.run(play())


more_fields = st.lists(
    st.sampled_from([(name, value) for name, values in VALUES.items() for value in values]), max_size=5
)
answers = st.tuples(st.just("answer"), statuses, more_fields, st.integers(0, 70_000))
histories = st.lists(
    st.one_of(answers, st.tuples(st.just("date"), dates), st.tuples(st.just("away"), paths)), max_size=6
).flatmap(lambda more: steps.map(lambda some: [step for pair in zip(more, some, strict=False) for step in pair] + some))


@settings(max_examples=300, deadline=None)
@given(
    history=histories, profile=st.sampled_from(["safe", "strict-rfc"]), collapse=st.booleans(), strip=st.booleans(),
    compression=rules,
)  # fmt: skip
def test_the_short_way_answers_what_the_full_path_answers(history, profile, collapse, strip, compression) -> None:
    async def play() -> None:
        site = {"collapse": collapse, "strip_cookies": strip, "compression": compression}
        full, short = [Twin(profile, is_short=short, **site) for short in (False, True)]
        for step in history:
            if step[0] == "get":
                # Twice, so that what is learnt of the first is looked up for the second, under another key.
                for query in (b"n=1", b"n=2"):
                    octets = raw(step[1] + (b"&" if b"?" in step[1] else b"?") + query, *step[2])
                    (answered, told), (shortly, shortly_told) = await full.answer(octets), await short.answer(octets)
                    assert shortly == answered
                    assert without_time(shortly_told) == without_time(told)
            else:
                await full.live_through(step)
                await short.live_through(step)
        assert short.kept() == full.kept()
        await cancel_all()

    asyncio.run(play())


renewals = st.tuples(
    st.sampled_from([304, 304, 304, 200, 500, 404]),
    st.lists(st.sampled_from([(name, value) for name, values in VALUES.items() for value in values]), max_size=4),
    st.integers(0, 5),
    dates,
)


@settings(max_examples=500, deadline=None)
@given(
    fields=more_fields, others=st.lists(renewals, min_size=1, max_size=4), lines=plain_lines, wait=st.integers(0, 100),
    profile=st.sampled_from(["safe", "strict-rfc"]), collapse=st.booleans(), strip=st.booleans(), is_full=st.booleans(),
    compression=rules,
)  # fmt: skip
def test_what_is_validated_on_the_short_way_is_freshened_as_on_the_full_path(
    fields, others, lines, wait, profile, collapse, strip, is_full, compression
) -> None:
    async def play() -> None:
        site = {"collapse": collapse, "strip_cookies": strip, "compression": compression}
        twins = [Twin(profile, is_short=short, **site) for short in (False, True)]
        for twin in twins:
            await twin.live_through(("answer", 200, [(b"etag", b'"v1"'), (b"cache-control", b"max-age=1"), *fields], 5))
            await twin.answer(raw(b"/a", *lines))
            twin.world.store.is_full = is_full
        for status, more, size, stated in others:
            for twin in twins:
                await twin.live_through(("wait", wait))
                await twin.live_through(("date", stated))
                await twin.live_through(("answer", status, more, size))
            (answered, told), (shortly, shortly_told) = [await twin.answer(raw(b"/a", *lines)) for twin in twins]
            assert shortly == answered
            assert without_time(shortly_told) == without_time(told)
        assert twins[1].kept() == twins[0].kept()
        await cancel_all()

    asyncio.run(play())


async def test_most_validations_go_the_short_way() -> None:
    twin = Twin("safe", is_short=True)
    fields = [(b"etag", b'"v1"'), (b"cache-control", b"max-age=1")]
    await twin.live_through(("answer", 200, fields, 5))
    await twin.answer(raw(b"/a"))
    await twin.live_through(("answer", 304, fields, 0))
    for number in range(3):
        await twin.live_through(("wait", 9))
        written, record = await twin.answer(raw(b"/a"))
        assert written.endswith(b"xxxxx")
        assert (record.outcome, twin.shortened) == ("REVALIDATED", number + 2)


async def test_most_requests_that_nothing_stored_answers_go_the_short_way() -> None:
    twin = Twin("safe", is_short=True)
    date = (b"date", format_date(twin.world.clock.now()))
    twin.world.upstream.script = lambda _: Answer(fields=[date, (b"cache-control", b"max-age=60")], content=[b"hello"])
    for number in range(3):
        written, record = await twin.answer(raw(b"/%d" % number, b"Accept-Encoding: gzip", b"Cookie: a=b"))
        assert written.endswith(b"hello")
        assert record.trace == ("lookup", "miss", "forward", "store", "deliver")
    assert twin.shortened == 3
    assert len(twin.world.store.heads) == 3
