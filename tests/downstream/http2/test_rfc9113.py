"""What a server does with each frame, by the sections of RFC 9113, RFC 7541 and RFC 9218."""

import pytest

from edge.downstream.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    ErrorCode,
)  # fmt: skip
from tests.downstream.http2.speaking import (
    GET,
    MARK,
    POST,
    block,
    continuation,
    data,
    frame,
    headers,
    only,
    ping,
    priority,
    priority_update,
    rst,
    settings,
    window_update,
)  # fmt: skip
from tests.downstream.talking import Hearing, hearing, saying

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, COMPRESSION_ERROR, CALM = (
    ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.STREAM_CLOSED, ErrorCode.FRAME_SIZE_ERROR,
    ErrorCode.REFUSED_STREAM, ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM,
)  # fmt: skip
NO_METHOD, NO_SCHEME, NO_AUTHORITY, NO_PATH = (GET[:at] + GET[at + 1 :] for at in range(4))


def get(*lines) -> bytes:
    return headers(1, *lines)


def with_path(path: bytes, method: bytes = b"GET") -> bytes:
    return only(1, (b":method", method), *GET[1:3], (b":path", path))


def with_authority(authority: bytes, *lines) -> bytes:
    return only(1, *GET[:2], (b":authority", authority), GET[3], *lines)


def post(*lines) -> bytes:
    return headers(1, *lines, ends=False, request=POST)


def padded(kind: int, flags: int, stream: int, payload: bytes, size: int) -> bytes:
    return frame(kind, flags | PADDED, stream, bytes([size]) + payload + bytes(size))


