"""TLS as clients meet it, on real sockets: the handshake, the way of the octets, and the ways to end."""

import _ssl
import asyncio
import ctypes
import gc
import random
import ssl
import tracemalloc
from contextlib import suppress

import pytest

import edge.downstream.tls
from edge.downstream.tls import BROKEN
from edge.downstream.tls_handshake import Handshake
from edge.policy.limits import Limits
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response
from tests.downstream.certificates import Secure, issue, trusting
from tests.downstream.talking import Hearing, hearing, say, saying

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
HEAD_END = b"\r\n\r\n"


@pytest.fixture
def a_test(tmp_path):
    return issue(tmp_path, "a.test")


def peek(client, name):
    return client.writer.get_extra_info("ssl_object").__getattribute__(name)()


class TestHandshake:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_both_versions_are_spoken_and_requests_are_https(self, talking, a_test, version):
        handler = hearing()
        secure = await Secure.start(talking, a_test, handle=handler)
        client = await secure.client(context=trusting(maximum_version=version))
        await client.send(GET)
        assert (await client.answer()).content == b"GET / "
        assert handler.heard[0][0].target.scheme == b"https"
        assert secure.counted == {Handshake.FULL: 1}
        # The client would rather have it with 256 bits.
        name, _, bits = peek(client, "cipher")
        assert ("GCM" in name, bits) == (True, 128)

    async def test_http_1_1_is_negotiated(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        context = trusting()
        context.set_alpn_protocols(["h3", "http/1.1"])
        client = await secure.client(context=context)
        assert peek(client, "selected_alpn_protocol") == "http/1.1"

    async def test_what_comes_with_the_end_of_the_handshake_is_read(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        client = await secure.client()
        await client.send(GET[:5], GET[5:] + GET)
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]

    async def test_one_octet_at_a_time_is_enough(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="a.test")
        sent = False
        answer = b""
        while HEAD_END not in answer:
            try:
                if not sent:
                    tls.do_handshake()
                    tls.write(GET)
                    sent = True
                else:
                    answer += tls.read()
            except ssl.SSLWantReadError:
                pass
            for octet in outgoing.read():
                await client.send(bytes([octet]))
            if HEAD_END not in answer and not incoming.pending:
                incoming.write(await client.reader.read(1))
        assert answer.startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        ("choices", "reason", "counted"),
        [
            pytest.param({"name": "b.test"}, "UNRECOGNIZED_NAME", Handshake.UNKNOWN_NAME, id="an unknown name"),
            pytest.param({"ciphers": "AES128-SHA"}, "HANDSHAKE_FAILURE", Handshake.NOTHING_SHARED, id="a weak cipher"),
        ],
    )
    async def test_who_is_refused_is_told_why(self, talking, a_test, choices, reason, counted):
        secure = await Secure.start(talking, a_test)
        context = trusting()
        if "ciphers" in choices:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(choices["ciphers"])
        with pytest.raises(ssl.SSLError, match=reason):
            await secure.client(choices.get("name", "a.test"), context)
        assert secure.counted == {counted: 1}

    async def test_a_client_that_does_not_trust_us_is_counted(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        with pytest.raises(ssl.SSLCertVerificationError):
            await secure.client(context=ssl.create_default_context())
        await emptied(secure)
        assert secure.counted.total() == 1

    @pytest.mark.parametrize("sent", [GET, b"get"], ids=["a request", "a word"])
    async def test_plain_http_is_told_to_come_by_https(self, talking, a_test, sent):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        await client.send(sent)
        answer = await client.answer()
        assert (answer.status, answer.closes, b"https://" in answer.content) == (400, True, True)
        assert await client.ended() == b""
        assert secure.counted == {Handshake.NOT_TLS: 1}

    async def test_what_is_neither_is_not_answered(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        await client.send(b"\x00" * 100)
        assert await client.ended() == b""
        assert secure.counted == {Handshake.NOT_TLS: 1}

    @pytest.mark.parametrize(
        "hello",
        [
            pytest.param(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", id="an empty ClientHello"),
            pytest.param(b"\x16\x03\x01\xff\xff" + b"\x00" * 40_000, id="a record that is too long"),
        ],
    )
    async def test_what_only_begins_like_tls_gets_an_alert(self, talking, a_test, hello):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        await client.send(hello)
        assert (await client.ended())[:1] == b"\x15"
        assert secure.counted == {Handshake.MALFORMED: 1}

    async def test_a_name_that_is_not_ascii_is_refused_without_a_trace(self, talking, a_test, capsys):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="a.test")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        await client.send(outgoing.read().replace(b"a.test", b"\xe4.test"))
        assert (await client.ended())[:1] == b"\x15"
        gc.collect()
        assert capsys.readouterr().err == ""
        assert secure.counted == {Handshake.UNKNOWN_NAME: 1}

    async def test_damaged_handshakes_do_no_harm(self, talking, a_test, caplog):
        secure = await Secure.start(talking, a_test)
        chance, context = random.Random(1), trusting()
        for _ in range(200):
            outgoing = ssl.MemoryBIO()
            tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.test")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            hello = bytearray(outgoing.read())
            for _ in range(chance.randrange(1, 8)):
                hello[chance.randrange(len(hello))] = chance.randrange(256)
            client = await secure.plain()
            await client.send(bytes(hello))
            client.writer.write_eof()
            await client.ended()
        await emptied(secure)
        assert secure.counted.total() == 200
        assert caplog.records == []


class TestLimits:
    @pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"], ids=["nothing", "a part of a record"])
    async def test_who_stalls_is_given_up(self, talking, a_test, sent):
        secure = await Secure.start(talking, a_test, limits=Limits(handshake_timeout=0.01))
        client = await secure.plain()
        await client.send(sent)
        assert await client.ended() == b""
        await emptied(secure)
        assert secure.counted == {Handshake.TIMEOUT: 1}

    async def test_the_oldest_of_too_many_gives_way_and_an_honest_client_is_served(self, talking, a_test):
        secure = await Secure.start(talking, a_test, limits=Limits(handshakes=2))
        stalled = [await secure.plain() for _ in range(2)]
        for client in stalled:
            await client.send(b"\x16")
        client = await secure.client()
        await client.send(GET)
        assert (await client.answer()).status == 200
        assert await stalled[0].ended() == b""
        assert secure.counted == {Handshake.GIVEN_UP: 1, Handshake.FULL: 1}
        assert not stalled[1].reader.at_eof()

    async def test_connections_are_limited_handshakes_included(self, talking, a_test):
        secure = await Secure.start(talking, a_test, limits=Limits(connections=2))
        first = await secure.client()
        stalled = await secure.plain()
        await stalled.send(b"\x16")
        late = await secure.plain()
        assert await late.ended() == b""
        assert secure.counted == {Handshake.FULL: 1, Handshake.GIVEN_UP: 1}
        await first.send(GET)
        assert (await first.answer()).status == 200

    async def test_who_leaves_within_a_handshake_is_forgotten(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        await client.send(b"\x16")
        client.writer.close()
        await emptied(secure)
        assert secure.counted == {Handshake.CLIENT_CLOSED: 1}

    @pytest.mark.parametrize("times", [30, 1000], ids=["a few times", "without end"])
    async def test_who_asks_for_new_keys_is_served_unless_it_does_nothing_else(self, talking, a_test, times):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="a.test")
        await shake_hands(client, tls, incoming, outgoing)
        asked = key_updates(tls, outgoing, times)
        tls.write(GET)
        await client.send(asked + outgoing.read())
        client.writer.write_eof()
        incoming.write(await client.ended())
        incoming.write_eof()
        answer = b""
        with suppress(ssl.SSLError):
            answer = tls.read()
        assert answer.startswith(b"HTTP/1.1 200 ") == (times == 30)
        assert secure.counted == {Handshake.FULL: 1} | ({} if times == 30 else {BROKEN: 1})


class TestOctets:
    async def test_a_long_answer_arrives_whole_at_a_slow_client(self, talking, a_test):
        content = bytes(range(256)) * 16384

        async def handle(_request, _content, responder, _client):
            await say(responder, 200, content)

        secure = await Secure.start(talking, a_test, handle=handle)
        client = await secure.client(receive_buffer=4096)
        await client.send(GET)
        assert (await client.answer()).content == content

    async def test_what_a_slow_client_does_not_take_waits_as_it_was_given(self, talking, a_test):
        content = bytes(1 << 24)
        secure = await Secure.start(talking, a_test, handle=saying(200, content))
        clients = [await secure.client(receive_buffer=4096) for _ in range(10)]
        ours = tracemalloc.Filter(True, edge.downstream.tls.__file__)
        tracemalloc.start()
        try:
            for client in clients:
                await client.send(GET)
                await client.head()
            held = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ours]).traces)
        finally:
            tracemalloc.stop()
        assert held < len(clients) << 20

    async def test_request_content_arrives_whole_when_it_is_read_late(self, talking, a_test):
        handler = Hearing()
        secure = await Secure.start(talking, a_test, handle=handler)
        client = await secure.client()
        content = bytes(range(256)) * 4096
        head = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(content)
        client.writer.write(head + content)
        await handler.began.wait()
        handler.gate.set()
        await client.writer.drain()
        assert (await client.answer()).status == 200
        assert handler.heard[0][1] == content

    async def test_a_record_that_was_tampered_with_resets_the_connection(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        client = await secure.plain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="a.test")
        await shake_hands(client, tls, incoming, outgoing)
        tls.write(GET)
        sent = bytearray(outgoing.read())
        sent[-1] ^= 1
        await client.send(bytes(sent))
        await client.ended()
        assert secure.counted == {Handshake.FULL: 1, BROKEN: 1}


