"""The forms of responses: what is made, who waits for it, and what becomes of it."""

import asyncio
import gzip
import zlib
from dataclasses import replace
from pathlib import Path

import brotli
import pytest
from backports import zstd

from edge.caching import derived
from edge.caching.coding import CompressionRules
from edge.errors import UpstreamClosed
from edge.exchange import making
from edge.policy.purging import Kind, Mode, Selector
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.test_relay import Others
from tests.exchange.world import ETAG, FRESH, STALE, Got, World, turns

RULES = CompressionRules(types=("text/*",))
HTML = (b"content-type", b"text/html")
BODY = b"".join(b"<p>paragraph %d of a page</p>\n" % number for number in range(400))
LONG = BODY * 130
SOURCE = Path(__file__).read_bytes()
RANDOM = brotli.compress(b"".join(b"%d" % (number * number) for number in range(3000)))
BR, GZIP, ZSTD = ((b"accept-encoding", coding) for coding in (b"br", b"gzip", b"zstd"))
DECODE = {None: bytes, b"br": brotli.decompress, b"gzip": gzip.decompress, b"zstd": zstd.decompress}
CODED = (b"content-encoding", b"gzip")


@pytest.fixture
async def world():
    world = World(compression=RULES)
    world.upstream.script = lambda _: page()
    yield world
    await world.settle()
    world.assert_idle()


def page(*fields, body: bytes = BODY, **answer) -> Answer:
    fields = fields or (FRESH, ETAG)
    return Answer(fields=[HTML, *fields], content=[body[:3000], body[3000:]] if body[3000:] else [body], **answer)


def decoded(got: Got) -> bytes:
    assert got.responder.is_finished
    return DECODE[got.field(b"content-encoding")](got.content)


def codings(world: World) -> list[bytes]:
    return sorted((each.nominated[0][1] or b"").strip() for each in world.stored() if derived.is_derived(each))


async def test_each_coding_is_made_once_and_stored(world):
    for accepted, trace in ((BR, "code"), (GZIP, "code"), (BR, "reuse"), (GZIP, "reuse")):
        got = await world.get(accepted)
        assert trace in got.trace
        assert decoded(got) == BODY
        await world.settle()
    assert codings(world) == [b"br", b"gzip"]
    assert got.responder.length == len(got.content)
    assert len(world.asked) == 1
    assert [(coding, octets) for coding, octets, _ in world.telemetry.codings] == [
        (b"br", len(BODY)),
        (b"gzip", len(BODY)),
    ]


async def test_all_who_come_while_it_is_made_share_it(world):
    gate = asyncio.Event()
    world.upstream.script = lambda _: Answer(
        fields=[HTML, FRESH], content=[BODY[:3000], gate, BODY[3000:]], is_chunked=True
    )
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(world.get(BR)) for _ in range(3)]
        clients += [group.create_task(world.get())]
        await turns(50)
        clients += [group.create_task(world.get(BR))]
        await turns()
        gate.set()
    assert [decoded(client.result()) for client in clients] == [BODY] * 5
    await world.settle()
    assert [coding for coding, *_ in world.telemetry.codings] == [b"br"]
    assert len(world.asked) == 1


async def test_what_has_come_goes_out_coded_before_the_rest_comes(world):
    gate, responder = asyncio.Event(), RecordingResponder()
    world.upstream.script = lambda _: Answer(
        fields=[HTML, FRESH], content=[b"<p>first</p>", gate, BODY], is_chunked=True
    )
    async with asyncio.TaskGroup() as group:
        client = group.create_task(world.get(GZIP, responder=responder))
        await responder.began.wait()
        assert zlib.decompressobj(31).decompress(responder.content) == b"<p>first</p>"
        gate.set()
    assert decoded(client.result()) == b"<p>first</p>" + BODY


async def test_content_that_breaks_off_never_ends_cleanly(world):
    world.upstream.script = lambda _: Answer(fields=[HTML, FRESH], content=[BODY, UpstreamClosed()], length=99_999)
    got = await world.get(BR)
    assert got.responder.is_aborted or got.status == 502
    await world.settle()
    assert world.stored() == []