class TestConnectionErrors:
    """RFC 9113 §5.4.1: GOAWAY with the code, then the end of the connection."""

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            pytest.param(data(1, b"x", ends=True), PROTOCOL_ERROR, id="§5.1 idle: DATA"),
            pytest.param(rst(1), PROTOCOL_ERROR, id="§5.1 idle: RST_STREAM"),
            pytest.param(window_update(1, 1), PROTOCOL_ERROR, id="§5.1 idle: WINDOW_UPDATE"),
            pytest.param(continuation(1, b""), PROTOCOL_ERROR, id="§5.1 idle: CONTINUATION"),
            pytest.param(headers(2), PROTOCOL_ERROR, id="§5.1.1 an even stream"),
            pytest.param(headers(0), PROTOCOL_ERROR, id="§6.2 HEADERS on stream 0"),
            pytest.param(headers(5) + headers(3), PROTOCOL_ERROR, id="§5.1.1 a stream below the last one"),
            pytest.param(frame(0x20, 0, 1, bytes(16385)), FRAME_SIZE_ERROR, id="§4.2 an unknown frame above the largest size"),
            pytest.param(post() + frame(DATA, 0, 1, bytes(16385)), FRAME_SIZE_ERROR, id="§4.2 DATA above the largest size"),
            pytest.param(frame(HEADERS, 5, 1, bytes(16385)), FRAME_SIZE_ERROR, id="§4.2 HEADERS above the largest size"),
            pytest.param(frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff"), COMPRESSION_ERROR, id="§4.3 a block that cannot be decoded"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)) + headers(3), PROTOCOL_ERROR, id="§4.3 another stream's HEADERS within a block"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)) + priority(1), PROTOCOL_ERROR, id="§4.3 PRIORITY within a block"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)) + data(1), PROTOCOL_ERROR, id="§4.3 DATA within a block"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)) + frame(0x20, 0, 1), PROTOCOL_ERROR, id="§5.5 an unknown frame within a block"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)) + settings(), PROTOCOL_ERROR, id="§6.10 SETTINGS within a block"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)) + continuation(3, b""), PROTOCOL_ERROR, id="§6.10 CONTINUATION of another stream"),
            pytest.param(continuation(0, b""), PROTOCOL_ERROR, id="§6.10 CONTINUATION on stream 0"),
            pytest.param(get() + continuation(1, block(*GET)), PROTOCOL_ERROR, id="§6.10 CONTINUATION behind END_HEADERS"),
            pytest.param(data(0, b"x"), PROTOCOL_ERROR, id="§6.1 DATA on stream 0"),
            pytest.param(post() + frame(DATA, PADDED, 1, b"\x06hello"), PROTOCOL_ERROR, id="§6.1 padding as long as the payload"),
            pytest.param(post() + frame(DATA, PADDED, 1, b"\x07hello"), PROTOCOL_ERROR, id="§6.1 padding longer than the payload"),
            pytest.param(post() + frame(DATA, PADDED, 1), FRAME_SIZE_ERROR, id="§6.1 no room for the length of padding"),
            pytest.param(frame(HEADERS, 5 | PADDED, 1, b"\xff" + block(*GET)), PROTOCOL_ERROR, id="§6.2 padding longer than a block"),
            pytest.param(frame(HEADERS, 5 | PADDED, 1), FRAME_SIZE_ERROR, id="§6.2 no room for the length of padding"),
            pytest.param(frame(HEADERS, 5 | WITH_PRIORITY, 1, b"\0\0\0\0"), FRAME_SIZE_ERROR, id="§6.2 no room for the priority"),
            pytest.param(priority(0), PROTOCOL_ERROR, id="§6.3 PRIORITY on stream 0"),
            pytest.param(frame(PRIORITY, 0, 1, b"\0\0\0\0"), FRAME_SIZE_ERROR, id="§6.3 PRIORITY of four octets on an idle stream"),
            pytest.param(priority(1, 1), PROTOCOL_ERROR, id="§5.3.1 of RFC 7540: an idle stream that depends on itself"),
            pytest.param(rst(0), PROTOCOL_ERROR, id="§6.4 RST_STREAM on stream 0"),
            pytest.param(post() + frame(RST_STREAM, 0, 1, b"\0\0\0"), FRAME_SIZE_ERROR, id="§6.4 RST_STREAM of three octets"),
            pytest.param(post() + frame(RST_STREAM, 0, 1, bytes(5)), FRAME_SIZE_ERROR, id="§6.4 RST_STREAM of five octets"),
            pytest.param(frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR, id="§6.5 an acknowledgement with a payload"),
            pytest.param(frame(SETTINGS, 0, 1), PROTOCOL_ERROR, id="§6.5 SETTINGS on a stream"),
            pytest.param(frame(SETTINGS, ACK, 1), PROTOCOL_ERROR, id="§6.5 an acknowledgement on a stream"),
            pytest.param(frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR, id="§6.5 SETTINGS of five octets"),
            pytest.param(frame(SETTINGS, 0, 0, bytes(7)), FRAME_SIZE_ERROR, id="§6.5 SETTINGS of seven octets"),
            pytest.param(settings((0x2, 2)), PROTOCOL_ERROR, id="§6.5.2 ENABLE_PUSH of 2"),
            pytest.param(settings((0x4, 1 << 31)), FLOW_CONTROL_ERROR, id="§6.5.2 INITIAL_WINDOW_SIZE above the largest"),
            pytest.param(settings((0x5, 16383)), PROTOCOL_ERROR, id="§6.5.2 MAX_FRAME_SIZE below the least"),
            pytest.param(settings((0x5, 1 << 24)), PROTOCOL_ERROR, id="§6.5.2 MAX_FRAME_SIZE above the largest"),
            pytest.param(settings((0x9, 2)), PROTOCOL_ERROR, id="RFC 9218 §2.1 NO_RFC7540_PRIORITIES of 2"),
            pytest.param(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(*GET)), PROTOCOL_ERROR, id="§8.4 PUSH_PROMISE of a client"),
            pytest.param(frame(PING, 0, 1, MARK), PROTOCOL_ERROR, id="§6.7 PING on a stream"),
            pytest.param(frame(PING, 0, 0, MARK[:7]), FRAME_SIZE_ERROR, id="§6.7 PING of seven octets"),
            pytest.param(frame(PING, 0, 0, MARK + b"x"), FRAME_SIZE_ERROR, id="§6.7 PING of nine octets"),
            pytest.param(frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR, id="§6.8 GOAWAY on a stream"),
            pytest.param(frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE_ERROR, id="§6.8 GOAWAY of seven octets"),
            pytest.param(window_update(0, 0), PROTOCOL_ERROR, id="§6.9 an increment of 0 on the connection"),
            pytest.param(frame(WINDOW_UPDATE, 0, 0, bytes(3)), FRAME_SIZE_ERROR, id="§6.9 WINDOW_UPDATE of three octets"),
            pytest.param(frame(WINDOW_UPDATE, 0, 0, bytes(5)), FRAME_SIZE_ERROR, id="§6.9 WINDOW_UPDATE of five octets"),
            pytest.param(window_update(0, (1 << 31) - 1), FLOW_CONTROL_ERROR, id="§6.9.1 a connection window above the largest"),
            pytest.param(window_update(0, (1 << 31) - 1) * 2, FLOW_CONTROL_ERROR, id="§6.9.1 the same in two steps"),
            pytest.param(post() + window_update(1, 0x7FFF0000) + settings((0x4, 0x10_0000)), FLOW_CONTROL_ERROR, id="§6.9.2 a setting that makes a stream window too large"),
            pytest.param(frame(HEADERS, 5, 1, b"\x80"), COMPRESSION_ERROR, id="RFC 7541 §6.1 index 0"),
            pytest.param(frame(HEADERS, 5, 1, b"\xc6"), COMPRESSION_ERROR, id="RFC 7541 §2.3.3 an index beyond the table"),
            pytest.param(frame(HEADERS, 5, 1, b"\x7f\x07\x01x"), COMPRESSION_ERROR, id="RFC 7541 §2.3.3 a name's index beyond the table"),
            pytest.param(frame(HEADERS, 5, 1, b"\x82\x20"), COMPRESSION_ERROR, id="RFC 7541 §4.2 a size update behind a field"),
            pytest.param(frame(HEADERS, 5, 1, b"\x3f\xe2\x1f"), COMPRESSION_ERROR, id="RFC 7541 §6.3 a size update above the limit"),
            pytest.param(frame(HEADERS, 5, 1, b"\x00\x84\xff\xff\xff\xff\x01x"), COMPRESSION_ERROR, id="RFC 7541 §5.2 Huffman code with EOS"),
            pytest.param(frame(HEADERS, 5, 1, b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"), COMPRESSION_ERROR, id="RFC 7541 §5.2 padding longer than 7 bits"),
            pytest.param(frame(HEADERS, 5, 1, b"\x00\x01a\x81\x00"), COMPRESSION_ERROR, id="RFC 7541 §5.2 padding that is not of EOS"),
            pytest.param(frame(HEADERS, 5, 1, b"\x00\x05abc"), COMPRESSION_ERROR, id="RFC 7541 §5.2 a string beyond its block"),
            pytest.param(frame(HEADERS, 5, 1, b"\x00\x01a\x7f" + b"\xff" * 40 + b"\x01"), COMPRESSION_ERROR, id="RFC 7541 §5.1 an integer without end"),
            pytest.param(frame(PRIORITY_UPDATE, 0, 1, b"\0\0\0\1u=1"), PROTOCOL_ERROR, id="RFC 9218 §7.1 PRIORITY_UPDATE on a stream"),
            pytest.param(frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0"), FRAME_SIZE_ERROR, id="RFC 9218 §7.1 PRIORITY_UPDATE of three octets"),
            pytest.param(priority_update(0, b"u=1"), PROTOCOL_ERROR, id="RFC 9218 §7.1 PRIORITY_UPDATE for stream 0"),
            pytest.param(priority_update(2, b"u=1"), PROTOCOL_ERROR, id="RFC 9218 §7.1 PRIORITY_UPDATE for a push that never was"),
        ],
    )  # fmt: skip
    async def test_goaway(self, speaking, sent, code):
        peer = await speaking.to(hearing())
        await peer.send(sent)
        assert await peer.goaway() == code
        await peer.ended()
        assert f"http2-{code.name.lower().replace('_', '-')}" in speaking.counted

    async def test_a_stream_that_has_ended_on_both_sides_takes_no_more(self, speaking):
        for late in (headers(1), data(1, b"x")):
            peer = await speaking.to(hearing())
            await peer.send(get())
            assert (await peer.answer()).status == 200
            await peer.send(late)
            assert await peer.goaway() == STREAM_CLOSED

    async def test_content_beyond_the_connection_window(self, speaking):
        handler = Hearing()
        peer = await speaking.to(handler)
        size = 0
        for stream in range(1, 33, 2):
            await peer.send(headers(stream, ends=False, request=POST))
            for _ in range(4):
                await peer.send(data(stream, bytes(16383)))
                size += 16383
        assert size > 512 << 10
        assert await peer.goaway() == FLOW_CONTROL_ERROR


class TestStreamErrors:
    """RFC 9113 §5.4.2: RST_STREAM with the code, and the connection goes on."""

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            pytest.param(get() + data(1, b"x"), STREAM_CLOSED, id="§5.1 half-closed: DATA"),
            pytest.param(get() + headers(1), STREAM_CLOSED, id="§5.1 half-closed: HEADERS"),
            pytest.param(post() + rst(1) + data(1, b"x"), STREAM_CLOSED, id="§5.1 closed: DATA behind RST_STREAM"),
            pytest.param(post() + rst(1) + headers(1), STREAM_CLOSED, id="§5.1 closed: HEADERS behind RST_STREAM"),
            pytest.param(post() + frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR, id="§6.3 PRIORITY of four octets"),
            pytest.param(post() + frame(PRIORITY, 0, 1, bytes(6)), FRAME_SIZE_ERROR, id="§6.3 PRIORITY of six octets"),
            pytest.param(post() + priority(1, 1), PROTOCOL_ERROR, id="§5.3.1 of RFC 7540: PRIORITY on itself"),
            pytest.param(frame(HEADERS, 5 | WITH_PRIORITY, 1, b"\0\0\0\1\0" + block(*GET)), PROTOCOL_ERROR, id="§5.3.1 of RFC 7540: HEADERS that depend on themselves"),
            pytest.param(post() + window_update(1, 0), PROTOCOL_ERROR, id="§6.9 an increment of 0"),
            pytest.param(post() + window_update(1, (1 << 31) - 1), FLOW_CONTROL_ERROR, id="§6.9.1 a window above the largest"),
            pytest.param(post() + window_update(1, 0x7FFF0000) + window_update(1, 0x10000), FLOW_CONTROL_ERROR, id="§6.9.1 the same in two steps"),
            pytest.param(post() + data(1, bytes(16384)) * 4, FLOW_CONTROL_ERROR, id="§6.9.1 content beyond the window"),
            pytest.param(get((b"A", b"b")), PROTOCOL_ERROR, id="§8.2.1 upper case in a name"),
            pytest.param(get((b"", b"b")), PROTOCOL_ERROR, id="§8.2.1 an empty name"),
            pytest.param(get((b"a b", b"b")), PROTOCOL_ERROR, id="§8.2.1 a space in a name"),
            pytest.param(get((b"a\r\nb", b"b")), PROTOCOL_ERROR, id="§8.2.1 a line break in a name"),
            pytest.param(get((b"a:", b"b")), PROTOCOL_ERROR, id="§8.2.1 a colon in a name"),
            pytest.param(get((b"a\x7f", b"b")), PROTOCOL_ERROR, id="§8.2.1 DEL in a name"),
            pytest.param(get((b"a\x80", b"b")), PROTOCOL_ERROR, id="§8.2.1 an octet beyond ASCII in a name"),
            pytest.param(get((b"a", b"b\r\nTransfer-Encoding: chunked")), PROTOCOL_ERROR, id="§8.2.1 a line break in a value"),
            pytest.param(get((b"a", b"b\nc")), PROTOCOL_ERROR, id="§8.2.1 a line feed in a value"),
            pytest.param(get((b"a", b"b\rc")), PROTOCOL_ERROR, id="§8.2.1 a carriage return in a value"),
            pytest.param(get((b"a", b"b\0c")), PROTOCOL_ERROR, id="§8.2.1 NUL in a value"),
            pytest.param(get((b"a", b" b")), PROTOCOL_ERROR, id="§8.2.1 a space before a value"),
            pytest.param(get((b"a", b"b\t")), PROTOCOL_ERROR, id="§8.2.1 a tab behind a value"),
            pytest.param(get((b"connection", b"x")), PROTOCOL_ERROR, id="§8.2.2 Connection"),
            pytest.param(get((b"keep-alive", b"x")), PROTOCOL_ERROR, id="§8.2.2 Keep-Alive"),
            pytest.param(get((b"proxy-connection", b"x")), PROTOCOL_ERROR, id="§8.2.2 Proxy-Connection"),
            pytest.param(get((b"transfer-encoding", b"chunked")), PROTOCOL_ERROR, id="§8.2.2 Transfer-Encoding"),
            pytest.param(get((b"upgrade", b"h2c")), PROTOCOL_ERROR, id="§8.2.2 Upgrade"),
            pytest.param(get((b"http2-settings", b"")), PROTOCOL_ERROR, id="§8.2.2 HTTP2-Settings"),
            pytest.param(get((b"te", b"gzip")), PROTOCOL_ERROR, id="§8.2.2 TE other than trailers"),
            pytest.param(get((b"te", b"trailers, deflate;q=0.5")), PROTOCOL_ERROR, id="§8.2.2 TE with more than trailers"),
            pytest.param(only(1, *GET, (b":foo", b"x")), PROTOCOL_ERROR, id="§8.3 an unknown pseudo-header field"),
            pytest.param(only(1, *GET, (b":protocol", b"websocket")), PROTOCOL_ERROR, id="RFC 8441 §3 :protocol without the setting"),
            pytest.param(only(1, *GET, (b":status", b"200")), PROTOCOL_ERROR, id="§8.3 a response's in a request"),
            pytest.param(only(1, *GET[:3], (b"a", b"b"), GET[3]), PROTOCOL_ERROR, id="§8.3 one behind a field"),
            pytest.param(only(1, *GET, GET[0]), PROTOCOL_ERROR, id="§8.3.1 :method twice"),
            pytest.param(only(1, *GET, GET[1]), PROTOCOL_ERROR, id="§8.3.1 :scheme twice"),
            pytest.param(only(1, *GET, GET[2]), PROTOCOL_ERROR, id="§8.3.1 :authority twice"),
            pytest.param(only(1, *GET, GET[3]), PROTOCOL_ERROR, id="§8.3.1 :path twice"),
            pytest.param(only(1, *NO_METHOD), PROTOCOL_ERROR, id="§8.3.1 no :method"),
            pytest.param(only(1, *NO_SCHEME), PROTOCOL_ERROR, id="§8.3.1 no :scheme"),
            pytest.param(only(1, *NO_PATH), PROTOCOL_ERROR, id="§8.3.1 no :path"),
            pytest.param(only(1), PROTOCOL_ERROR, id="§8.3.1 nothing at all"),
            pytest.param(with_path(b""), PROTOCOL_ERROR, id="§8.3.1 an empty :path"),
            pytest.param(with_path(b"hello"), PROTOCOL_ERROR, id="§8.3.1 a :path without a slash"),
            pytest.param(with_path(b"http://b.test/"), PROTOCOL_ERROR, id="§8.3.1 an absolute :path"),
            pytest.param(with_path(b"/x HTTP/1.1\r\nX:"), PROTOCOL_ERROR, id="§8.3.1 a line break in :path"),
            pytest.param(with_path(b"/", method=b"G T"), PROTOCOL_ERROR, id="§8.3.1 a :method that is no token"),
            pytest.param(with_authority(b"a.test", (b"host", b"b.test")), PROTOCOL_ERROR, id="§8.3.1 Host beside another :authority"),
            pytest.param(with_authority(b"a.test", (b"host", b"a.test"), (b"host", b"a.test")), PROTOCOL_ERROR, id="§8.3.1 two Host"),
            pytest.param(only(1, (b":method", b"CONNECT"), *GET[1:]), PROTOCOL_ERROR, id="§8.5 CONNECT with :path"),
            pytest.param(post((b"content-length", b"1")) + data(1, ends=True), PROTOCOL_ERROR, id="§8.1.1 less content than announced"),
            pytest.param(post((b"content-length", b"1")) + data(1, b"AGET /FAIL HTTP/1.1\r\n\r\n", ends=True), PROTOCOL_ERROR, id="§8.1.1 more content than announced"),
            pytest.param(post((b"content-length", b"1")) + data(1, b"AG"), PROTOCOL_ERROR, id="§8.1.1 more content, before its end"),
            pytest.param(post((b"content-length", b"1")) + data(1, b"A") + data(1, b"G"), PROTOCOL_ERROR, id="§8.1.1 more content in another frame"),
            pytest.param(post((b"content-length", b"2")) + data(1, b"A") + only(1), PROTOCOL_ERROR, id="§8.1.1 less content, before trailers"),
            pytest.param(headers(1, (b"content-length", b"1"), request=POST), PROTOCOL_ERROR, id="§8.1.1 announced, and none"),
            pytest.param(post((b"content-length", b"1"), (b"content-length", b"1")), PROTOCOL_ERROR, id="§8.1.1 announced twice"),
            pytest.param(post((b"content-length", b"+1")), PROTOCOL_ERROR, id="§8.1.1 announced as no number"),
            pytest.param(post() + only(1, (b"a", b"b"), ends=False), PROTOCOL_ERROR, id="§8.1 trailers that do not end the stream"),
            pytest.param(post() + only(1, (b":path", b"/")), PROTOCOL_ERROR, id="§8.1 a pseudo-header field in trailers"),
            pytest.param(post() + only(1, (b"A", b"b")), PROTOCOL_ERROR, id="§8.2.1 upper case in trailers"),
            pytest.param(post() + only(1, (b"connection", b"b")), PROTOCOL_ERROR, id="§8.2.2 Connection in trailers"),
        ],
    )  # fmt: skip
    async def test_reset(self, speaking, sent, code):
        # Answers must not come before the error.
        peer = await speaking.to(Hearing())
        await peer.send(sent)
        assert (await peer.answer()).reset == code
        assert await peer.pong()
        assert not peer.of(GOAWAY)

    async def test_one_stream_too_many_is_refused(self, speaking):
        handler = Hearing()
        peer = await speaking.to(handler)
        await peer.send(b"".join(headers(stream) for stream in range(1, 203, 2)))
        assert (await peer.answer(201)).reset == REFUSED_STREAM
        handler.gate.set()
        for stream in range(1, 201, 2):
            assert (await peer.answer(stream)).status == 200
        await peer.send(headers(203))
        assert (await peer.answer(203)).status == 200


