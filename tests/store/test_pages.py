"""The index's file read without LMDB: LMDB says what is in it."""

import random
import subprocess
import sys

import lmdb
import pytest

from edge.errors import StoreDamaged
from edge.store.pages import Pages

# Replaces what it holds, in one transaction after the other, until it is killed: every value follows from its key.
WRITER = """
import lmdb, random, sys
environment = lmdb.open(sys.argv[1], map_size=16 << 20, max_dbs=3, sync=False, metasync=False)
heads, rng, keys = environment.open_db(b"heads"), random.Random(1), []
while True:
    with environment.begin(write=True) as transaction:
        for _ in range(100):
            keys.append(rng.randbytes(16))
            transaction.put(keys[-1], keys[-1] * 3, db=heads)
            if len(keys) > 5000:
                at = rng.randrange(len(keys))
                keys[at], keys[-1] = keys[-1], keys[at]
                transaction.delete(keys.pop(), db=heads)
    if len(keys) == 5000:
        print(flush=True)
"""


@pytest.fixture
def written(tmp_path):
    """Return a function that writes the given entries, and opens the pages."""
    opened = []

    def write(*groups):
        with lmdb.open(str(tmp_path), map_size=16 << 20, max_dbs=3) as environment:
            databases = {name: environment.open_db(name) for name in (b"chunks", b"heads")}
            for name, entries in groups:
                with environment.begin(write=True) as transaction:
                    for key, value in entries.items():
                        if value is None:
                            transaction.delete(key, db=databases[name])
                        else:
                            transaction.put(key, value, db=databases[name])
        opened.append(Pages(tmp_path / "data.mdb"))
        return opened[-1]

    yield write
    for pages in opened:
        pages.close()


@pytest.mark.parametrize("count", [0, 1, 2, 70, 3000, 30_000])
def test_all_entries_in_order(written, count):
    rng = random.Random(count)
    entries = {rng.randbytes(rng.randrange(1, 30)): rng.randbytes(rng.randrange(90)) for _ in range(count)}
    pages = written((b"chunks", {b"other": b"1"}), (b"heads", entries))
    assert list(pages.items(b"heads")) == sorted(entries.items())
    assert list(pages.items(b"chunks")) == [(b"other", b"1")]
    for start in [*rng.sample(sorted(entries), min(count, 20)), b"", b"\x80", b"\xff" * 40]:
        expected = [item for item in sorted(entries.items()) if item[0] >= start]
        assert list(pages.items(b"heads", start)) == expected
        assert pages.get(b"heads", start) == entries.get(start)


def test_what_was_deleted_is_gone(written):
    entries = {b"%05d" % number: b"v" * 50 for number in range(2000)}
    pages = written((b"heads", entries), (b"heads", dict.fromkeys(list(entries)[100:1900])))
    assert list(pages.items(b"heads")) == [
        item for item in sorted(entries.items()) if not b"00100" <= item[0] < b"01900"
    ]
    pages = written((b"heads", dict.fromkeys(entries)))
    assert list(pages.items(b"heads")) == []


def test_a_database_that_was_never_made_is_empty(written):
    assert list(written((b"heads", {b"a": b"1"})).items(b"marks")) == []


def test_an_open_file_shows_what_is_written_later(written):
    pages = written((b"heads", {b"a": b"1"}))
    written((b"heads", {b"a": b"2"}))
    assert pages.get(b"heads", b"a") == b"2"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="an empty file"),
        pytest.param(bytes(8192), id="zeros"),
        pytest.param(random.Random(1).randbytes(8192), id="noise"),
    ],
)
def test_what_is_no_index(tmp_path, raw):
    (tmp_path / "data.mdb").write_bytes(raw)
    with pytest.raises(StoreDamaged):
        Pages(tmp_path / "data.mdb")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_damage_is_an_error_or_other_entries_but_nothing_else(written, tmp_path, seed):
    rng = random.Random(seed)
    entries = {b"%016d" % number: rng.randbytes(40) for number in range(1500)}
    written((b"heads", entries))
    whole = (tmp_path / "data.mdb").read_bytes()
    for _ in range(60):
        raw = bytearray(whole)
        for _ in range(rng.choice([1, 1, 30])):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        (tmp_path / "damaged.mdb").write_bytes(raw[: rng.choice([len(raw), rng.randrange(len(raw))])])
        try:
            pages = Pages(tmp_path / "damaged.mdb")
        except StoreDamaged:
            continue
        try:
            assert len(list(pages.items(b"heads"))) <= len(raw) // 8
        except StoreDamaged:
            pass
        finally:
            pages.close()


@pytest.mark.slow
def test_entries_are_right_while_everything_is_overwritten(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        pages = Pages(tmp_path / "data.mdb")
        for _ in range(40):
            found = list(pages.items(b"heads"))
            assert len(found) > 4000
            assert [key for key, _ in found] == sorted({key for key, _ in found})
            assert all(value == key * 3 for key, value in found)
        pages.close()
        process.kill()
