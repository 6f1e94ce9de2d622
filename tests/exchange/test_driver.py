"""The paths of a request through the exchange: its trace, what the origin was asked, what the client got."""

import asyncio
from ipaddress import ip_network

import pytest

from edge.caching.freshness import FreshnessRules
from edge.errors import BadRequest, DownstreamClosed, UpstreamConnectError, UpstreamTimeout
from edge.policy.profile import STRICT_RFC
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, FRESH, STALE, RequestContent, World

SIE = (b"cache-control", b"max-age=10, stale-if-error=100")
SWR = (b"cache-control", b"max-age=10, stale-while-revalidate=100")


async def test_a_miss_is_stored_and_then_a_hit(world: World) -> None:
    world.upstream.answers(Answer(fields=[FRESH], content=[b"hello ", b"world"]))
    missed = await world.get()
    assert missed.trace == ["lookup", "miss", "forward", "store", "deliver"]
    assert missed.cache_status == "fwd=uri-miss; fwd-status=200; ttl=60; stored"
    assert (missed.status, missed.content, missed.responder.is_finished) == (200, b"hello world", True)
    assert missed.responder.length == 11
    assert (missed.field(b"x-cache"), missed.field(b"via")) == (b"MISS", b"1.1 edge")
    await world.settle()
    world.clock.advance(7)
    hit = await world.get()
    assert hit.trace == ["lookup", "reuse", "deliver"]
    assert hit.cache_status == "hit; ttl=53"
    assert (hit.content, hit.field(b"age"), hit.field(b"x-cache")) == (b"hello world", b"7", b"HIT")
    assert len(world.asked) == 1
    assert [record.complete for record in world.telemetry.records] == [True, True]


async def test_a_targeted_lifetime_leaves_the_fields_for_others_alone(world: World) -> None:
    """Date, Expires and Cache-Control tell the client's cache its own, shorter lifetime (RFC 9213 §2.2)."""
    theirs = [
        (b"cache-control", b"max-age=1"),
        (b"date", format_date(world.clock.now())),
        (b"expires", format_date(world.clock.now() + 1)),
        (b"cdn-cache-control", b"max-age=1000"),
    ]
    await world.warm(Answer(fields=theirs))
    world.clock.advance(10)
    hit = await world.get()
    assert hit.cache_status == "hit; ttl=990"
    assert hit.field(b"age") == b"10"
    assert [(name, hit.field(name)) for name, _ in theirs] == theirs


@pytest.mark.parametrize(
    ("answer", "fields", "reason"),
    [
        pytest.param(Answer(fields=[(b"cache-control", b"no-store")]), [], "no-store", id="no-store"),
        pytest.param(Answer(fields=[(b"cache-control", b"private, max-age=9")]), [], "private", id="private"),
        pytest.param(Answer(), [], "no-lifetime", id="no lifetime and no validator"),
        pytest.param(Answer(fields=[FRESH, (b"vary", b"*")]), [], "vary-star", id="Vary: *"),
        pytest.param(Answer(fields=[FRESH, (b"set-cookie", b"a=b")]), [], "set-cookie", id="Set-Cookie"),
        pytest.param(Answer(302), [], "status", id="a status without heuristic freshness"),
        pytest.param(Answer(503, fields=[FRESH]), [], "server-error", id="a server error"),
        pytest.param(Answer(fields=[FRESH]), [(b"authorization", b"x")], "authorization", id="an authorised request"),
        pytest.param(
            Answer(fields=[FRESH]), [(b"cache-control", b"no-store")], "request-no-store", id="a request's no-store"
        ),
        pytest.param(
            Answer(fields=[FRESH, (b"connection", b"cache-control")]),
            [],
            "connection-option",
            id="Connection: Cache-Control takes nothing from what Cache-Control says",
        ),
    ],
)
async def test_what_is_not_storable_passes(world: World, answer: Answer, fields: list, reason: str) -> None:
    world.upstream.answers(answer)
    got = await world.get(*fields)
    assert got.trace[-2:] == [reason, "pass"]
    assert got.record.detail == reason
    assert got.cache_status == f"fwd=uri-miss; fwd-status={answer.status}; detail={reason}"
    assert got.responder.is_finished
    assert not world.stored()