class TestAccepted:
    """What is answered, and what is ignored."""

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(get(), id="§8.1 a request"),
            pytest.param(headers(1, ends=False) + data(1, ends=True), id="§8.1 its end in an empty DATA"),
            pytest.param(headers(1, ends=False) + only(1, (b"a", b"b")), id="§8.1 its end in trailers"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)) + continuation(1, b""), id="§6.10 CONTINUATION"),
            pytest.param(frame(HEADERS, END_STREAM, 1) + b"".join(continuation(1, block(line), ends=False) for line in GET) + continuation(1, b""), id="§6.10 several CONTINUATION"),
            pytest.param(frame(HEADERS, END_STREAM, 1, block(*GET)[:9]) + continuation(1, block(*GET)[9:]), id="§6.10 a field in two frames"),
            pytest.param(padded(HEADERS, 5, 1, block(*GET), 200), id="§6.2 padding"),
            pytest.param(padded(HEADERS, 5, 1, block(*GET), 0), id="§6.2 padding of no octets"),
            pytest.param(frame(HEADERS, 5 | WITH_PRIORITY, 1, b"\x80\0\0\x03\xff" + block(*GET)), id="§6.2 priority"),
            pytest.param(padded(HEADERS, 5 | WITH_PRIORITY, 1, bytes(5) + block(*GET), 9), id="§6.2 padding and priority"),
            pytest.param(headers(1, ends=False) + padded(DATA, END_STREAM, 1, b"", 9), id="§6.1 nothing but padding"),
            pytest.param(headers(1, ends=False) + padded(DATA, 0, 1, b"x", 255) * 300 + data(1, ends=True), id="§6.9.1 room taken by padding is given back"),
            pytest.param(frame(HEADERS, 0xFF & ~WITH_PRIORITY & ~PADDED, 1, block(*GET)), id="§4.1 flags that mean nothing"),
            pytest.param(frame(HEADERS, 5, 1 | 1 << 31, block(*GET)), id="§4.1 the reserved bit"),
            pytest.param(priority(1) + get(), id="§5.1 idle: PRIORITY"),
            pytest.param(priority(7, 1) + get() + priority(1), id="§5.3 PRIORITY means nothing"),
            pytest.param(frame(0x20, 0xFF, 1, b"?") + get() + frame(0xFF, 0, 0), id="§5.5 unknown frames"),
            pytest.param(settings((0x99, 7)) + get(), id="§6.5.2 an unknown setting"),
            pytest.param(settings((0x1, 0), (0x2, 0), (0x3, 0), (0x4, 0x7FFFFFFF), (0x5, 0xFFFFFF), (0x6, 0), (0x9, 1)) + get(), id="§6.5.2 settings at their limits"),
            pytest.param(ping(flags=ACK) + get(), id="§6.7 an acknowledgement nobody asked for"),
            pytest.param(window_update(0, 0x7FFF0000) + get(), id="§6.9.1 a connection window at its limit"),
            pytest.param(post() + rst(1) + window_update(1, 1) + headers(3), id="§5.1 closed: WINDOW_UPDATE behind RST_STREAM"),
            pytest.param(post() + rst(1) + rst(1) + priority(1) + headers(3), id="§5.1 closed: RST_STREAM and PRIORITY"),
            pytest.param(get((b"te", b"trailers")), id="§8.2.2 TE of trailers"),
            pytest.param(with_authority(b"a.test", (b"host", b"A.test:80")), id="§8.3.1 Host that says the same"),
            pytest.param(only(1, *NO_AUTHORITY, (b"host", b"a.test")), id="§8.3.1 Host alone"),
            pytest.param(with_path(b"*", method=b"OPTIONS"), id="§8.3.1 OPTIONS for the server"),
            pytest.param(get((b"expect", b"100-continue")), id="§8.1 nothing to continue with"),
            pytest.param(headers(1, (b"content-length", b"0")), id="§8.1.1 no content announced"),
            pytest.param(post((b"content-length", b"5")) + data(1, b"he") + data(1, b"llo", ends=True), id="§8.1.1 as much as announced"),
            pytest.param(post((b"content-length", b"5")) + padded(DATA, END_STREAM, 1, b"hello", 7), id="§8.1.1 padding is no content"),
            pytest.param(frame(HEADERS, 5, 1, b"\x20" + block(*GET)), id="RFC 7541 §6.3 a size update"),
            pytest.param(frame(HEADERS, 5, 1, b"\x20\x3f\xe1\x1f" + block(*GET)), id="RFC 7541 §4.2 two size updates"),
            pytest.param(frame(HEADERS, 5, 1, b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"), id="RFC 7541 C.4.1 indexed fields and Huffman code"),
            pytest.param(frame(HEADERS, 5, 1, b"\x82\x86\x84\x11\x06a.test"), id="RFC 7541 §6.2.3 a field never indexed"),
            pytest.param(priority_update(1, b"u=0, i") + get() + priority_update(1, b"u=7"), id="RFC 9218 §7.1 PRIORITY_UPDATE"),
            pytest.param(priority_update(1, b"=?=") + get(), id="RFC 9218 §7.1 a value that cannot be read"),
            pytest.param(get((b"priority", b"u=9, i=1")), id="RFC 9218 §4 a priority out of range"),
        ],
    )  # fmt: skip
    async def test_it_is_answered(self, speaking, sent):
        peer = await speaking.to(hearing())
        await peer.send(sent)
        stream = 3 if headers(3) in sent else 1
        answer = await peer.answer(stream)
        assert (answer.status, answer.is_whole) == (200, True)
        assert await peer.pong()
        assert not peer.of(GOAWAY)

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            pytest.param(only(1, (b":method", b"CONNECT"), (b":authority", b"a.test:443")), 405, id="§8.5 CONNECT"),
            pytest.param(with_path(b"/", method=b"FOO"), 501, id="a method nobody knows"),
            pytest.param(with_path(b"*"), 400, id="§8.3.1 an asterisk without OPTIONS"),
            pytest.param(with_path(b"/x y"), 400, id="§8.3.1 a space in :path"),
            pytest.param(with_path(b"/" + b"a" * (8 << 10)), 414, id="a :path that is too long"),
            pytest.param(only(1, *NO_AUTHORITY), 400, id="§8.3.1 nobody to ask"),
            pytest.param(with_authority(b""), 400, id="§8.3.1 an empty :authority"),
            pytest.param(with_authority(b"me@a.test"), 400, id="§8.3.1 userinfo in :authority"),
            pytest.param(with_authority(b"a.test:x"), 400, id="§8.3.1 a port that is none"),
            pytest.param(only(1, GET[0], (b":scheme", b"ftp"), *GET[2:]), 400, id="§8.3.1 another scheme"),
            pytest.param(get((b"expect", b"the-moon")), 417, id="an expectation nobody meets"),
            pytest.param(get((b"range", b"bytes=0-1"), (b"range", b"bytes=2-3")), 400, id="a singleton twice"),
            pytest.param(get(*[(b"a", b"b")] * 101), 431, id="too many fields"),
            pytest.param(get(*[(b"cookie", b"a=b")] * 101), 431, id="too many crumbs"),
            pytest.param(get((b"a", b"b" * (8 << 10))), 431, id="a field that is too long"),
            pytest.param(b"".join([frame(HEADERS, END_STREAM, 1, block(*GET)), *[continuation(1, block((b"a", b"b" * 8000)), ends=False)] * 4, continuation(1, block((b"a", b"b" * 8000)))]), 431, id="a field section that is too long"),
            pytest.param(post((b"expect", b"the-moon")), 417, id="an expectation nobody meets, and no content yet"),
        ],
    )  # fmt: skip
    async def test_it_is_answered_with_an_error(self, speaking, sent, status):
        peer = await speaking.to(hearing())
        await peer.send(sent)
        answer = await peer.answer()
        assert (answer.status, answer.is_whole) == (status, True)
        assert await peer.pong()
        assert not peer.of(GOAWAY)

    async def test_trailers_are_dropped(self, speaking):
        handler = hearing()
        peer = await speaking.to(handler)
        await peer.send(post() + data(1, b"hello") + only(1, (b"a", b"b")))
        assert (await peer.answer()).content == b"POST / hello"
        ((request, content, error),) = handler.heard
        assert (b"a" in request.fields, content, error) == (False, b"hello", None)

    async def test_trailers_have_the_limits_of_fields(self, speaking):
        peer = await speaking.to(hearing())
        await peer.send(post() + data(1, b"hello") + only(1, *[(b"a", b"b")] * 105))
        assert (await peer.answer()).status == 431
        assert await peer.pong()

    async def test_crumbs_are_joined(self, speaking):
        handler = hearing()
        peer = await speaking.to(handler)
        await peer.send(get((b"cookie", b"a=b"), (b"x", b"1"), (b"cookie", b"c=d")))
        assert (await peer.answer()).status == 200
        request = handler.heard[0][0]
        assert request.fields.lines == ((b"host", b"a.test"), (b"x", b"1"), (b"cookie", b"a=b; c=d"))
        assert (request.version, request.target.uri) == ((2, 0), b"http://a.test/")


