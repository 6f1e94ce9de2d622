"""Disks that are full, and power that is cut, while somebody publishes."""

import os

import pytest

from edge.errors import StoreError, StoreFull
from edge.published.bundle import Bundle
from edge.published.content import PublishedContent
from tests.published.making import NOW, SITE, manifest, named, publish, put, versions
from tests.published.test_bundle import head
from tests.published.test_content import octets
from tests.store.keeping import MIB
from tests.store.mounting import CAN_MOUNT, a_small_disk, an_ext4

pytestmark = pytest.mark.skipif(not CAN_MOUNT, reason="only root can mount")


async def serves(directory, **contents: bytes) -> bool:
    """Return whether a worker that begins now serves exactly that."""
    content = PublishedContent(directory)
    paths = {f"/{name}".encode(): whole for name, whole in contents.items()}
    return content.sites[SITE].keys() == paths.keys() and [await octets(content, path) for path in paths] == [
        *paths.values()
    ]


def is_left(directory) -> list[str]:
    """Return what lies about that nobody will ever look at."""
    found = [*(directory / "incoming").iterdir(), *directory.rglob(".*.new")]
    return [path.name for path in found]


def room(directory) -> int:
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


def feed(bundle: Bundle, whole: bytes) -> None:
    """Hand a content over in pieces that leave something in hand when the disk is full."""
    raw = head(whole) + whole
    for at in range(0, len(raw), 3000):
        bundle.feed(raw[at : at + 3000])


def fill(path) -> None:
    with path.open("ab", buffering=0) as file:
        while True:
            file.write(b"f" * 4096)


@pytest.mark.parametrize("over", [MIB, 100], ids=["in the middle", "at the end"])
async def test_a_content_that_does_not_fit_the_disk_leaves_nothing_and_what_was_there(tmp_path, over):
    with a_small_disk(tmp_path / "disk", 2 * MIB) as disk:
        where = versions(disk, 1 << 30)
        publish(where, a=b"a" * (MIB - 64_000))
        bundle = Bundle(where.blobs)
        with pytest.raises(StoreFull, match="No space"):
            feed(bundle, b"b" * (room(disk) + over))
        bundle.drop()
        assert (is_left(disk), where.blobs.room) == ([], (1 << 30) - MIB + 64_000)
        assert await serves(disk, a=b"a" * (MIB - 64_000))
        publish(where, c=b"c" * 1000)
        assert await serves(disk, c=b"c" * 1000)


async def test_a_version_that_does_not_fit_the_disk_is_none(tmp_path):
    with a_small_disk(tmp_path / "disk", 2 * MIB) as disk:
        where = versions(disk, 1 << 30)
        first = publish(where, a=b"one")
        put(where.blobs, b"two")
        second = where.add(manifest(a=b"two"), "ann", NOW)
        with pytest.raises(OSError, match="No space"):
            fill(disk / "filler")
        with pytest.raises(StoreError, match="No space"):
            where.add(manifest(a=b"three"), "ann", NOW)
        with pytest.raises(StoreError, match="No space"):
            where.activate(second, "ann", NOW, expected=first.id)
        assert is_left(disk) == []
        assert await serves(disk, a=b"one")
        (disk / "filler").unlink()
        put(where.blobs, b"two")
        where.activate(second, "ann", NOW, expected=first.id)
        assert await serves(disk, a=b"two")


@pytest.mark.slow
async def test_what_was_published_before_the_power_is_cut_is_served_after_it(tmp_path):
    with an_ext4(tmp_path, 32 * MIB) as disk:
        directory = disk.path / "pushed"
        for number in range(3):
            where = versions(directory)
            old = {"same": b"same", "new": b"%d" % number * 1000}
            publish(where, **old)
            disk.cut_power()
            disk.power_up()
            assert await serves(directory, **old)
            # All but the last step.
            where = versions(directory)
            put(where.blobs, b"next")
            where.add(manifest(new=b"next"), "ann", NOW)
            where.blobs.settle()
            disk.cut_power()
            disk.power_up()
            assert await serves(directory, **old)


@pytest.mark.slow
async def test_what_was_withdrawn_before_the_power_is_cut_stays_so(tmp_path):
    with an_ext4(tmp_path, 32 * MIB) as disk:
        where = versions(disk.path / "pushed")
        publish(where, a=b"one")
        where.withdraw(SITE, expected=None)
        disk.cut_power()
        disk.power_up()
        assert PublishedContent(disk.path / "pushed").sites == {}
        assert versions(disk.path / "pushed").blobs.lacking({named(b"one"): 3}) == []
