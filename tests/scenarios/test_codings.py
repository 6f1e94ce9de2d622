"""Whatever comes to pass, what a client gets, decoded, is what the origin had: all of it, and of one version."""

import asyncio
import gzip

import brotli
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.caching.coding import CompressionRules
from edge.policy.purging import Kind, Mode, Selector
from edge.tasks import cancel_all
from edge.testing.responder import RecordingResponder
from edge.testing.upstream import Answer
from tests.exchange.world import Got, World

ENCODE = {
    b"": bytes,
    b"br": lambda data: brotli.compress(data, quality=3),
    b"gzip": gzip.compress,
    b"zstd": zstd.compress,
}
DECODE = {None: bytes, b"br": brotli.decompress, b"gzip": gzip.decompress, b"zstd": zstd.decompress}
ACCEPTED = [b"", b"br", b"gzip", b"zstd", b"br, gzip, zstd", b"gzip;q=0.5, identity", b"*;q=0.1, br;q=0"]


class Changing:
    """An origin whose only resource changes; its versions are told apart by a field."""

    def __init__(self) -> None:
        self.versions: list[bytes] = []
        self.change(b"", 3, 900, b"max-age=5", is_chunked=False)

    def change(self, coding: bytes, pieces: int, size: int, control: bytes, *, is_chunked: bool) -> None:
        number = len(self.versions)
        self.versions.append(
            b"".join(b"%d is said of version %d. " % (each, number) for each in range(pieces * size // 20))
        )
        coded = ENCODE[coding](self.versions[-1])
        step = max(1, len(coded) // pieces + 1)
        self._content = [coded[at : at + step] for at in range(0, len(coded), step)]
        self._fields = [
            (b"content-type", b"text/plain"), (b"cache-control", control), (b"x-version", b"%d" % number),
            (b"etag", b'"v%d"' % number), *([(b"content-encoding", coding), (b"vary", b"accept-encoding")] if coding else []),
        ]  # fmt: skip
        self._is_chunked = is_chunked

    def answer(self, request) -> Answer:
        etag = dict(self._fields)[b"etag"]
        if request.fields.get(b"if-none-match") == etag:
            return Answer(304, self._fields)
        return Answer(200, self._fields, self._content, is_chunked=self._is_chunked)


def check(got: Got, versions: list[bytes], accepted: bytes) -> None:
    assert got.responder.is_finished
    assert got.status in {200, 206}
    version = versions[int(got.field(b"x-version") or b"")]
    coding = got.field(b"content-encoding")
    assert coding is None or coding in accepted or b"*" in accepted
    if got.status == 206 and coding is None:
        assert got.content == version[3:9]
    elif got.status == 200:
        assert DECODE[coding](got.content) == version
        assert got.responder.length in {None, len(got.content)}


gets = st.tuples(st.sampled_from(ACCEPTED), st.sampled_from([(), (), (), ((b"range", b"bytes=3-8"),)]), st.booleans())
histories = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.lists(gets, min_size=1, max_size=4)),
        st.tuples(
            st.just("change"), st.sampled_from([b"", b"", b"br", b"gzip", b"zstd"]), st.integers(1, 4), st.integers(20, 9000),
            st.sampled_from([b"max-age=5", b"max-age=2, stale-while-revalidate=9", b"no-cache", b"no-store"]), st.booleans(),
        ),
        st.tuples(st.just("wait"), st.floats(0, 6)),
        st.tuples(st.just("purge"), st.sampled_from(list(Mode))),
        st.tuples(st.just("forget")),
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(history=histories, hot=st.sampled_from([0, 2]), origin=st.booleans())
def test_what_a_client_gets_is_what_the_origin_had(history, hot, origin) -> None:
    async def play() -> None:
        world, site = World(compression=CompressionRules(min_size=100, hot=hot, origin=origin)), Changing()
        world.upstream.script = site.answer
        for step in history:
            match step:
                case ("get", wanted):
                    async with asyncio.TaskGroup() as group:
                        clients = [
                            (group.create_task(get(world, accepted, ranged, leaves=leaves)), accepted, leaves)
                            for accepted, ranged, leaves in wanted
                        ]
                    for client, accepted, leaves in clients:
                        if not leaves:
                            check(client.result(), site.versions, accepted)
                case ("change", coding, pieces, size, control, is_chunked):
                    site.change(coding, pieces, size, control, is_chunked=is_chunked)
                case ("wait", seconds):
                    world.clock.advance(seconds)
                case ("purge", mode):
                    purges, now = world.driver._context.purges, world.clock.now()
                    await purges.purge(mode, (Selector(Kind.EVERYTHING),), now)
                case ("forget",):
                    await world.settle()
                    world.store.forget_memory()
        await world.settle()
        world.assert_idle()
        await cancel_all()
        world.codecs.close()

    asyncio.run(play())


async def get(world: World, accepted: bytes, ranged: tuple, *, leaves: bool) -> Got:
    fields = [(b"accept-encoding", accepted)] if accepted else []
    return await world.get(*fields, *ranged, responder=RecordingResponder(leaves_after=50 if leaves else None))