async def test_a_client_that_leaves_lets_the_others_have_it(world):
    gate = asyncio.Event()
    world.upstream.script = lambda _: Answer(
        fields=[HTML, FRESH], content=[BODY[:3000], gate, BODY[3000:]], is_chunked=True
    )
    async with asyncio.TaskGroup() as group:
        leaver = group.create_task(world.get(BR, responder=RecordingResponder(leaves_after=1)))
        other = group.create_task(world.get(BR))
        await turns()
        gate.set()
    assert not leaver.result().responder.is_finished
    assert decoded(other.result()) == BODY


async def test_when_the_only_client_leaves_a_short_content_is_made_all_the_same(world):
    await world.get(BR, responder=RecordingResponder(leaves_after=0))
    await world.settle()
    assert codings(world) == [b"br"]


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_purge_is_of_all_codings(world, mode):
    for accepted in (BR, GZIP, BR):
        await world.get(accepted)
        await world.settle()
    await world.driver._context.purges.purge(mode, (Selector(Kind.URL, world.stored()[0].key),), world.clock.now())
    world.upstream.script = lambda _: page(FRESH, (b"etag", b'"v2"'), body=BODY[::-1])
    for accepted in (BR, GZIP, BR):
        assert decoded(await world.get(accepted)) == BODY[::-1]
        await world.settle()
    assert len(world.asked) == 2
    assert codings(world) == [b"br", b"gzip"], "nothing is left of the other"


async def test_a_304_freshens_all_codings(world):
    world.upstream.script = lambda _: page(FRESH, ETAG)
    for accepted in (BR, GZIP):
        await world.get(accepted)
        await world.settle()
    world.clock.advance(61)
    world.upstream.script = lambda _: Answer(304, fields=[FRESH, ETAG, (b"x-new", b"1")])
    validated = await world.get(GZIP, (b"if-none-match", b'"old"'))
    assert world.asked[-1].fields.get(b"if-none-match") == b'"v1"'
    for got in (validated, await world.get(BR), await world.get(GZIP), await world.get()):
        assert decoded(got) == BODY
        assert got.field(b"x-new") == b"1"
        await world.settle()
    assert len(world.asked) == 2
    assert len(world.telemetry.codings) == 2, "nothing was made again"


async def test_what_takes_its_place_is_never_answered_with_the_old_content(world):
    world.upstream.script = lambda _: page(STALE, ETAG)
    await world.get(BR)
    await world.settle()
    # Within the same second, so that Date does not tell the two apart.
    world.upstream.script = lambda _: page(FRESH, (b"etag", b'"v2"'), body=BODY[::-1])
    for _ in range(2):
        assert decoded(await world.get(BR)) == BODY[::-1]
        await world.settle()
    assert len(world.stored()) == 2


async def test_an_unsafe_request_invalidates_all_codings(world):
    for accepted in (BR, GZIP):
        await world.get(accepted)
        await world.settle()
    await world.get(method=b"POST")
    assert world.stored() == []


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [
        pytest.param([HTML, FRESH, (b"cache-control", b"no-transform")], [BR], id="no-transform"),
        pytest.param([HTML, (b"cache-control", b"private"), (b"cdn-cache-control", b"max-age=9")], [BR], id="private"),
        pytest.param([HTML, (b"cache-control", b"no-store")], [BR], id="not stored"),
        pytest.param([HTML, FRESH, (b"set-cookie", b"a=b")], [BR], id="with a cookie"),
        pytest.param([HTML, FRESH], [BR, (b"cookie", b"a=b")], id="made for whom has a cookie"),
        pytest.param([(b"content-type", b"image/png"), FRESH], [BR], id="coded by nature"),
    ],
)
async def test_what_is_never_coded_for_whom_it_is_made(world, fields, accepted):
    world.upstream.script = lambda _: Answer(fields=fields, content=[BODY])
    got = await world.get(*accepted)
    assert (got.field(b"content-encoding"), got.content) == (None, BODY)
    assert world.telemetry.codings == []