class TestEnding:
    async def test_an_answer_without_length_ends_with_close_notify(self, talking, a_test):
        async def handle(_request, _content, responder, _client):
            responder.start(Response(200, FieldSection([])), None)
            await responder.send(b"all of it")
            responder.finish()

        secure = await Secure.start(talking, a_test, handle=handle)
        context = trusting()
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        client = await secure.client(context=context)
        await client.send(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        assert (await client.answer()).content == b"all of it"

    async def test_an_answer_that_is_cut_short_does_not(self, talking, a_test):
        async def handle(_request, _content, responder, _client):
            responder.start(Response(200, FieldSection([])), 100)
            await responder.send(b"a part")
            responder.abort()

        secure = await Secure.start(talking, a_test, handle=handle)
        client = await secure.client()
        await client.send(GET)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.answer()

    async def test_an_early_answer_is_read_although_the_content_is_not(self, talking, a_test):
        secure = await Secure.start(talking, a_test, handle=saying(413, b"too large"))
        client = await secure.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 100_000)
        assert (await client.answer()).content == b"too large"
        assert await client.rest() == b""

    async def test_a_client_that_says_goodbye_after_its_request_has_its_answer(self, talking, a_test):
        handler = Hearing()
        secure = await Secure.start(talking, a_test, handle=handler)
        client = await secure.plain()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="a.test")
        await shake_hands(client, tls, incoming, outgoing)
        tls.write(GET)
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        await client.send(outgoing.read())
        await handler.began.wait()
        # After close_notify nothing counts any more.
        await client.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        handler.gate.set()
        incoming.write(await client.ended())
        assert tls.read().startswith(b"HTTP/1.1 200 ")
        assert secure.counted == {Handshake.FULL: 1}

    @pytest.mark.parametrize("ending", ["not", "with close_notify", "without"])
    async def test_a_long_last_answer_arrives_whole_however_the_client_ends(self, talking, a_test, ending):
        content = bytes(range(256)) * 32768

        async def handle(_request, _content, responder, _client):
            # Without waiting, as a ready answer is.
            responder.answer(Response(200, FieldSection([])), content)

        secure = await Secure.start(talking, a_test, handle=handle)
        client = await secure.plain(receive_buffer=4096)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="a.test")
        await shake_hands(client, tls, incoming, outgoing)
        tls.write(GET.replace(HEAD_END, b"\r\nConnection: close" + HEAD_END))
        await client.send(outgoing.read())
        incoming.write(await client.reader.readexactly(1))
        if ending == "with close_notify":
            with pytest.raises(ssl.SSLWantReadError):
                tls.unwrap()
            await client.send(outgoing.read())
        if ending != "not":
            client.writer.write_eof()
        incoming.write(await client.ended())
        received = bytearray()
        # Ends at close_notify; without one, it would want to read on.
        with suppress(ssl.SSLZeroReturnError):
            while piece := tls.read(1 << 16):
                received += piece
        assert received.endswith(HEAD_END + content)

    async def test_a_client_that_says_goodbye_is_answered_in_kind(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        client = await secure.client()
        await client.send(GET)
        await client.answer()
        client.writer.close()
        await client.writer.wait_closed()
        await emptied(secure)
        assert secure.listener.connections == 0

    async def test_draining_says_goodbye_and_does_not_wait_for_a_handshake(self, talking, a_test):
        secure = await Secure.start(talking, a_test)
        idle, stalled = await secure.client(), await secure.plain()
        await idle.send(GET)
        await idle.answer()
        await stalled.send(b"\x16")
        secure.listener.drain()
        assert await idle.rest() == b""
        assert await stalled.ended() == b""
        await secure.listener.drained()

    async def test_who_does_not_say_goodbye_is_not_waited_for(self, talking, a_test):
        secure = await Secure.start(talking, a_test, limits=Limits(drain_timeout=0.01))
        client = await secure.client()
        await client.send(GET)
        await client.answer()
        client.writer.transport.pause_reading()
        secure.listener.drain()
        await secure.listener.drained()
        client.writer.transport.abort()


async def shake_hands(client, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    """Make a handshake octet by octet of one's own, on a plain connection."""
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await client.send(outgoing.read())
            incoming.write(await client.reader.read(1 << 16))
        else:
            await client.send(outgoing.read())
            return


def key_updates(tls: ssl.SSLObject, outgoing: ssl.MemoryBIO, times: int) -> bytes:
    """Return requests for new keys (RFC 8446 §4.6.3), which Python has no function for."""
    library = ctypes.CDLL(_ssl.__file__)
    connection = ctypes.c_void_p.from_address(id(tls._sslobj) + 3 * ctypes.sizeof(ctypes.c_void_p))
    for _ in range(times):
        library.SSL_key_update(connection, 1)
        library.SSL_do_handshake(connection)
    return outgoing.read()


async def emptied(secure: Secure) -> None:
    """Wait until no connection is left."""
    while secure.listener.connections:
        await asyncio.sleep(0)
