"""The index in LMDB."""

import os
from collections.abc import Iterable

import pytest

from edge.errors import StoreDamaged, StoreError, StoreFull
from edge.store.index import VARIANT_LIMIT, HeadRef, Index, Place, intersection, with_head, without_generation
from edge.store.record import CHUNK_SIZE, HEADER_SIZE

MAP_SIZE = 2 << 20
ONE, TWO, THREE = b"generat1", b"generat2", b"generat3"


@pytest.fixture
def index(tmp_path):
    index = Index.open(tmp_path / "index", MAP_SIZE)
    yield index
    index.close()


def put_chunks(index: Index, generation: bytes, *chunks: tuple[int, int]) -> None:
    with index.writing() as transaction:
        for number, (start, end) in enumerate(chunks):
            index.put_chunk(transaction, generation, start, Place(1, number, HEADER_SIZE + end - start))


def put_chunks_of(index: Index, generations: Iterable[bytes]) -> None:
    with index.writing() as transaction:
        for generation in generations:
            index.put_chunk(transaction, generation, 0, Place(1, 2, 3))


def a_head(generation: bytes, variant: bytes = b"variant1") -> HeadRef:
    return HeadRef(generation, variant, Place(1, 64, 200))


@pytest.mark.parametrize(
    ("offset", "start"),
    [
        pytest.param(0, 0, id="its first octet"),
        pytest.param(99, 0, id="its last octet"),
        pytest.param(100, None, id="an octet between chunks"),
        pytest.param(250, 200, id="an octet inside a chunk that begins anywhere"),
        pytest.param(CHUNK_SIZE, CHUNK_SIZE, id="an octet at a boundary"),
        pytest.param(CHUNK_SIZE + 10, CHUNK_SIZE, id="an octet behind the chunk that begins nearest to it"),
        pytest.param(3 * CHUNK_SIZE, None, id="an octet behind all"),
    ],
)
def test_the_chunk_of_an_octet(index, offset, start):
    put_chunks(index, ONE, (0, 100), (200, 300), (CHUNK_SIZE, CHUNK_SIZE + 20), (CHUNK_SIZE + 4, CHUNK_SIZE + 6))
    put_chunks(index, TWO, (100, 200), (3 * CHUNK_SIZE, 4 * CHUNK_SIZE))
    found = index.chunk(ONE, offset)
    assert (found.start if found is not None else None) == start


def test_what_is_held_is_merged(index):
    put_chunks(index, ONE, (0, 100), (100, 200), (300, 400), (350, 380))
    put_chunks(index, TWO, (0, 50))
    with index.reading() as transaction:
        assert index.held(transaction, ONE) == ((0, 200), (300, 400))
        assert index.held(transaction, THREE) == ()
        assert list(index.generations(transaction)) == [ONE, TWO]


@pytest.mark.parametrize("generation", [ONE, TWO, THREE])
def test_chunks_of_a_generation_are_forgotten_together(index, generation):
    for each in (ONE, TWO, THREE):
        put_chunks(index, each, (0, 100), (100, 200), (CHUNK_SIZE, CHUNK_SIZE + 1))
    with index.writing() as transaction:
        index.forget(transaction, generation)
        index.forget(transaction, b"no chunk")
    with index.reading() as transaction:
        assert list(index.generations(transaction)) == [each for each in (ONE, TWO, THREE) if each != generation]


def test_heads_are_there_after_closing(tmp_path):
    index = Index.open(tmp_path / "index", MAP_SIZE)
    with index.writing() as transaction:
        index.put_heads(transaction, bytes(16), (a_head(ONE), a_head(TWO, b"variant2")))
        index.mark(transaction, 3, 4096, 17)
    index.sync()
    index.close()
    index = Index.open(tmp_path / "index", MAP_SIZE)
    assert index.heads(bytes(16)) == (a_head(ONE), a_head(TWO, b"variant2"))
    assert (index.keys, index.tails(), index.sequence()) == (1, {3: 4096}, 17)
    with index.writing() as transaction:
        index.put_heads(transaction, bytes(16), ())
        index.unmark(transaction, 3)
    assert (index.keys, index.tails(), index.heads(bytes(16))) == (0, {}, ())
    index.close()


