"""What of a segment is worth writing again."""

from dataclasses import dataclass

import pytest

from edge.policy.reinsertion import MOST_VISITS, Reinsertion, choose, visits_left

SIZE = 1000


@dataclass(frozen=True)
class Record:
    generation: bytes
    is_content: bool
    visits: int = 0
    is_needed: bool = False
    size: int = SIZE
    is_pinned: bool = False


def chunk(generation: bytes, *, visits=0, needed=False, size=SIZE, pinned=False) -> Record:
    return Record(generation, True, visits, needed, size, pinned)


def head(generation: bytes, *, visits=0, needed=False, pinned=False) -> Record:
    return Record(generation, False, visits, needed, is_pinned=pinned)


def places(records, chosen) -> list[int]:
    """Where in `records` the very ones that were chosen are."""
    return sorted(at for at, record in enumerate(records) if any(record is one for one in chosen))


@pytest.mark.parametrize(
    ("records", "kept", "lost"),
    [
        pytest.param([chunk(b"a"), head(b"a")], [], set(), id="what nobody visited goes"),
        pytest.param([chunk(b"a", visits=1), head(b"a")], [0, 1], set(), id="a visited chunk takes its head along"),
        pytest.param([head(b"a"), chunk(b"a", visits=1)], [0, 1], set(), id="wherever the head lies"),
        pytest.param([chunk(b"a"), head(b"a", visits=1)], [1], set(), id="a visited head stays without its chunk"),
        pytest.param([chunk(b"a", visits=1) for _ in range(4)], [0, 1], set(), id="no more than the allowance moves"),
        pytest.param(
            [chunk(b"a", visits=1, size=3 * SIZE), chunk(b"b", visits=1)], [1], set(), id="what fits it moves instead"
        ),
        pytest.param(
            [chunk(b"a", visits=1), chunk(b"a", visits=1), head(b"b", visits=1)], [0, 1], set(),
            id="a visited head counts against the allowance",
        ),
        pytest.param([chunk(b"a", needed=True) for _ in range(3)], [0, 1, 2], set(), id="what is needed does not"),
        pytest.param(
            [chunk(b"a", needed=True) for _ in range(4)], [0, 1, 2], {b"a"}, id="what is needed has a limit too"
        ),
        pytest.param(
            [chunk(b"a", needed=True, visits=1) for _ in range(4)], [0, 1, 2, 3], set(), id="needed and visited"
        ),
        pytest.param(
            [chunk(b"a", pinned=True), chunk(b"b", pinned=True), chunk(b"c", pinned=True), head(b"d", pinned=True)],
            [0, 1, 2, 3], set(), id="what is pinned stays, whatever the allowance",
        ),
        pytest.param(
            [chunk(b"a", pinned=True), chunk(b"b", visits=1), chunk(b"b", visits=1), chunk(b"c", visits=1)],
            [0, 1, 2], set(), id="and takes nothing of it",
        ),
        pytest.param([head(b"a", needed=True)], [0], set(), id="a needed head stays"),
    ],
)  # fmt: skip
def test_choice(records, kept, lost):
    choice = choose(records, allowance=2 * SIZE, reserve=3 * SIZE)
    assert places(records, choice.keep) == kept
    assert places(records, choice.drop) == [at for at in range(len(records)) if at not in kept]
    assert choice.lost == lost


@pytest.mark.parametrize(
    ("room", "needed", "kept"),
    [
        pytest.param(20 * SIZE, 0, 9, id="nine tenths of the segment move where there is room"),
        pytest.param(10 * SIZE, 0, 8, id="room is left for the longest record"),
        pytest.param(10 * SIZE, 5, 8, id="what is needed takes its part of the room"),
        pytest.param(10 * SIZE, 8, 8, id="what is needed and visited too"),
        pytest.param(2 * SIZE, 0, 0, id="nothing moves where there is no room"),
        pytest.param(0, 3, 0, id="not even what is needed"),
    ],
)
def test_budget(room, needed, kept):
    records = [chunk(b"%d" % at, visits=1, needed=at < needed) for at in range(10)]
    choice = Reinsertion(longest=2 * SIZE).choose(records, size=10 * SIZE, room=room)
    assert (len(choice.keep), len(choice.drop)) == (kept, 10 - kept)


def test_what_is_not_used_any_more_outlasts_no_more_rounds_than_it_had_visits():
    record, rounds = chunk(b"a", visits=MOST_VISITS), 0
    while choose([record], allowance=SIZE, reserve=0).keep:
        record, rounds = chunk(b"a", visits=visits_left(record)), rounds + 1
    assert rounds == MOST_VISITS
    assert visits_left(record) == 0