class TestPreface:
    """RFC 9113 §3.4."""

    async def test_settings_come_first(self, speaking):
        _, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.send(PREFACE + settings() + get())
        assert (await peer.answer()).status == 200
        assert [got.kind for got in peer.seen[:3]] == [SETTINGS, WINDOW_UPDATE, SETTINGS]
        assert peer.seen[2].flags == ACK

    async def test_octet_by_octet(self, speaking):
        _, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        for octet in PREFACE + settings() + get():
            await peer.send(bytes([octet]))
        assert (await peer.answer()).status == 200

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(get(), id="HEADERS before SETTINGS"),
            pytest.param(ping(), id="PING before SETTINGS"),
            pytest.param(frame(0x20, 0, 0), id="an unknown frame before SETTINGS"),
        ],
    )
    async def test_what_is_no_preface(self, speaking, sent):
        _, port = await speaking.listener(hearing())
        peer = await speaking.peer(port)
        await peer.send(PREFACE + sent)
        assert await peer.goaway() == PROTOCOL_ERROR
        assert peer.seen[0].kind == SETTINGS

    async def test_another_protocol_is_another(self, speaking):
        _, port = await speaking.listener(saying())
        for sent in (
            b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx",
        ):
            peer = await speaking.peer(port)
            await peer.send(sent)
            assert (await peer.reader.read()).startswith(b"HTTP/1.1 ")