async def test_an_answer_without_end_passes_as_it_comes(world: World) -> None:
    more = asyncio.Event()
    world.upstream.answers(Answer(content=[b"first", more, b"second"], is_chunked=True))
    responder = RecordingResponder()
    async with asyncio.TaskGroup() as group:
        group.create_task(world.get(responder=responder))
        await responder.began.wait()
        assert bytes(responder.content) == b"first"
        more.set()
    assert (bytes(responder.content), responder.length, responder.is_finished) == (b"firstsecond", None, True)


async def test_stale_is_validated_and_freshened(world: World) -> None:
    await world.warm(Answer(fields=[FRESH, ETAG, (b"x-a", b"1"), (b"age", b"5")], content=[b"body"]))
    world.clock.advance(100)
    world.upstream.answers(Answer(304, fields=[(b"cache-control", b"max-age=30"), ETAG, (b"x-a", b"2")]))
    got = await world.get()
    assert got.trace == ["lookup", "stale", "validate", "forward", "not-modified", "freshen", "deliver"]
    assert got.cache_status == "fwd=stale; fwd-status=304; ttl=30; stored; detail=lifetime-over"
    assert world.asked[0].fields.get(b"if-none-match") == b'"v1"'
    assert (got.status, got.content) == (200, b"body")
    assert (got.field(b"x-a"), got.field(b"age"), got.field(b"x-cache")) == (b"2", b"0", b"REVALIDATED")
    assert (await world.get()).cache_status == "hit; ttl=30"


async def test_stale_is_validated_and_replaced(world: World) -> None:
    await world.warm(Answer(fields=[FRESH, ETAG], content=[b"old"]))
    world.clock.advance(100)
    world.upstream.answers(Answer(fields=[FRESH, (b"etag", b'"v2"')], content=[b"new"]))
    got = await world.get()
    assert got.trace == ["lookup", "stale", "validate", "forward", "store", "deliver"]
    assert (got.content, got.field(b"x-cache")) == (b"new", b"EXPIRED")
    await world.settle()
    assert (await world.get()).content == b"new"
    assert len(world.stored()) == 1


async def test_a_304_about_another_representation_is_not_believed(world: World) -> None:
    await world.warm(Answer(fields=[STALE, ETAG], content=[b"old"]))
    world.upstream.answers(Answer(304, fields=[(b"etag", b'"v2"')]), Answer(fields=[FRESH], content=[b"new"]))
    got = await world.get()
    assert got.trace[3:] == ["forward", "mismatch", "forward", "store", "deliver"]
    assert b"if-none-match" not in world.asked[1].fields
    assert got.content == b"new"


async def test_a_304_that_forbids_storing_ends_the_stored_response(world: World) -> None:
    await world.warm(Answer(fields=[STALE, ETAG], content=[b"body"]))
    world.upstream.answers(Answer(304, fields=[(b"cache-control", b"private"), ETAG]))
    got = await world.get()
    assert (got.status, got.content) == (200, b"body")
    assert not world.stored()


@pytest.mark.parametrize(
    "field",
    [
        pytest.param((b"cache-control", b"no-store"), id="a request's no-store"),
        pytest.param((b"authorization", b"secret"), id="credentials"),
    ],
)
async def test_one_request_cannot_end_a_stored_response(world: World, field: tuple[bytes, bytes]) -> None:
    await world.warm(Answer(fields=[STALE, ETAG], content=[b"body"]))
    world.upstream.answers(Answer(304, fields=[STALE, ETAG]), Answer(fields=[FRESH], content=[b"mine"]))
    assert (await world.get(field)).content == b"body"
    assert (await world.get(field)).content == b"mine"
    assert [stored.fields.get(b"etag") for stored in world.stored()] == [b'"v1"']


