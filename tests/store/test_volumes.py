"""Sites with a quota of their own."""

from contextlib import asynccontextmanager

import pytest

from edge.errors import StoreError, StoreFull
from edge.policy.key import KeyPolicy, cache_key
from edge.semantics.target import Target
from edge.store.settings import Settings
from edge.store.volumes import Volumes
from edge.testing.clock import ManualClock
from tests.store.keeping import MIB, content_of, directory_size, keep, read_all

QUOTA, OF_SITE = 48 * MIB, 16 * MIB
SITES = {b"a.test": "a.test", b"b.test": "b.test", b"www.b.test": "b.test"}


def key_of(host: bytes, number: int) -> bytes:
    return cache_key(Target(b"http", host, b"/%d" % number, None), KeyPolicy())


@asynccontextmanager
async def volumes(path, **quotas):
    store = await Volumes.start(
        path, Settings(quota=QUOTA, memory=MIB), ManualClock(), site_of=SITES.get,
        quotas={name.replace("_", "."): part for name, part in quotas.items()},
    )  # fmt: skip
    try:
        yield store
    finally:
        await store.close()


async def content_of_key(store, key):
    for stored in await store.lookup(key):
        return await read_all(store.open(stored, 0, stored.complete_length))
    return None


async def test_a_flood_of_one_site_reclaims_only_its_own(tmp_path):
    async with volumes(tmp_path, b_test=OF_SITE) as store:
        others = [key_of(b"a.test", 1), key_of(b"unknown.test", 1), b"not made of a target"]
        for key in others:
            await keep(store, key, 100_000)
        for number in range(300):
            await keep(store, key_of(b"www.b.test", number), 200_000)
            if number % 10 == 0:
                await store.flush()
                assert directory_size(tmp_path / "sites/b.test") <= OF_SITE
        await store.flush()
        assert [await content_of_key(store, key) for key in others] == [content_of(key, 100_000) for key in others]
        assert await store.lookup(key_of(b"www.b.test", 0)) == ()
        assert await content_of_key(store, key_of(b"www.b.test", 299)) == content_of(
            key_of(b"www.b.test", 299), 200_000
        )
        assert store.stats().evictions > 200
        with pytest.raises(StoreFull):
            await store.writer(key_of(b"b.test", 1), length=OF_SITE)


async def test_what_others_write_leaves_the_site_its_own(tmp_path):
    async with volumes(tmp_path, b_test=OF_SITE) as store:
        key = key_of(b"b.test", 1)
        await keep(store, key, 100_000)
        for number in range(300):
            await keep(store, key_of(b"a.test", number), 200_000)
        await store.flush()
        assert await content_of_key(store, key) == content_of(key, 100_000)
        assert directory_size(tmp_path) <= QUOTA
        assert (store.stats().quota, store.stats().is_storing) == (QUOTA, True)


async def test_everything_else_goes_to_the_volume_of_the_site_too(tmp_path):
    async with volumes(tmp_path, b_test=OF_SITE) as store:
        key = key_of(b"b.test", 1)
        stored = await keep(store, key, 1000)
        await read_all(store.open(stored, 0, 1000))
        (held,) = await store.lookup(key)
        assert (store.token(key) is not None, store.at_hand(held)) == (True, content_of(key, 1000))
        store.visit(held)
        store.put(held.with_fields(held.fields.replacing(b"age", b"1")))
        assert await store.pin(key, held.generation)
        assert store.stats().pinned_bytes > 0
        assert await store.remove(key) == 1
        assert store.token(key) is None


async def test_a_restart_finds_the_volumes_and_deletes_those_of_sites_without_a_quota(tmp_path, caplog):
    key = key_of(b"b.test", 1)
    async with volumes(tmp_path, b_test=OF_SITE) as store:
        await keep(store, key, 1000)
    async with volumes(tmp_path, b_test=OF_SITE) as store:
        assert await content_of_key(store, key) == content_of(key, 1000)
        with pytest.raises(StoreError, match="in use"):
            async with volumes(tmp_path, a_test=OF_SITE):
                pass
    assert (tmp_path / "sites/b.test/control").exists()
    async with volumes(tmp_path, a_test=OF_SITE) as store:
        assert await store.lookup(key) == ()
    assert [path.name for path in (tmp_path / "sites").iterdir()] == ["a.test"]
    assert "sites/b.test is deleted" in caplog.text


async def test_a_volume_that_cannot_be_opened_opens_none(tmp_path):
    with pytest.raises(StoreError, match="at least 16 MiB"):
        async with volumes(tmp_path, a_test=OF_SITE, b_test=MIB):
            pass
    async with volumes(tmp_path, a_test=OF_SITE):
        pass
