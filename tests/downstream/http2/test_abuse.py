"""What wears a server out ends in GOAWAY, is counted, and takes little memory meanwhile (RFC 9113 §10.5)."""

import asyncio
import tracemalloc

import hpack
import pytest

from edge.downstream.http2.budgets import BUDGETS, Budgets, Kind
from edge.downstream.http2.faults import ConnectionFault
from edge.downstream.http2.frames import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, ErrorCode
from edge.policy.limits import Limits
from tests.downstream.http2.speaking import (
    GET,
    POST,
    block,
    continuation,
    data,
    frame,
    headers,
    ping,
    priority,
    priority_update,
    rst,
    settings,
    window_update,
)  # fmt: skip
from tests.downstream.talking import Hearing, saying

CALM = ErrorCode.ENHANCE_YOUR_CALM
MANY = range(1, 20_001, 2)


def indexed_bomb() -> bytes:
    """Return a block that puts a field of 4 KiB into the table and then names it over and over."""
    encoder = hpack.Encoder()
    return encoder.encode([*GET, (b"a", b"b" * 3900)], huffman=False) + b"\xbe" * 8000


FLOODS = [
    pytest.param(b"".join(headers(stream) + rst(stream) for stream in MANY), "reset-flood", id="rapid reset"),
    pytest.param(
        b"".join(headers(stream) + window_update(stream, 0) for stream in MANY), "reset-flood", id="made you reset"
    ),
    pytest.param(
        b"".join(headers(stream) + data(stream, b"x") for stream in MANY), "reset-flood", id="made you reset by DATA"
    ),
    pytest.param(b"".join(headers(stream, (b"A", b"")) for stream in MANY), "reset-flood", id="malformed requests"),
    pytest.param(
        b"".join(headers(stream, ends=False) for stream in MANY), "reset-flood", id="streams beyond those allowed"
    ),
    pytest.param(headers(1, ends=False) + rst(1) * 10_000, "reset-flood", id="resets of a stream that is closed"),
    pytest.param(
        frame(HEADERS, END_STREAM, 1) + continuation(1, b"", ends=False) * 10_000, "continuation-flood",
        id="CONTINUATION without end",
    ),
    pytest.param(
        frame(HEADERS, END_STREAM, 1, bytes(16384)) + frame(CONTINUATION, 0, 1, bytes(16384)) * 5, "continuation-flood",
        id="a header block that is too long",
    ),
    pytest.param(settings() * 10_000, "settings-flood", id="SETTINGS"),
    pytest.param(settings(*[(0x3, 1)] * 2000), "settings-flood", id="a SETTINGS with many settings"),
    pytest.param(settings((0x4, 1), (0x4, 2)) * 500, "settings-flood", id="an initial window that changes all the time"),
    pytest.param(ping() * 10_000, "ping-flood", id="PING"),
    pytest.param(ping(flags=1) * 10_000, "ping-flood", id="acknowledgements of PING"),
    pytest.param(priority(1) * 10_000, "priority-flood", id="PRIORITY"),
    pytest.param(priority_update(1, b"u=1") * 10_000, "priority-flood", id="PRIORITY_UPDATE"),
    pytest.param(frame(0x77, 0, 0) * 10_000, "unknown-flood", id="unknown frames"),
    pytest.param(headers(1, ends=False) + data(1) * 10_000, "empty-flood", id="DATA without content"),
    pytest.param(
        headers(1, ends=False) + frame(0, 8, 1, b"\x05" + bytes(5)) * 10_000, "empty-flood", id="DATA of padding alone"
    ),
    pytest.param(window_update(0, 1) * 10_000, "window-update-flood", id="WINDOW_UPDATE"),
    pytest.param(headers(1) + window_update(1, 1) * 20_000, "window-update-flood", id="content octet by octet"),
    pytest.param(
        frame(HEADERS, END_STREAM | END_HEADERS, 1, indexed_bomb()), "header-list-too-large", id="an HPACK bomb"
    ),
    pytest.param(
        frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*GET) + b"\x82" * 10_000), "header-list-too-large",
        id="an HPACK bomb of small fields",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "token"), FLOODS)
async def test_a_flood_ends_in_goaway_and_is_counted(speaking, sent, token):
    handler = Hearing()
    listener, port = await speaking.listener(handler)
    peer = await speaking.peer(port)
    await peer.greet()
    await peer.send(sent)
    assert await peer.goaway() == CALM
    assert peer.seen[-1].payload[8:] == token.encode()
    await peer.ended()
    assert f"http2-{token}" in speaking.counted
    assert listener.connections <= 1
    # What was begun for nothing is still work: no more of it than a client may have.
    handler.gate.set()
    assert len(handler.heard) <= 100