@pytest.mark.parametrize(
    ("kept", "origin", "status", "content", "cache_status"),
    [
        pytest.param(
            SIE, Answer(503), 200, b"old", "fwd=stale; fwd-status=503; ttl=-40; detail=stale-if-error",
            id="a 5xx is hidden by stale-if-error",
        ),
        pytest.param(
            FRESH, Answer(503, content=[b"no"]), 503, b"no", "fwd=stale; fwd-status=503; detail=status",
            id="a 5xx passes without permission",
        ),
        pytest.param(
            SIE, Answer(error=UpstreamTimeout()), 200, b"old", "fwd=stale; ttl=-40; detail=stale-if-error",
            id="silence is hidden by stale-if-error",
        ),
        pytest.param(
            FRESH, Answer(error=UpstreamTimeout()), 504, b"504 origin-timeout\n", "fwd=stale; detail=origin-timeout",
            id="silence is a 504 without permission",
        ),
        pytest.param(
            (b"cache-control", b"max-age=10, stale-if-error=100, must-revalidate"), Answer(error=UpstreamConnectError()),
            502, b"502 origin-connect\n", "fwd=stale; detail=origin-connect", id="must-revalidate is stronger",
        ),
    ],
)  # fmt: skip
async def test_when_the_origin_fails(
    world: World, kept: tuple[bytes, bytes], origin: Answer, status: int, content: bytes, cache_status: str
) -> None:
    await world.warm(Answer(fields=[kept, ETAG], content=[b"old"]))
    world.clock.advance(50 if kept == SIE else 100)
    world.upstream.answers(origin)
    got = await world.get()
    assert (got.status, got.content, got.cache_status) == (status, content, cache_status)
    assert world.stored(), "a failure never takes the place of a stored response"


async def test_content_in_a_coding_that_nobody_knows_is_taken_for_plain_in_strict_rfc_only(world: World) -> None:
    odd = Answer(fields=[FRESH, (b"transfer-encoding", b"odd")], content=[b"content"])
    world.upstream.answers(odd)
    refused = await world.get()
    assert (refused.status, refused.record.detail) == (502, "origin-protocol")
    world = World(profile=STRICT_RFC)
    world.upstream.answers(odd)
    taken = await world.get()
    await world.settle()
    assert (taken.status, taken.content, taken.field(b"transfer-encoding")) == (200, b"content", None)
    assert (await world.get()).cache_status == "hit; ttl=60"


async def test_a_storable_5xx_does_not_replace_what_is_stored() -> None:
    world = World(profile=STRICT_RFC)
    await world.warm(Answer(fields=[(b"cache-control", b"max-age=10, must-revalidate"), ETAG], content=[b"old"]))
    world.clock.advance(50)
    world.upstream.answers(Answer(503, fields=[FRESH], content=[b"no"]))
    got = await world.get()
    assert (got.status, got.record.detail) == (503, "usable-stored")
    assert [stored.status for stored in world.stored()] == [200]


async def test_stale_is_reused_while_it_is_validated_once_in_the_background(world: World) -> None:
    await world.warm(Answer(fields=[SWR, ETAG], content=[b"old"]))
    world.clock.advance(50)
    answered = asyncio.Event()
    world.upstream.answers(Answer(fields=[FRESH], content=[b"new"], head_after=answered))
    for _ in range(3):
        got = await world.get((b"if-none-match", b'"other"'))
        assert got.trace == ["lookup", "stale-while-revalidate", "deliver"]
        assert got.cache_status == "hit; ttl=-40; detail=stale-while-revalidate"
        assert (got.content, got.field(b"x-cache")) == (b"old", b"STALE")
    answered.set()
    await world.settle()
    assert [request.fields.get(b"if-none-match") for request in world.asked] == [b'"v1"']
    assert (await world.get()).content == b"new"


async def test_a_head_lets_the_whole_be_validated_in_the_background(world: World) -> None:
    await world.warm(Answer(fields=[SWR, ETAG], content=[b"old"]))
    world.clock.advance(50)
    world.upstream.answers(Answer(fields=[FRESH], content=[b"new"]))
    got = await world.head((b"cache-control", b"no-store"))
    assert (got.status, got.content) == (200, b"")
    await world.settle()
    assert world.asked[0].method == b"GET"
    assert b"cache-control" not in world.asked[0].fields
    assert (await world.get()).content == b"new"


