"""Whole exchanges through the `h2` library: the same answers as over HTTP/1.1."""

import asyncio
import os
import random
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response, may_have_content
from tests.downstream.talking import Client, Talking

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS"]


@dataclass(frozen=True)
class Exchange:
    """A request, and the answer that its handler gives."""

    method: bytes
    content: bytes | None
    lines: tuple[tuple[bytes, bytes], ...]
    status: int
    pieces: tuple[bytes, ...]
    is_length_known: bool


@dataclass
class Got:
    """What a client got."""

    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: bytes = b""
    is_whole: bool = False


EXCHANGES = st.lists(
    st.builds(
        Exchange,
        st.sampled_from(METHODS),
        st.none() | st.binary(max_size=40) | st.integers(0, 200_000).map(bytes),
        st.lists(st.sampled_from([(b"a", b"1"), (b"a", b"2"), (b"cookie", b"c=d"), (b"accept", b"*/*")]), max_size=3, unique=True).map(tuple),
        st.sampled_from([200, 404, 204, 304, 500]),
        st.lists(st.binary(max_size=40) | st.integers(0, 100_000).map(bytes), max_size=4).map(tuple),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


def handling(exchanges: list[Exchange]):
    async def handle(request, content, responder, _client):
        exchange = exchanges[int(request.target.path[1:])]
        received = b""
        while piece := await content.read():
            received += piece
        lines = [line for line in request.fields.lines if line[0] in {b"a", b"cookie", b"accept"}]
        lines.append((b"x-received", b"%d %s" % (len(received), request.method)))
        length = sum(map(len, exchange.pieces)) if exchange.is_length_known else None
        responder.start(Response(exchange.status, FieldSection(lines)), length)
        for piece in exchange.pieces:
            await responder.send(piece)
        responder.finish()

    return handle


async def over_http1(client: Client, exchanges: list[Exchange]) -> list[Got]:
    answers = []
    for number, exchange in enumerate(exchanges):
        lines = [b"%s /%d HTTP/1.1" % (exchange.method, number), b"Host: a.test"]
        lines += [b"%s: %s" % line for line in exchange.lines]
        if exchange.content is not None:
            lines.append(b"Content-Length: %d" % len(exchange.content))
        client.writer.write(b"\r\n".join([*lines, b"", b""]) + (exchange.content or b""))
        answer = await client.answer(exchange.method)
        answers.append(Got(answer.status, list(answer.fields.items()), answer.content, is_whole=True))
    return answers


async def over_http2(client: Client, exchanges: list[Exchange], random: random.Random) -> list[Got]:
    """Ask for all at once, through h2, with the content of all requests mixed."""
    reader, writer = client.reader, client.writer
    conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    conn.initiate_connection()
    conn.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: random.choice([1000, 65535, 1 << 20])})
    answers = {2 * number + 1: Got() for number in range(len(exchanges))}
    unsent: dict[int, bytes] = {}
    for number, exchange in enumerate(exchanges):
        lines = [
            (b":method", exchange.method),
            (b":scheme", b"http"),
            (b":authority", b"a.test"),
            (b":path", b"/%d" % number),
        ]
        conn.send_headers(2 * number + 1, [*lines, *exchange.lines], end_stream=exchange.content is None)
        if exchange.content is not None:
            unsent[2 * number + 1] = exchange.content
    while not all(answer.is_whole for answer in answers.values()):
        for stream in random.sample(sorted(unsent), len(unsent)):
            room = min(conn.local_flow_control_window(stream), conn.max_outbound_frame_size, random.randint(1, 20_000))
            piece, unsent[stream] = unsent[stream][:room], unsent[stream][room:]
            if room or not unsent[stream]:
                conn.send_data(stream, piece, end_stream=not unsent[stream])
            if not unsent[stream]:
                del unsent[stream]
        writer.write(conn.data_to_send())
        if unsent and any(conn.local_flow_control_window(stream) for stream in unsent):
            continue
        received = await reader.read(1 << 16)
        assert received, "the connection ended"
        for event in conn.receive_data(received):
            note(conn, answers, event)
        writer.write(conn.data_to_send())
    return list(answers.values())


def note(conn: h2.connection.H2Connection, answers: dict[int, Got], event: h2.events.Event) -> None:
    match event:
        case h2.events.ResponseReceived():
            answers[event.stream_id].status = int(event.headers[0][1])
            answers[event.stream_id].fields = [tuple(line) for line in event.headers[1:]]
        case h2.events.DataReceived():
            answers[event.stream_id].content += event.data
            conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        case h2.events.StreamEnded():
            answers[event.stream_id].is_whole = True
        case h2.events.StreamReset() | h2.events.ConnectionTerminated():
            raise AssertionError(event)


def comparable(got: Got) -> tuple:
    """Return what must be alike: all but framing and the time."""
    own = {b"date", b"connection", b"transfer-encoding", b"content-length"}
    # A client of HTTP/1.1 that keeps fields in a dictionary has the last of a name.
    return got.status, dict(line for line in got.fields if line[0] not in own), got.content, got.is_whole


@settings(max_examples=int(os.environ.get("FORELAND_HTTP2_EXAMPLES", "40")))
@given(EXCHANGES, st.randoms(use_true_random=False))
def test_the_answers_are_those_of_http1(exchanges, random):
    async def play() -> None:
        talking = Talking()
        try:
            _, port = await talking.listener(handling(exchanges), h2c=True)
            first = await over_http1(await talking.client(port), exchanges)
            second = await over_http2(await talking.client(port), exchanges, random)
        finally:
            await talking.close()
        assert [comparable(got) for got in second] == [comparable(got) for got in first]
        for exchange, got in zip(exchanges, second, strict=True):
            expected = b"".join(exchange.pieces) if may_have_content(exchange.method, exchange.status) else b""
            assert got.content == expected

    asyncio.run(play())