async def test_a_long_content_is_not_waited_for(world):
    world.upstream.script = lambda _: page(body=LONG)
    await world.get()
    await world.settle()
    got = await world.get(ZSTD)
    assert (got.field(b"content-encoding"), got.field(b"vary"), got.content) == (None, b"Accept-Encoding", LONG)
    await world.settle()
    got = await world.get(ZSTD)
    assert (got.field(b"content-encoding"), decoded(got)) == (b"zstd", LONG)


async def test_what_becomes_no_smaller_is_remembered(world):
    world.upstream.script = lambda _: page(body=RANDOM)
    await world.get()
    await world.settle()
    for expected in (b"br", None, None):
        got = await world.get(BR)
        assert (got.field(b"content-encoding"), decoded(got)) == (expected, RANDOM)
        await world.settle()
    assert codings(world) == []
    assert len(world.telemetry.codings) == 1


async def test_when_much_is_being_made_hits_do_without(world):
    for number in range(6):
        await world.get(path=b"/%d" % number)
    await world.settle()
    gate = asyncio.Event()
    world.store.takes = gate
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(world.get(BR, path=b"/%d" % number)) for number in range(4)]
        await turns(300)
        got = await world.get(BR, path=b"/5")
        assert (got.field(b"content-encoding"), got.content) == (None, BODY)
        assert world.driver.prepared.find(world.request(BR, path=b"/5")) is None, "the next one may get it coded"
        gate.set()
    assert all(decoded(each.result()) == BODY for each in waiting)


async def test_without_room_a_content_goes_out_as_it_is(world):
    await world.get()
    await world.settle()
    world.store.is_full = True
    got = await world.get(BR)
    assert (got.field(b"content-encoding"), got.content) == (None, BODY)
    assert world.telemetry.counters["store-full"] == 1


async def test_what_is_not_admitted_goes_out_as_it_is_unless_the_client_cannot_take_it(world):
    world.store.admits = False
    got = await world.get(BR)
    assert (got.field(b"content-encoding"), got.field(b"vary"), got.content) == (None, b"Accept-Encoding", BODY)
    world.upstream.script = lambda _: page(FRESH, CODED, body=gzip.compress(BODY))
    assert decoded(await world.get()) == BODY
    await world.settle()
    assert world.stored() == []


async def test_a_content_that_cannot_be_read_back_is_asked_for_again(world):
    await world.get()
    await world.settle()
    world.store.damaged.add(world.stored()[0].generation)
    assert decoded(await world.get(BR)) == BODY
    assert len(world.asked) == 2


async def test_what_is_hot_is_made_again_smaller():
    world = World(compression=replace(RULES, hot=3))
    world.upstream.script = lambda _: page(body=SOURCE)
    await world.get(BR)
    await world.settle()
    first = world.stored()[0]
    for _ in range(9):
        assert decoded(await world.get(BR)) == SOURCE
        await world.settle()
    again = world.stored()[0]
    assert derived.effort(again) == b"close"
    assert (again.complete_length or 0) < (first.complete_length or 0)
    assert codings(world) == [b"br"]
    assert len(world.telemetry.codings) == 2


async def test_what_becomes_no_smaller_is_made_again_once():
    world = World(compression=replace(RULES, hot=1))
    world.upstream.script = lambda _: page()
    for _ in range(5):
        assert decoded(await world.get(BR)) == BODY
        await world.settle()
    assert derived.effort(world.stored()[0]) == b"fast"
    assert len(world.telemetry.codings) == 2


async def test_a_ready_answer_is_a_use_for_each_second():
    world = World(compression=replace(RULES, hot=4))
    world.upstream.script = lambda _: page(body=SOURCE)
    for _ in range(2):
        await world.get(BR)
        await world.settle()
    ready = world.driver.prepared.find(world.request(BR))
    assert ready is not None
    for second in range(3):
        assert ready.head((second, 60 - second)).fields.get(b"content-encoding") == b"br"
    await world.settle()
    assert derived.effort(world.stored()[0]) == b"close"
    assert ready.second(world.clock.now()) is None, "there is a smaller one"