async def test_a_failed_background_validation_is_counted(world: World) -> None:
    await world.warm(Answer(fields=[(b"cache-control", b"max-age=10, stale-while-revalidate=100"), ETAG]))
    world.clock.advance(50)
    # Without permission to be reused after an error, which stale-while-revalidate is as well.
    world.upstream.answers(Answer(error=UpstreamConnectError()))
    await world.get()
    world.clock.advance(100)
    await world.settle()
    assert world.telemetry.counters["background-origin-connect"] == 1


async def test_only_if_cached(world: World) -> None:
    only = (b"cache-control", b"only-if-cached")
    missed = await world.get(only)
    assert (missed.status, missed.record.detail, world.asked) == (504, "only-if-cached", [])
    await world.warm(Answer(fields=[FRESH], content=[b"body"]))
    assert (await world.get(only)).content == b"body"


class TestHead:
    async def test_on_a_hit(self, world: World) -> None:
        await world.warm(Answer(fields=[FRESH], content=[b"body"]))
        got = await world.head()
        assert (got.status, got.responder.length, got.content) == (200, 4, b"")
        assert (got.record.complete, got.record.outcome) == (True, "HIT")

    async def test_on_a_miss(self, world: World) -> None:
        world.upstream.answers(Answer(fields=[FRESH, (b"content-length", b"4")], length=0))
        got = await world.head()
        assert got.trace == ["lookup", "miss", "forward"]
        assert (got.responder.length, got.record.complete) == (4, True)
        assert not world.stored()

    @pytest.mark.parametrize(
        ("answer", "token", "kept"),
        [
            pytest.param(Answer(fields=[FRESH, ETAG, (b"content-length", b"4")]), "freshen", True, id="the same"),
            pytest.param(Answer(fields=[FRESH, (b"etag", b'"v2"')]), "invalidate", False, id="another validator"),
            pytest.param(Answer(fields=[FRESH, (b"content-length", b"5")]), "invalidate", False, id="another length"),
        ],
    )
    async def test_updates_what_is_stale(self, world: World, answer: Answer, token: str, *, kept: bool) -> None:
        await world.warm(Answer(fields=[FRESH, ETAG], content=[b"body"]))
        world.clock.advance(100)
        world.upstream.answers(answer)
        got = await world.head()
        assert got.trace == ["lookup", "stale", "forward", token]
        assert bool(world.stored()) is kept
        if kept:
            assert (await world.get()).cache_status == "hit; ttl=60"

    async def test_gets_the_stale_one_when_the_origin_fails(self, world: World) -> None:
        await world.warm(Answer(fields=[SIE, ETAG], content=[b"body"]))
        world.clock.advance(50)
        world.upstream.answers(Answer(500), Answer(error=UpstreamTimeout()))
        assert [(await world.head()).record.detail for _ in range(2)] == ["stale-if-error"] * 2


class TestPreconditions:
    @pytest.mark.parametrize(
        ("field", "status"),
        [
            pytest.param((b"if-none-match", b'"v1"'), 304, id="the same entity tag"),
            pytest.param((b"if-none-match", b'"v2"'), 200, id="another entity tag"),
            pytest.param((b"if-match", b'"v2"'), 412, id="a match that fails"),
        ],
    )
    @pytest.mark.parametrize("fields", [[FRESH, ETAG], [ETAG, (b"cache-control", b"no-store")]])
    async def test_of_the_client(self, world: World, field: tuple[bytes, bytes], status: int, fields: list) -> None:
        world.upstream.script = lambda _: Answer(fields=fields, content=[b"body"])
        missed = await world.get(field)
        assert missed.status == status
        assert field[0] not in world.asked[0].fields, "the whole is asked for, since it may be stored"
        await world.settle()
        if FRESH in fields:
            assert (await world.get(field)).status == status
            assert len(world.asked) == (2 if status == 412 else 1), "a failure is about what the origin has now"

    async def test_go_to_the_origin_once_nothing_is_known_to_be_stored(self, world: World) -> None:
        world.upstream.answers(Answer(fields=[(b"cache-control", b"no-store")]), Answer(304, fields=[ETAG]))
        await world.get()
        got = await world.get((b"if-none-match", b'"v1"'))
        assert (got.status, world.asked[1].fields.get(b"if-none-match")) == (304, b'"v1"')

    async def test_are_not_for_a_304_that_nobody_asked_for(self, world: World) -> None:
        world.upstream.answers(Answer(304))
        got = await world.get((b"if-none-match", b'"v1"'))
        assert (got.status, got.record.detail) == (502, "origin-protocol")


