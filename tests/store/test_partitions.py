"""Several owners of one store: what each of them knows of the others."""

import asyncio
import itertools
import json
import mmap
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import blake2b
from pathlib import Path

import pytest

from edge.policy.ring import owners, stripe_of
from edge.store.partitions import Partitions
from edge.store.record import key_hash
from edge.store.settings import Settings
from edge.store.shared import SIZE, Shared
from edge.testing.clock import ManualClock
from tests.store.keeping import MIB, a_stored, content_of

ROOT = Path(__file__).parents[2]


class Page:
    """Memory that two processes share."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("page")
        os.ftruncate(self.fd, SIZE)
        self.memory = memoryview(mmap.mmap(self.fd, 0))


@pytest.fixture
def page():
    page = Page()
    yield page
    os.close(page.fd)


class Other:
    """Worker 1, in another process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, word: str, key: bytes = b"") -> object:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([word, key.decode()]).encode() + b"\n")
        return await self.heard()

    async def heard(self) -> object:
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def another(path: Path, page: Page) -> AsyncIterator[Other]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.looking", str(path), str(page.fd),
        cwd=ROOT, pass_fds=[page.fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    other = Other(process)
    try:
        assert await other.heard() == "ready"
        yield other
    finally:
        assert process.stdin is not None
        process.stdin.close()
        code = await process.wait()
    assert code == 0


@asynccontextmanager
async def a_worker(path: Path, page: Page, index: int = 0, workers: int = 2) -> AsyncIterator[Partitions]:
    store = await Partitions.start(
        path, Settings(quota=256 * MIB, memory=64 * MIB), ManualClock(), index=index, workers=workers,
        shared=Shared(page.memory, index),
    )  # fmt: skip
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def owner(tmp_path, page):
    async with a_worker(tmp_path, page) as owner:
        yield owner


@pytest.fixture
async def other(tmp_path, page, owner):
    async with another(tmp_path, page) as other:
        yield other


def a_key(owner: int, number: int = 0) -> bytes:
    """Return a key that `owner` of two owns, another one for each `number`."""
    keys = (b"http://a/%d" % each for each in itertools.count())
    return next(itertools.islice((key for key in keys if owners(2)[stripe_of(key_hash(key))] == owner), number, None))


async def keep(store: Partitions, key: bytes, length: int, **changes) -> None:
    writer = await store.writer(key, length=length)
    await writer.write(content_of(key, length))
    await writer.commit(a_stored(key, writer.generation, length, **changes))


@pytest.mark.parametrize("length", [10, 300_000, 3 * MIB])
async def test_what_one_stores_the_other_finds(owner, other, length):
    key = a_key(0)
    await keep(owner, key, length)
    await owner.own.flush()
    # A chunk is kept whole once it is asked for again and again.
    kept = [length <= 256 << 10] * 2 + [length <= MIB] * 2
    for is_kept in kept:
        assert await other.ask("read", key) == [blake2b(content_of(key, length)).hexdigest(), is_kept]
    assert await other.ask("token", key) is True


async def test_what_is_not_written_yet_is_for_the_owner_to_answer(owner, other):
    key = a_key(0)
    await keep(owner, key, 3)
    assert (len(await owner.lookup(key)), await other.ask("lookup", key)) in {(1, 0), (1, 1)}
    await owner.own.flush()
    assert await other.ask("lookup", key) == 1


async def test_a_removal_is_seen_at_once_and_for_good(owner, other):
    key = a_key(0)
    await keep(owner, key, 3)
    await owner.own.flush()
    assert await other.ask("lookup", key) == 1
    assert await other.ask("token", key) is True
    assert await owner.remove(key) == 1
    assert await other.ask("token", key) is False
    assert await other.ask("lookup", key) == 0
    await owner.own.flush()
    assert await other.ask("lookup", key) == 0


async def test_only_the_owner_writes(owner, other):
    key = a_key(0)
    await keep(owner, key, 3)
    await owner.own.flush()
    assert [await other.ask(word, key) for word in ("put", "extend", "pass")] == [
        "StoreFull",
        "StoreFull",
        "NotAdmitted",
    ]
    assert await other.ask("remove", key) == 0
    assert await other.ask("lookup", key) == 1


async def test_an_owner_that_comes_back_is_looked_into_again(tmp_path, page):
    key = a_key(0)
    async with AsyncExitStack() as stack:
        async with a_worker(tmp_path, page) as owner:
            other = await stack.enter_async_context(another(tmp_path, page))
            await keep(owner, key, 3)
            await owner.own.flush()
            assert await other.ask("lookup", key) == 1
        async with a_worker(tmp_path, page) as owner:
            assert await other.ask("token", key) is False
            assert await other.ask("lookup", key) == 1
            await owner.remove(key)
            assert await other.ask("lookup", key) == 0


async def test_what_was_being_removed_when_its_owner_was_killed_does_not_come_back(tmp_path, page):
    key, unchanged = a_key(0), a_key(0, number=1)
    async with a_worker(tmp_path, page) as owner:
        await keep(owner, key, 3)
        await keep(owner, unchanged, 3)
    # As the memory is when the process ends between the removal and its way to the index.
    Shared(page.memory, 9).begin(key_hash(key))
    async with a_worker(tmp_path, page) as owner:
        assert await owner.lookup(key) == ()
        assert len(await owner.lookup(unchanged)) == 1


@pytest.mark.parametrize("between", [1, 3])
async def test_nothing_comes_back_that_another_owned_meanwhile(tmp_path, page, between):
    keys = [b"http://a/%d" % number for number in range(40)]
    for version, workers in enumerate((2, between, 2, between, 2)):
        async with AsyncExitStack() as stack:
            stores = [
                await stack.enter_async_context(a_worker(tmp_path, page, index, workers)) for index in range(workers)
            ]
            for key in keys:
                store = stores[owners(workers)[stripe_of(key_hash(key))]]
                assert all(stored.response_time == version - 1 for stored in await store.lookup(key)), (key, workers)
                await keep(store, key, 3, response_time=float(version))


async def test_a_worker_that_has_retired_finds_and_stores_nothing(owner, other):
    own, foreign = a_key(1), a_key(0)
    await keep(owner, foreign, 3)
    await owner.own.flush()
    assert await other.ask("lookup", foreign) == 1
    assert await other.ask("pass", own) is None
    await other.ask("retire")
    assert [await other.ask("lookup", key) for key in (own, foreign)] == [0, 0]
    assert [await other.ask("token", own), await other.ask("remove", own)] == [False, 0]
    assert await other.ask("pass", own) == "StoreFull"