async def test_ready_answers_are_of_a_form(world):
    for accepted in (BR, BR, GZIP, GZIP):
        await world.get(accepted)
        await world.settle()
    assert world.driver.prepared.find(world.request(GZIP)) is not None
    assert world.driver.prepared.find(world.request()) is None
    found = world.driver.prepared.find(world.request((b"accept-encoding", b"gzip, br;q=0.1")))
    assert found is not None
    assert gzip.decompress(found.body) == BODY


async def test_coded_content_of_the_origin_is_stored_as_it_came_and_decoded_for_whom_cannot_take_it(world):
    coded = gzip.compress(BODY)
    vary = (b"vary", b"Accept-Encoding")
    world.upstream.script = lambda _: page(FRESH, ETAG, CODED, vary, body=coded)
    for accepted, form in (
        ((), None),
        ((GZIP,), b"gzip"),
        ((BR,), b"br"),
        ((), None),
        ((GZIP,), b"gzip"),
        ((BR,), b"br"),
    ):
        got = await world.get(*accepted)
        assert (got.field(b"content-encoding"), decoded(got)) == (form, BODY)
        assert got.field(b"etag") == (b'"v1"' if form == b"gzip" else b'W/"v1"')
        await world.settle()
    assert [request.fields.get(b"accept-encoding") for request in world.asked] == [b"br, gzip, zstd"]
    assert codings(world) == [b"br", b"identity"]


async def test_when_much_is_being_made_whoever_needs_it_decoded_has_it_decoded_alone(world):
    coded = gzip.compress(BODY)
    gate = asyncio.Event()
    world.upstream.script = lambda _: Answer(
        fields=[HTML, CODED, FRESH], content=[coded[:20], gate, coded[20:]], is_chunked=True
    )
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(world.get(path=b"/%d" % number)) for number in range(12)]
        await turns(300)
        assert len(world.asked) == 12
        gate.set()
    assert [decoded(client.result()) for client in clients] == [BODY] * 12
    assert world.telemetry.counters["turned-for-one"] == 4


@pytest.mark.parametrize(
    ("patience", "alone"), [pytest.param(60, 0, id="and comes"), pytest.param(0.1, 4, id="and is too late")]
)
async def test_what_is_stored_is_decoded_in_its_turn_for_whoever_needs_it(world, monkeypatch, patience, alone):
    monkeypatch.setattr(making, "_PATIENCE", patience)
    world.upstream.script = lambda _: page(FRESH, CODED, body=gzip.compress(BODY))
    paths = [b"/%d" % number for number in range(12)]
    for path in paths:
        await world.get(GZIP, path=path)
    await world.settle()
    world.store.takes.clear()
    async with asyncio.TaskGroup() as group:
        # The second of each finds what the first has begun.
        clients = [group.create_task(world.get(path=path)) for path in paths for _ in range(2)]
        await turns(300)
        assert world.store.writers == 8
        while world.telemetry.counters["turned-for-one"] < 2 * alone:
            await asyncio.sleep(0.01)
        world.store.takes.set()
    assert [decoded(client.result()) for client in clients] == [BODY] * 24
    assert world.telemetry.counters["turned-for-one"] == 2 * alone
    await world.settle()
    assert [decoded(await world.get(path=path)) for path in paths] == [BODY] * 12


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({}, b"br, gzip, zstd", id="whatever a client takes"),
        pytest.param({"fields": [GZIP]}, b"br, gzip, zstd", id="or does not take"),
        pytest.param({"fields": [(b"range", b"bytes=0-1")]}, b"identity", id="a part is for all"),
        pytest.param({"fields": [GZIP], "method": b"POST"}, b"gzip", id="what is not stored is for one client"),
        pytest.param({"fields": [GZIP], "method": b"HEAD"}, b"br, gzip, zstd", id="HEAD as GET"),
    ],
)
async def test_what_the_origin_is_asked_for(world, asked, expected):
    fields = asked.pop("fields", [])
    await world.get(*fields, **asked)
    assert world.asked[0].fields.get(b"accept-encoding") == expected