class TestUnsafe:
    @pytest.mark.parametrize(
        ("fields", "gone"),
        [
            pytest.param([], [b"/"], id="the target"),
            pytest.param([(b"location", b"/b")], [b"/", b"/b"], id="Location"),
            pytest.param([(b"content-location", b"http://a.test/b")], [b"/", b"/b"], id="Content-Location"),
            pytest.param([(b"location", b"http://b.test/b")], [b"/"], id="never another authority"),
        ],
    )
    async def test_invalidates(self, world: World, fields: list, gone: list[bytes]) -> None:
        for path in (b"/", b"/b"):
            await world.warm(Answer(fields=[FRESH]), path=path)
        world.upstream.answers(Answer(201, fields=fields))
        got = await world.get(method=b"POST", content=[b"a=", b"1"])
        assert got.trace == ["forward", *["invalidate"] * len(gone), "pass"]
        assert got.cache_status == "fwd=method; fwd-status=201"
        assert world.upstream.contents[-1] == b"a=1"
        assert [path for path in (b"/", b"/b") if not world.stored(path)] == gone

    @pytest.mark.parametrize(
        ("method", "status"), [(b"POST", 500), (b"POST", 404), (b"OPTIONS", 200)], ids=["5xx", "4xx", "a safe method"]
    )
    async def test_that_changes_nothing_invalidates_nothing(self, world: World, method: bytes, status: int) -> None:
        await world.warm(Answer(fields=[FRESH]))
        world.upstream.answers(Answer(status))
        await world.get(method=method)
        assert world.stored()

    @pytest.mark.parametrize("field", [(b"x-a", b"plain"), (b"authorization", b"a"), (b"range", b"bytes=0-")])
    async def test_keeps_what_is_in_flight_from_being_stored(self, world: World, field: tuple[bytes, bytes]) -> None:
        go_on = asyncio.Event()
        public = (b"cache-control", b"public, max-age=60")
        world.upstream.answers(Answer(fields=[public], content=[b"old", go_on]), Answer(204))
        async with asyncio.TaskGroup() as group:
            responder = RecordingResponder()
            before = group.create_task(world.get(field, responder=responder))
            await responder.began.wait()
            await world.get(method=b"DELETE")
            world.upstream.answers(Answer(fields=[public], content=[b"new"]))
            after = await world.get()
            go_on.set()
        await world.settle()
        assert (before.result().content, before.result().record.complete) == (b"old", True)
        assert after.content == b"new", "what was in flight does not answer what comes later"
        assert (await world.get()).content == b"new"

    async def test_keeps_a_validation_in_flight_from_freshening(self, world: World) -> None:
        await world.warm(Answer(fields=[STALE, ETAG], content=[b"old"]))
        go_on = asyncio.Event()
        world.upstream.answers(Answer(304, fields=[FRESH, ETAG], head_after=go_on), Answer(204))
        async with asyncio.TaskGroup() as group:
            validating = group.create_task(world.get())
            while not world.asked:
                await asyncio.sleep(0)
            await world.get(method=b"PUT", content=[b"x"])
            go_on.set()
        assert validating.result().content == b"old"
        assert not world.stored()

    async def test_content_over_the_limit_is_refused(self) -> None:
        world = World(max_request_content=3)
        assert (await world.get(method=b"PUT", content=[b"1234"])).status == 413
        assert not world.asked

    async def test_post_may_answer_a_later_get_in_strict_rfc(self) -> None:
        world = World(profile=STRICT_RFC)
        fields = [FRESH, ETAG, (b"content-location", b"/")]
        world.upstream.answers(Answer(fields=fields, content=[b"made"]))
        posted = await world.get((b"if-none-match", b"*"), method=b"POST", content=[b"x"])
        assert posted.trace == ["forward", "invalidate", "store", "deliver"]
        assert (posted.status, posted.content) == (200, b"made")
        await world.settle()
        got = await world.get()
        assert (got.content, got.cache_status) == (b"made", "hit; ttl=60")
        assert len(world.asked) == 1

    async def test_post_that_is_not_storable_says_nothing_of_a_later_get(self) -> None:
        world = World(profile=STRICT_RFC)
        world.upstream.answers(Answer(), Answer(fields=[FRESH]))
        await world.get(method=b"POST", content=[b"x"])
        await world.get((b"if-none-match", b'"v1"'))
        assert b"if-none-match" not in world.asked[1].fields