def test_a_block_that_raises_writes_nothing(index):
    def write_and_fail() -> None:
        with index.writing() as transaction:
            index.put_heads(transaction, bytes(16), (a_head(ONE),))
            raise StoreError

    with pytest.raises(StoreError):
        write_and_fail()
    assert index.heads(bytes(16)) == ()


def test_a_new_variant_is_the_newest():
    heads, gone = with_head((a_head(ONE),), a_head(TWO, b"variant2"))
    assert (heads, gone) == ((a_head(TWO, b"variant2"), a_head(ONE)), [])


def test_a_new_response_replaces_its_variant():
    assert with_head((a_head(ONE),), a_head(TWO)) == ((a_head(TWO),), [ONE])


def test_a_head_written_again_keeps_its_rank():
    heads = (a_head(ONE), a_head(TWO, b"variant2"))
    again = HeadRef(TWO, b"variant2", None)
    assert with_head(heads, again) == ((a_head(ONE), again), [])


def test_one_variant_too_many_pushes_out_the_oldest():
    heads = ()
    for number in range(VARIANT_LIMIT + 1):
        heads, gone = with_head(heads, a_head(b"gen%05d" % number, b"var%05d" % number))
    assert (len(heads), gone) == (VARIANT_LIMIT, [b"gen00000"])


@pytest.mark.parametrize(("generation", "gone"), [(ONE, [ONE]), (THREE, []), (None, [ONE, TWO])])
def test_removing_heads(generation, gone):
    heads = (a_head(ONE), a_head(TWO, b"variant2"))
    kept, removed = without_generation(heads, generation)
    assert (removed, len(kept)) == (gone, 2 - len(gone))


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [
        ((), ((0, 5),), ()),
        (((0, 10),), ((2, 4), (6, 12)), ((2, 4), (6, 10))),
        (((0, 2), (4, 6)), ((2, 4),), ()),
        (((0, 5), (7, 9)), ((0, 5), (7, 9)), ((0, 5), (7, 9))),
    ],
)
def test_what_ranges_have_in_common(left, right, common):
    assert intersection(left, right) == intersection(right, left) == common


def test_the_whole_share_is_taken_at_once(tmp_path, index):
    status = (tmp_path / "index" / "data.mdb").stat()
    assert (status.st_size, status.st_blocks * 512 >= MAP_SIZE) == (MAP_SIZE, True)


def test_a_full_index_says_so_and_stays_usable(index):
    with pytest.raises(StoreFull):
        put_chunks_of(index, (number.to_bytes(8, "big") for number in range(1 << 20)))
    put_chunks(index, ONE, (0, 1))
    assert index.chunk(ONE, 0) is not None


def test_an_index_is_crowded_long_before_it_is_full(index):
    while not index.is_crowded:
        put_chunks_of(index, (os.urandom(8) for _ in range(500)))
    # Everything can still be taken out again.
    with index.reading() as transaction:
        generations = list(index.generations(transaction))
    with index.writing() as transaction:
        for generation in generations:
            index.forget(transaction, generation)
    assert not index.is_crowded


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: os.truncate(path, 4096 * 3), id="shorter than it was"),
        pytest.param(lambda path: path.write_bytes(b"no index" * 10_000), id="no index"),
        pytest.param(lambda path: os.truncate(path, MAP_SIZE + 4096), id="larger than its share"),
        pytest.param(lambda path: path.with_name("copy").hardlink_to(path), id="a file with a second name"),
        pytest.param(lambda path: path.rename(path.with_name("x")) and path.symlink_to("x"), id="a symlink"),
    ],
)
def test_a_damaged_index_is_not_opened(tmp_path, damage):
    index = Index.open(tmp_path / "index", MAP_SIZE)
    for number in range(50):
        put_chunks(index, b"gen%05d" % number, (0, 100), (100, 200))
    index.sync()
    index.close()
    damage(tmp_path / "index" / "data.mdb")
    with pytest.raises(StoreDamaged):
        Index.open(tmp_path / "index", MAP_SIZE)
    Index.delete(tmp_path / "index")
    Index.open(tmp_path / "index", MAP_SIZE).close()