async def test_requests_in_progress_hold_so_many_fields_and_no_more(speaking):
    handler = Hearing()
    peer = await speaking.to(handler)
    large = [(b"x%d" % number, b"y" * 7000) for number in range(2)]
    for stream in range(1, 201, 2):
        await peer.send(headers(stream, *large))
    assert await peer.pong()
    refused = [stream for stream, answer in peer.answers.items() if answer.reset == ErrorCode.REFUSED_STREAM]
    # 640 KiB are those of 46.
    assert refused == [*range(93, 201, 2)]
    assert speaking.counted == ["http2-fields-held"] * len(refused)
    await peer.send(headers(201))
    handler.gate.set()
    assert (await peer.answer(201)).status == 200
    await peer.send(headers(203, *large))
    assert (await peer.answer(203)).status == 200


async def test_a_hundred_requests_with_large_cookies_are_all_taken(speaking):
    handler = Hearing()
    peer = await speaking.to(handler)
    for stream in range(1, 201, 2):
        await peer.send(headers(stream, (b"cookie", b"c" * 5000), (b"user-agent", b"u" * 500)))
    handler.gate.set()
    for stream in range(1, 201, 2):
        assert (await peer.answer(stream)).status == 200


async def test_an_answer_that_nobody_wants_any_more_counts_until_it_is_over(speaking):
    handler = Hearing()
    peer = await speaking.to(handler, Limits(streams=3))
    await peer.send(b"".join(headers(stream) + rst(stream) for stream in (1, 3, 5)))
    await peer.send(headers(7))
    assert (await peer.answer(7)).reset == ErrorCode.REFUSED_STREAM
    handler.gate.set()
    assert await peer.pong()
    assert await peer.pong()
    await peer.send(headers(9))
    assert (await peer.answer(9)).status == 200


async def test_an_answer_that_was_sent_does_not_count_though_work_is_left_but_for_as_many(speaking):
    over = asyncio.Event()

    async def handle(request, content, responder, client):
        await saying(200)(request, content, responder, client)
        await over.wait()

    peer = await speaking.to(handle, Limits(streams=3))
    for stream in (1, 3, 5, 7, 9, 11):
        await peer.send(headers(stream))
        assert (await peer.answer(stream)).status == 200
    await peer.send(headers(13))
    assert (await peer.answer(13)).reset == ErrorCode.REFUSED_STREAM
    over.set()
    assert await peer.pong()
    await peer.send(headers(15))
    assert (await peer.answer(15)).status == 200


async def test_what_a_client_does_not_read_is_not_made(speaking):
    """Heads have no window, so that a client that asks and never reads must not be asked for more."""
    asked = 0

    async def handle(request, content, responder, client):
        nonlocal asked
        asked += 1
        await saying(304, lines=[(b"a", b"b" * 4000)])(request, content, responder, client)

    listener, port = await speaking.listener(handle)
    peer = await speaking.peer(port, receive_buffer=4096)
    await peer.greet()
    stream = 1
    (connection,) = listener._connections
    while connection._is_reading and stream < 20_000:
        await peer.send(b"".join(headers(number) for number in range(stream, stream + 20, 2)))
        stream += 20
    assert connection._transport.get_write_buffer_size() < 1 << 20
    assert asked < 5000


@pytest.mark.parametrize(
    ("begin", "more", "times"),
    [
        pytest.param(headers(1, ends=False, request=POST), data(1, b"x") * 100, 600, id="content in single octets"),
        pytest.param(
            b"".join(headers(stream, ends=False, request=POST) for stream in range(1, 17, 2)),
            b"".join(data(stream, bytes(1023)) for stream in range(1, 17, 2)), 60, id="content nobody reads",
        ),
        pytest.param(
            b"".join(headers(stream, (b"x%d" % stream, b"y" * 400)) for stream in range(1, 201, 2)), b"", 0,
            id="requests with long fields",
        ),
    ],
)  # fmt: skip
async def test_a_connection_takes_less_than_a_mebibyte(speaking, begin, more, times):
    handler = Hearing()
    peer = await speaking.to(handler)
    assert await peer.pong()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await peer.send(begin)
        for _ in range(times):
            await peer.send(more)
        assert await peer.pong()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 1 << 20


class TestBudgets:
    @pytest.mark.parametrize("kind", Kind)
    def test_a_budget_is_full_at_first_and_fills_up_in_a_minute(self, kind):
        budgets = Budgets()
        for _ in range(BUDGETS[kind]):
            budgets.spend(kind, 100.0)
        with pytest.raises(ConnectionFault):
            budgets.spend(kind, 100.0)
        for _ in range(BUDGETS[kind]):
            budgets.spend(kind, 160.0)
        with pytest.raises(ConnectionFault):
            budgets.spend(kind, 160.0)

    def test_a_pace_that_a_budget_allows_goes_on_for_ever(self):
        budgets = Budgets()
        for second in range(1000):
            budgets.spend(Kind.PING, float(second))

    def test_window_updates_are_paid_for_by_what_is_sent(self):
        budgets = Budgets()
        for number in range(20_000):
            budgets.spend_window_update(number // 2, number * 100)
        for _ in range(1000 + 40_000 - 20_000):
            budgets.spend_window_update(10_000, 0)
        with pytest.raises(ConnectionFault):
            budgets.spend_window_update(10_000, 0)