class TestVariants:
    async def test_each_is_stored(self, world: World) -> None:
        for language in (b"de", b"fr"):
            world.upstream.answers(Answer(fields=[FRESH, (b"vary", b"x-lang")], content=[language]))
            got = await world.get((b"x-lang", language))
            await world.settle()
        assert got.record.cache_status.startswith(b"edge; fwd=vary-miss")
        for language in (b"de", b"fr"):
            assert (await world.get((b"x-lang", language))).content == language

    async def test_authorization_is_shared_only_where_that_is_allowed(self, world: World) -> None:
        public = (b"cache-control", b"public, max-age=60")
        world.upstream.answers(Answer(fields=[public], content=[b"for all"]))
        await world.get((b"authorization", b"a"))
        await world.settle()
        assert (await world.get()).content == b"for all"


class TestAboutUs:
    @pytest.mark.parametrize(
        "field", [(b"cdn-loop", b"other, edge"), (b"via", b"1.1 other, 1.1 edge")], ids=["CDN-Loop", "Via"]
    )
    async def test_a_loop_is_refused(self, world: World, field: tuple[bytes, bytes]) -> None:
        got = await world.get(field)
        assert (got.status, got.record.detail, world.asked) == (508, "loop-detected", [])

    async def test_every_hop_is_noted(self, world: World) -> None:
        await world.get((b"cdn-loop", b"other"), (b"via", b"1.0 other"))
        assert world.asked[0].fields.get(b"cdn-loop") == b"other, edge"
        assert world.asked[0].fields.get(b"via") == b"1.0 other, 1.1 edge"

    @pytest.mark.parametrize(("path", "hops"), [(b"*", b"5"), (b"/", b"0"), (b"/", b"00")])
    async def test_options_are_answered_here(self, world: World, path: bytes, hops: bytes) -> None:
        got = await world.get((b"max-forwards", hops), method=b"OPTIONS", path=path)
        assert (got.status, world.asked) == (204, [])
        assert got.field(b"allow")

    async def test_options_for_the_origin_are_counted_down(self, world: World) -> None:
        world.upstream.answers(Answer(204))
        await world.get((b"max-forwards", b"3"), method=b"OPTIONS")
        assert world.asked[0].fields.get(b"max-forwards") == b"2"

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            pytest.param({"method": b"TRACE"}, 405, id="a method that is never served"),
            pytest.param({"host": b"b.test"}, 421, id="an authority that is not ours"),
        ],
    )
    async def test_is_refused(self, world: World, request_: dict, status: int) -> None:
        assert (await world.get(**request_)).status == status

    async def test_interim_responses_go_on(self, world: World) -> None:
        early = Response(103, FieldSection([(b"link", b"</a>; rel=preload")]))
        world.upstream.answers(Answer(fields=[FRESH], interims=[early]))
        assert (await world.get()).responder.interims == [early]

    async def test_a_client_that_left_before_an_interim_response_costs_nobody_anything(self, world: World) -> None:
        early = Response(103, FieldSection())
        world.upstream.answers(Answer(fields=[FRESH], content=[b"body"], interims=[early]))
        responder = RecordingResponder(leaves_after=0)
        await world.driver.handle(world.request(), RequestContent(), responder, "192.0.2.1")
        assert [(record.status, record.complete) for record in world.telemetry.records] == [(499, False)]
        await world.settle()
        assert (await world.get()).content == b"body"

    async def test_what_was_not_parsed_is_answered_and_recorded(self, world: World) -> None:
        responder = RecordingResponder()
        await world.driver.refuse_unparsed(BadRequest(), responder, "192.0.2.1")
        assert responder.head is not None
        assert (responder.head.status, responder.is_finished) == (400, True)
        with pytest.raises(DownstreamClosed):
            await world.driver.refuse_unparsed(BadRequest(), RecordingResponder(leaves_after=0), "192.0.2.1")
        assert [(record.status, record.complete) for record in world.telemetry.records] == [(400, True), (400, False)]


