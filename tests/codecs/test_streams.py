"""What is coded is decoded to the same octets, however it comes; what is not coded, or too much, never ends cleanly."""

import asyncio
import gzip
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codecs.coders import DECODERS, ENCODERS
from edge.codecs.streams import FREE, PROPORTION, SLICE, CodedSource, NodeCodecs
from edge.errors import UpstreamClosed, UpstreamUndecodable

CODINGS = sorted(ENCODERS)
DECODE = {b"br": brotli.decompress, b"gzip": gzip.decompress, b"zstd": zstd.decompress}
ENCODE = {b"br": partial(brotli.compress, quality=5), b"gzip": gzip.compress, b"zstd": zstd.compress}
TEXT = b"".join(b"line %d of what is said again and again\n" % number for number in range(20_000))
LIMIT = 64 << 20


class Pieces:
    """A source."""

    def __init__(self, *pieces) -> None:
        self.pieces = list(pieces)
        self.is_closed = False

    async def read(self):
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def codecs():
    codecs = NodeCodecs()
    yield codecs
    codecs.close()


async def content(source, pieces=None) -> bytes:
    """Everything, in pieces of a bounded size, which are kept in `pieces`."""
    pieces = [] if pieces is None else pieces
    while piece := await source.read():
        assert len(piece) <= 2 * SLICE
        pieces.append(piece)
    source.close()
    return b"".join(pieces)


def coded(codecs, source, coding, *, small=False, is_dry=lambda: False):
    return codecs.coded(source, coding, small=small, is_dry=is_dry)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("small", [False, True])
async def test_a_content_is_coded(codecs, coding, small):
    source = Pieces(TEXT[:1], memoryview(TEXT)[1:300_000], TEXT[300_000:])
    made = await content(coded(codecs, source, coding, small=small))
    assert DECODE[coding](made) == TEXT
    assert len(made) < len(TEXT) / 6
    assert source.is_closed


@pytest.mark.parametrize("coding", CODINGS)
async def test_what_comes_is_not_held_back_while_nothing_more_does(codecs, coding):
    source = Pieces(b"first", b"second")
    stream = coded(codecs, source, coding, is_dry=lambda: True)
    decoder, seen = DECODERS[coding](), b""
    for expected in (b"first", b"firstsecond"):
        seen += decoder.decode(await stream.read(), SLICE)
        assert seen == expected
    await content(stream)


class Lazy:
    """An encoder that puts everything off to its end, and remembers in which threads it worked."""

    def __init__(self) -> None:
        self.threads = []

    def encode(self, _data: bytes) -> bytes:
        self.threads.append(threading.get_ident())
        return b""

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return self.encode(b"") + b"all"


@pytest.mark.parametrize(("size", "is_beside"), [(100, False), (5000, True)])
async def test_the_event_loop_does_no_more_than_a_little_of_the_work(size, is_beside):
    lazy, pool = Lazy(), ThreadPoolExecutor(1)
    assert await content(CodedSource(Pieces(bytes(size)), lazy, pool, lambda: False)) == b"all"
    assert [thread != threading.get_ident() for thread in lazy.threads] == [is_beside] * 2
    pool.shutdown()


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_content_that_breaks_off_is_never_whole(codecs, coding):
    stream = coded(codecs, Pieces(TEXT, UpstreamClosed()), coding)
    with pytest.raises(UpstreamClosed):
        await content(stream)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [1, 7, 1000, len(TEXT)])
async def test_a_content_is_decoded_however_it_comes(codecs, coding, size):
    text = TEXT[:20_000] if size < 1000 else TEXT
    made = ENCODE[coding](text)
    pieces = [made[at : at + size] for at in range(0, len(made), size)]
    assert await content(codecs.decoded(Pieces(*pieces), coding, LIMIT)) == text


@pytest.mark.parametrize("coding", CODINGS)
async def test_nothing_is_decoded_to_nothing(codecs, coding):
    assert await content(codecs.decoded(Pieces(), coding, LIMIT)) == b""
    assert await content(codecs.decoded(Pieces(ENCODE[coding](b"")), coding, LIMIT)) == b""


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
@pytest.mark.parametrize("size", [1, 10_000])
async def test_members_and_frames_follow_each_other(codecs, coding, size):
    made = ENCODE[coding](b"one ") + ENCODE[coding](b"two")
    pieces = [made[at : at + size] for at in range(0, len(made), size)]
    assert await content(codecs.decoded(Pieces(*pieces), coding, LIMIT)) == b"one two"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda made: made[:-1], id="cut off"),
        pytest.param(lambda made: made[: len(made) // 2], id="half of it"),
        pytest.param(lambda _: TEXT, id="not coded"),
        pytest.param(lambda made: made + b"\xff rubbish", id="something behind it"),
        pytest.param(lambda made: made[:40] + bytes(40) + made[80:], id="damaged"),
    ],
)
async def test_what_is_not_the_coding_is_an_error(codecs, coding, spoil):
    with pytest.raises(UpstreamUndecodable):
        await content(codecs.decoded(Pieces(spoil(ENCODE[coding](TEXT))), coding, LIMIT))


def bomb(coding: bytes, size: int) -> bytes:
    """A content that is nothing but zeros, made small."""
    if coding == b"gzip":
        maker = zlib.compressobj(9, zlib.DEFLATED, 31)
        return maker.compress(bytes(size)) + maker.flush()
    return brotli.compress(bytes(size), quality=5) if coding == b"br" else zstd.compress(bytes(size))


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_bomb_is_cut_off(codecs, coding):
    made = bomb(coding, 32 << 20)
    given: list[bytes] = []
    with pytest.raises(UpstreamUndecodable):
        await content(codecs.decoded(Pieces(made), coding, LIMIT), given)
    assert sum(map(len, given)) <= max(FREE, PROPORTION * len(made))


async def test_a_content_over_the_limit_is_cut_off(codecs):
    stream = codecs.decoded(Pieces(gzip.compress(TEXT)), b"gzip", len(TEXT) - 1)
    with pytest.raises(UpstreamUndecodable):
        await content(stream)
    assert await content(codecs.decoded(Pieces(gzip.compress(TEXT)), b"gzip", len(TEXT))) == TEXT


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=300) | st.integers(1, 200_000).map(bytes), max_size=8),
    coding=st.sampled_from(CODINGS),
    dry=st.lists(st.booleans(), min_size=1),
    cut=st.integers(1, 5000),
)
def test_decoding_undoes_coding(pieces, coding, dry, cut):
    async def play() -> None:
        codecs = NodeCodecs()
        pieces_left = [piece for piece in pieces if piece]
        turns = iter(dry * 20)
        made = await content(coded(codecs, Pieces(*pieces_left), coding, is_dry=lambda: next(turns, False)))
        assert DECODE[coding](made) == b"".join(pieces)
        parts = Pieces(*[made[at : at + cut] for at in range(0, len(made), cut)])
        assert await content(codecs.decoded(parts, coding, LIMIT)) == b"".join(pieces)
        codecs.close()

    asyncio.run(play())
