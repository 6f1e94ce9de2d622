"""A ready answer is what the full path would answer, octet for octet, or it is none."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.downstream.ready import Last, ReadyTable
from edge.downstream.response import Http1Responder
from edge.policy.profile import PROFILES
from edge.semantics.dates import format_date
from edge.tasks import cancel_all
from edge.testing.upstream import Answer
from tests.exchange.world import World
from tests.scenarios.histories import Wire, parsed, raw, rules, steps


class Node:
    """A driver and the table of ready answers before it."""

    def __init__(self, profile: str = "safe", *, is_on_disk: bool = False, **site) -> None:
        self.world = World(profile=PROFILES[profile], **site)
        self.world.store.holds = not is_on_disk
        self.told = []
        driver = self.world.driver
        self.table = ReadyTable(
            driver.prepared.find,
            lambda answer, request, client, _: self.told.append((answer, request, client)),
            self.world.clock,
            swept=driver.prepared.sweep,
        )

    def ready(self, raw: bytes) -> bytes | None:
        """Return what goes out without the full path, None when it must answer."""
        pieces = self.table.by_octets(raw, "192.0.2.1", Wire().date)
        if pieces is None:
            pieces = self.table.by_request(raw, parsed(raw), "192.0.2.1", Wire().date)
        return None if pieces is None else b"".join(pieces)

    async def full(self, raw: bytes) -> bytes:
        """Return what the full path writes."""
        return await self.asked(raw, may_be_prompt=False)

    async def asked(self, raw: bytes, *, may_be_prompt: bool = True) -> bytes:
        """Return what is written without a ready answer."""
        head, wire, over = parsed(raw), Wire(), asyncio.Event()
        responder = Http1Responder(wire, head.request, keep_alive=not head.wants_close)
        driver = self.world.driver
        may_be_prompt = may_be_prompt and not head.request.has_content
        if may_be_prompt and driver.begin(head.request, responder, "192.0.2.1", over.set):
            await over.wait()
        else:
            await driver.handle(head.request, None, responder, "192.0.2.1")
        await self.world.settle()
        return wire.written


@settings(max_examples=300)
@given(
    steps=steps, profile=st.sampled_from(["safe", "strict-rfc"]), x_cache=st.booleans(), strip=st.booleans(),
    compression=rules, is_on_disk=st.booleans(),
)  # fmt: skip
def test_a_ready_answer_is_what_the_full_path_answers(steps, profile, x_cache, strip, compression, is_on_disk) -> None:
    async def play() -> None:
        node = Node(profile, is_on_disk=is_on_disk, x_cache=x_cache, strip_cookies=strip, compression=compression)
        world = node.world
        for step in steps:
            match step:
                case ("get", path, lines):
                    octets = raw(path, *lines)
                    # So often that what the answers before prepare is asked for as well.
                    for _ in range(3 if is_on_disk else 2):
                        await node.asked(octets)
                        ready = node.ready(octets)
                        full = await node.full(octets)
                        assert ready in {None, full}
                case ("wait", seconds):
                    world.clock.advance(seconds)
                case ("answer", status, fields, size):
                    date = (b"date", format_date(world.clock.now()))
                    content = [b"x" * size] if size and status != 204 else []
                    answer = Answer(status, [date, *fields], content)
                    world.upstream.script = lambda _, answer=answer: answer
                case ("remove", path):
                    for stored in world.stored(path.partition(b"?")[0]):
                        await world.store.remove(stored.key)
                case ("post", path):
                    await world.get(method=b"POST", path=path)
                case ("sweep",):
                    node.table.sweep()
        await cancel_all()

    asyncio.run(play())


@pytest.fixture
def fresh() -> Answer:
    return Answer(fields=[(b"cache-control", b"max-age=60"), (b"etag", b'"v1"')], content=[b"hello"])


async def test_the_third_of_like_requests_needs_neither_parsing_nor_deciding(fresh: Answer) -> None:
    node = Node()
    node.world.upstream.answers(fresh)
    assert node.ready(raw()) is None
    await node.full(raw())
    assert node.ready(raw()) is None
    await node.full(raw())
    answer = node.ready(raw())
    assert answer is not None
    assert answer.endswith(b"\r\n\r\nhello")
    assert node.table.by_octets(raw(), "192.0.2.1", Wire().date) is not None
    assert [(told[1].method, told[2]) for told in node.told] == [(b"GET", "192.0.2.1")] * 2


async def test_what_lies_on_the_disk_is_ready_when_it_is_asked_for_once_more_and_read_each_time(fresh: Answer) -> None:
    node = Node(is_on_disk=True)
    node.world.upstream.answers(fresh)
    for _ in range(2):
        await node.asked(raw())
        assert node.ready(raw()) is None
    await node.asked(raw())
    for seconds in (0, 1, 0):
        node.world.clock.advance(seconds)
        assert node.ready(raw()) == await node.full(raw())
    (stored,) = node.world.stored()
    node.world.store.damaged.add(stored.generation)
    assert node.ready(raw()) is None
    node.world.store.damaged.clear()
    assert node.ready(raw()).endswith(b"hello")
    # Once it is in memory it is not read any more.
    node.world.store.holds = True
    node.world.clock.advance(1)
    assert node.ready(raw()).endswith(b"hello")
    node.world.store.is_slow = True
    assert node.ready(raw()).endswith(b"hello")
    node.world.store.holds = False
    node.world.store.forget_contents()
    node.table.sweep()
    assert node.ready(raw()) is None
    node.world.store.is_slow = False
    assert node.ready(raw()) == await node.full(raw())
    await node.world.store.remove(stored.key)
    assert node.ready(raw()) is None


async def test_long_fields_of_what_lies_on_the_disk_are_not_kept(fresh: Answer) -> None:
    node = Node(is_on_disk=True)
    node.world.upstream.answers(Answer(fields=[*fresh.fields, (b"x", b"y" * 4096)], content=[b"hello"]))
    for _ in range(5):
        await node.asked(raw())
        assert node.ready(raw()) is None


async def test_age_and_ttl_move_with_the_clock_until_the_lifetime_is_over(fresh: Answer) -> None:
    node = Node()
    node.world.upstream.answers(fresh)
    await node.full(raw())
    await node.full(raw())
    for seconds in (0, 1, 58.5):
        node.world.clock.advance(seconds)
        answer = node.ready(raw())
        assert answer is not None
        assert answer == await node.full(raw())
    assert b"Age: 59\r\n" in answer
    node.world.clock.advance(0.5)
    assert node.ready(raw()) is None


async def test_the_last_request_of_a_connection_is_told_so(fresh: Answer) -> None:
    node = Node()
    node.world.upstream.answers(fresh)
    await node.full(raw())
    await node.full(raw())
    last = raw(b"/", b"Connection: close")
    for seconds in (0, 1):
        node.world.clock.advance(seconds)
        answer = node.ready(last)
        assert answer == await node.full(last)
        assert b"\r\nConnection: close\r\n\r\nhello" in answer
        assert b"Connection" not in node.ready(raw())
    assert isinstance(node.table.by_octets(last, "192.0.2.1", Wire().date), Last)
    assert not isinstance(node.table.by_octets(raw(), "192.0.2.1", Wire().date), Last)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(raw(b"/", b"Range: bytes=0-1"), id="a range request is not plain"),
        pytest.param(raw(b"/", b"If-Match: *"), id="a request about what the origin has is not plain"),
        pytest.param(raw(b"/", b"If-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT"), id="a date decides by the clock"),
        pytest.param(raw(b"/", b"Cache-Control: no-cache"), id="a request with directives is not plain"),
        pytest.param(raw(method=b"HEAD"), id="HEAD is not plain"),
        pytest.param(raw(version=b"1.0"), id="HTTP/1.0 is not plain"),
        pytest.param(raw(b"/", b"Content-Length: 3"), id="a request with content is not plain"),
        pytest.param(raw(b"/b"), id="another key has another answer"),
        pytest.param(raw().replace(b"a.test", b"b.test"), id="another authority has none"),
    ],
)
async def test_what_is_not_plain_takes_the_full_path(octets: bytes, fresh: Answer) -> None:
    node = Node()
    node.world.upstream.answers(fresh)
    await node.full(raw())
    await node.full(raw())
    assert node.ready(raw()) is not None
    assert node.ready(octets) is None


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param(b'If-None-Match: "v0", W/"v1"', b"304", id="a client that has the content is told so"),
        pytest.param(b"If-None-Match: *", b"304", id="whatever the client has"),
        pytest.param(b'If-None-Match: "v2"', b"200", id="a client that has another content gets this one"),
        pytest.param(
            b"If-Modified-Since: Fri, 31 Dec 2021 00:00:00 GMT", b"304", id="the date that was given is known"
        ),
    ],
)
async def test_a_ready_answer_comes_with_its_304(line: bytes, status: bytes) -> None:
    node = Node()
    dated = (b"last-modified", b"Fri, 31 Dec 2021 00:00:00 GMT")
    node.world.upstream.answers(
        Answer(fields=[(b"cache-control", b"max-age=60"), (b"etag", b'"v1"'), dated], content=[b"hello"])
    )
    for _ in range(2):
        await node.full(raw())
    for seconds in (0, 1):
        node.world.clock.advance(seconds)
        answer = node.ready(raw(b"/", line))
        assert answer is not None
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer == await node.full(raw(b"/", line))
    assert node.ready(raw()).endswith(b"hello")
    recorded = node.told[0][0].record(node.told[0][1], "192.0.2.1", node.world.clock.now())
    assert (recorded.status, recorded.bytes_out) == (int(status), 5 if status == b"200" else 0)


async def test_a_removed_response_is_answered_no_longer(fresh: Answer) -> None:
    node = Node()
    node.world.upstream.answers(fresh, Answer(fields=[(b"cache-control", b"max-age=9")], content=[b"new"]))
    await node.full(raw())
    await node.full(raw())
    assert node.ready(raw()) is not None
    (stored,) = node.world.stored()
    await node.world.store.remove(stored.key)
    assert node.ready(raw()) is None
    assert (await node.full(raw())).endswith(b"new")


async def test_a_sweep_forgets_what_the_store_let_go_of(fresh: Answer) -> None:
    node = Node()
    node.world.upstream.answers(fresh)
    await node.full(raw())
    await node.full(raw())
    node.ready(raw())
    node.world.store.forget_memory()
    node.table.sweep()
    assert not node.table.heads
    assert node.world.driver.prepared.find(parsed(raw()).request) is None


async def test_no_more_heads_are_remembered_than_there_is_room_for(fresh: Answer) -> None:
    node = Node()
    node.world.upstream.script = lambda _: fresh
    for _ in range(2):
        await node.full(raw())
    for number in range(17000):
        assert node.ready(raw(b"/", b"X: %d" % number)) is not None
    assert node.table.heads == 16384
    assert node.ready(raw(b"/", b"X: " + b"y" * 4000)) is not None
    assert node.table.heads == 16384