class TestStoreFaults:
    async def test_damage_found_before_the_head_is_a_miss(self, world: World) -> None:
        await world.warm(Answer(fields=[FRESH, ETAG], content=[b"old"]))
        world.store.damaged.add(world.stored()[0].generation)
        world.upstream.answers(Answer(fields=[FRESH], content=[b"new"]))
        got = await world.get()
        assert got.trace == ["lookup", "reuse", "store-damaged", "miss", "forward", "store", "deliver"]
        assert got.cache_status == "fwd=miss; fwd-status=200; ttl=60; stored; detail=store-damaged"
        assert got.content == b"new"

    async def test_damage_found_after_a_304_is_a_whole_fetch(self, world: World) -> None:
        await world.warm(Answer(fields=[STALE, ETAG], content=[b"old"]))
        world.store.damaged.add(world.stored()[0].generation)
        world.upstream.answers(Answer(304, fields=[ETAG]), Answer(fields=[FRESH], content=[b"new"]))
        got = await world.get()
        assert (got.content, len(world.asked)) == (b"new", 2)

    async def test_damage_found_when_the_origin_failed_is_the_origins_failure(self, world: World) -> None:
        await world.warm(Answer(fields=[SIE, ETAG], content=[b"old"]))
        world.clock.advance(50)
        world.store.damaged.add(world.stored()[0].generation)
        world.upstream.script = lambda _: Answer(error=UpstreamConnectError())
        assert (await world.get()).status == 502

    async def test_damage_found_after_the_head_breaks_the_transfer(self, world: World) -> None:
        size = 200_000
        await world.warm(Answer(fields=[FRESH], content=[bytes(size)]))
        responder = RecordingResponder()
        responder.takes.clear()
        async with asyncio.TaskGroup() as group:
            got = group.create_task(world.get(responder=responder))
            while responder.head is None:
                await asyncio.sleep(0)
            world.store.damaged.add(world.stored()[0].generation)
            responder.takes.set()
        assert 0 < len(responder.content) < size
        assert (responder.is_aborted, responder.is_finished) == (True, False)
        assert (got.result().record.complete, got.result().record.detail) == (False, "store-damaged")

    async def test_a_full_store_costs_the_client_nothing(self, world: World) -> None:
        world.store.is_full = True
        world.upstream.answers(Answer(fields=[FRESH], content=[b"body"]))
        got = await world.get()
        assert (got.content, got.record.detail) == (b"body", "store-unavailable")
        assert world.telemetry.counters["store-full"] == 1

    async def test_a_store_that_fills_up_costs_the_client_nothing(self, world: World) -> None:
        go_on = asyncio.Event()
        world.upstream.answers(Answer(fields=[FRESH], content=[b"a" * 1000, go_on, b"b" * 1000, b"c" * 1000]))
        responder = RecordingResponder()
        async with asyncio.TaskGroup() as group:
            group.create_task(world.get(responder=responder))
            await responder.began.wait()
            world.store.is_full = True
            go_on.set()
        assert bytes(responder.content) == b"a" * 1000 + b"b" * 1000 + b"c" * 1000
        assert responder.is_finished
        await world.settle()
        assert not world.stored()
        assert world.telemetry.counters["store-full"] == 1


async def test_a_fault_of_the_edge_is_a_500_that_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def script(_: object) -> Answer:
        raise ZeroDivisionError

    world.upstream.script = script
    assert (await world.get()).status == 500
    assert "a fault of the edge" in caplog.text


async def test_a_lifetime_of_the_operators_choice(world: World) -> None:
    other = World(freshness=FreshnessRules(default=30))
    await other.warm(Answer(content=[b"body"]))
    assert (await other.get()).cache_status == "hit; ttl=30"