async def test_of_what_is_not_stored_each_client_gets_the_coding_it_likes(world):
    world.upstream.script = lambda _: page((b"cache-control", b"no-store"))
    await world.get(GZIP)
    await world.get(GZIP)
    assert [each.fields.get(b"accept-encoding") for each in world.asked] == [b"br, gzip, zstd", b"gzip"]


@pytest.mark.parametrize("status", [200, 404])
async def test_what_is_passed_is_decoded_for_whom_cannot_take_it(world, status):
    fields = [HTML, CODED, (b"cache-control", b"private, no-transform")]
    world.upstream.script = lambda _: Answer(status, fields=fields, content=[gzip.compress(BODY)])
    got = await world.get()
    assert (got.status, got.field(b"content-encoding"), decoded(got)) == (status, None, BODY)
    assert got.responder.length is None
    assert "decode" in got.trace
    assert world.telemetry.counters["turned-for-one"] == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(BODY)[:-4], id="cut off"),
        pytest.param(BODY, id="not coded"),
        pytest.param(gzip.compress(bytes(40 << 20)), id="a bomb"),
    ],
)
@pytest.mark.parametrize("control", [b"max-age=60", b"no-store"])
async def test_what_cannot_be_decoded_never_ends_cleanly(world, content, control):
    world.upstream.script = lambda _: page((b"cache-control", control), CODED, body=content)
    for _ in range(2):
        got = await world.get()
        assert got.status == 502 or got.responder.is_aborted
        assert not (got.responder.is_finished and got.status == 200)
        assert got.record.detail == "origin-undecodable"
        await world.settle()
    assert codings(world) == []
    # Who takes it may have it: only the client finds out.
    assert (await world.get(GZIP)).content == content


async def test_only_the_owner_makes_what_is_stored():
    ring = Others()
    world = World(compression=RULES, ring=ring)
    world.upstream.script = lambda _: page()
    await world.get(GZIP)
    await world.settle()
    ring.is_there = True
    assert decoded(await world.get(GZIP)) == BODY, "what it has made is at hand"
    assert (await world.get(BR)).content == b"of its owner", "it is asked for what it has not"
    got = await world.get(BR)
    assert (got.field(b"content-encoding"), got.content) == (None, BODY), "once"
    assert codings(world) == [b"gzip"]
    assert len(ring.worker.requests) == 1


async def test_another_worker_decodes_what_its_client_cannot_take():
    ring = Others()
    world = World(compression=RULES, ring=ring)
    world.upstream.script = lambda _: page(FRESH, CODED, body=gzip.compress(BODY))
    await world.get(GZIP)
    await world.settle()
    ring.is_there = True
    assert (await world.get()).content == b"of its owner"
    for _ in range(2):
        assert decoded(await world.get()) == BODY
    assert codings(world) == []


async def test_without_compression_all_goes_out_as_it_came():
    world = World()
    world.upstream.script = lambda _: page(FRESH, CODED, body=BODY)
    got = await world.get()
    assert (got.field(b"content-encoding"), got.field(b"vary"), got.content) == (b"gzip", None, BODY)


async def test_head_is_answered_as_get_would_be(world):
    got = await world.head(BR)
    assert (got.field(b"content-encoding"), got.field(b"etag"), got.responder.length) == (b"br", b'W/"v1"', None)
    world.upstream.script = lambda _: page((b"cache-control", b"no-store"))
    got = await world.head(BR)
    assert (got.field(b"content-encoding"), got.field(b"vary"), got.responder.length) == (None, None, len(BODY))
    world.upstream.script = lambda _: page(FRESH, CODED)
    got = await world.head()
    assert (got.field(b"content-encoding"), got.responder.length) == (None, None)
    assert world.telemetry.codings == []
