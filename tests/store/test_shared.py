import pytest

from edge.store.shared import SIZE, Shared

KEY, SAME_STRIPE, OTHER = b"\x00\x01" + bytes(14), b"\x10\x01" + bytes(14), b"\x00\x02" + bytes(14)


@pytest.fixture
def both():
    memory = memoryview(bytearray(SIZE))
    return Shared(memory, 0), Shared(memory, 1)


def test_a_stamp_is_odd_from_the_first_change_to_the_last_written_one(both):
    owner, reader = both
    seen = [reader.stamps[1]]
    for step in (owner.begin, owner.begin, owner.end, owner.end, owner.touch):
        step(KEY if step != owner.end else SAME_STRIPE)
        seen.append(reader.stamps[1])
    assert [stamp % 2 for stamp in seen] == [0, 1, 1, 1, 0, 0]
    assert len(set(seen)) == len(seen) - 1
    assert reader.stamps[2] == 0


@pytest.mark.parametrize("pending", [0, 1, 2])
def test_an_owner_that_comes_back_makes_nothing_known_before_believed(both, pending):
    owner, reader = both
    for _ in range(pending):
        owner.begin(KEY)
    before = reader.stamps[1]
    owner.open_stripes([1])
    assert reader.stamps[1] > before
    assert reader.stamps[1] % 2 == 0


def test_visits_reach_the_owner_once(both):
    owner, reader = both
    for _ in range(5):
        reader.visit(b"generatn")
    assert [owner.visits(b"generatn"), owner.visits(b"generatn")] == [3, 0]


def test_what_anybody_reads_is_pinned_until_the_last_has_read_it(both):
    owner, reader = both
    reader.pin(b"generatn")
    reader.pin(b"generatn")
    reader.unpin(b"generatn")
    assert owner.is_pinned(b"generatn")
    reader.unpin(b"generatn")
    assert not owner.is_pinned(b"generatn")


def test_pins_of_a_process_that_was_killed_are_gone_with_the_next_in_its_place():
    memory = memoryview(bytearray(SIZE))
    Shared(memory, 3).pin(b"generatn")
    assert Shared(memory, 0).is_pinned(b"generatn")
    Shared(memory, 3)
    assert not Shared(memory, 0).is_pinned(b"generatn")