class TestHttps:
    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    async def test_plain_http_is_redirected_whatever_was_asked(self, method: bytes) -> None:
        world = World(https_port=8443)
        got = await world.get(path=b"/x?y=1", method=method)
        assert (got.status, got.field(b"location")) == (308, b"https://a.test:8443/x?y=1")
        assert (got.trace, world.asked) == (["redirect"], [])

    async def test_https_is_answered_and_says_to_stay(self) -> None:
        world = World(https_port=8443, hsts=b"max-age=60")
        world.upstream.answers(Answer(fields=[FRESH, (b"strict-transport-security", b"max-age=1")]))
        for status in ("fwd=uri-miss; fwd-status=200; ttl=60; stored", "hit; ttl=60"):
            got = await world.get(scheme=b"https")
            assert got.cache_status == status
            assert got.head.fields.values(b"strict-transport-security") == [b"max-age=60"]
            await world.settle()

    async def test_plain_http_does_not_say_it(self) -> None:
        assert (await World(hsts=b"max-age=60").get()).field(b"strict-transport-security") is None

    async def test_what_was_stored_for_https_is_not_answered_to_http(self) -> None:
        world = World()
        await world.get(scheme=b"https")
        got = await world.get()
        assert got.cache_status == "fwd=uri-miss; fwd-status=200; ttl=60; stored"
        protocols = [request.fields.get(b"x-forwarded-proto") for request in world.asked]
        assert protocols == [b"https", b"http"]


class TestClientCertificates:
    @pytest.mark.parametrize("shown", ["", "/other.pem"], ids=["none", "one for another site"])
    @pytest.mark.parametrize("method", [b"GET", b"POST", b"PURGE", b"TRACE"])
    async def test_a_client_without_one_of_the_site_is_turned_away_whatever_is_asked(self, shown, method) -> None:
        world = World(client_ca="/ca.pem", purge_from=(ip_network("192.0.2.1"),))
        got = await world.get(method=method, scheme=b"https", client_ca=shown)
        assert (got.status, got.trace, got.record.site) == (421, ["client-certificate"], "a.test")
        assert world.asked == []

    async def test_a_client_with_one_is_answered_always_by_the_full_path(self) -> None:
        world = World(client_ca="/ca.pem")
        for status in ("fwd=uri-miss; fwd-status=200; ttl=60; stored", "hit; ttl=60", "hit; ttl=60"):
            assert (await world.get(scheme=b"https", client_ca="/ca.pem")).cache_status == status
            await world.settle()
        assert world.driver.prepared.find(world.request(scheme=b"https")) is None
        assert not world.driver.prepared._by_key

    async def test_a_client_with_one_is_answered_where_none_is_wanted(self, world: World) -> None:
        assert (await world.get(client_ca="/ca.pem")).status == 200

    async def test_what_another_worker_asks_for_is_answered(self) -> None:
        world, responder = World(client_ca="/ca.pem"), RecordingResponder()
        await world.driver.handle(world.request(), RequestContent(), responder, "192.0.2.1", is_relayed=True)
        assert responder.head is not None
        assert responder.head.status == 200

    @pytest.mark.parametrize("method", [b"GET", b"PURGE"])
    async def test_plain_http_is_redirected_where_the_site_wants_that(self, method) -> None:
        world = World(client_ca="/ca.pem", https_port=8443, purge_from=(ip_network("192.0.2.1"),))
        got = await world.get(method=method)
        assert (got.status, got.trace) == (308, ["redirect"])


@pytest.mark.parametrize(
    ("field", "method", "is_paced"),
    [
        pytest.param((b"cache-control", b"no-store"), b"GET", True, id="what is passed on"),
        pytest.param((b"cache-control", b"no-store"), b"POST", True, id="the answer to a write"),
        pytest.param(FRESH, b"GET", False, id="not what is stored, which others may wait for"),
    ],
)
async def test_what_is_for_one_client_alone_is_received_as_it_has_room(world: World, field, method, is_paced) -> None:
    more = asyncio.Event()
    world.upstream.answers(Answer(fields=[field], content=[b"a", more, b"b"]))
    responder = RecordingResponder()
    responder.allowance = lambda _: 0
    async with asyncio.TaskGroup() as group:
        getting = group.create_task(world.get(responder=responder, method=method))
        await responder.began.wait()
        assert [response.is_paced for response in world.upstream.open] == [is_paced]
        more.set()
    assert getting.result().content == b"ab"
    await world.settle()
    world.assert_idle()
