"""Greedy dual size frequency."""

import random

import pytest

from edge.policy.eviction import Evictor


def evictor_of(capacity: int, *items: tuple[str, int, int]) -> Evictor[str]:
    """An evictor that holds items of (key, size, further visits)."""
    evictor: Evictor[str] = Evictor(capacity)
    for key, size, visits in items:
        assert evictor.admit(key, size) == []
        for _ in range(visits):
            evictor.visit(key)
    return evictor


@pytest.mark.parametrize(
    ("items", "new", "victims"),
    [
        pytest.param([("a", 50, 0)], ("b", 50), [], id="what fits evicts nothing"),
        pytest.param(
            [("a", 50, 1), ("b", 50, 0)], ("c", 50), ["b"], id="an item of one visit goes before a visited one"
        ),
        pytest.param([("a", 60, 0), ("b", 40, 0)], ("c", 40), ["a"], id="of equal visits the larger goes first"),
        pytest.param(
            [("a", 20, 1), ("b", 20, 1), ("c", 60, 1)], ("d", 25), ["c"], id="a large one goes for many small"
        ),
        pytest.param([("a", 50, 9), ("b", 50, 9)], ("c", 90), ["c"], id="a newcomer worth less than all is not kept"),
        pytest.param([("a", 50, 0)], ("b", 101), ["b"], id="what is larger than the capacity evicts nothing else"),
        pytest.param([("a", 100, 0)], ("a", 50), [], id="an item admitted again counts once"),
        pytest.param([], ("a", 0), [], id="an item without a size can be held"),
    ],
)
def test_victims(items, new, victims):
    assert evictor_of(100, *items).admit(*new) == victims


@pytest.mark.parametrize(
    ("items", "size", "visits", "stays"),
    [
        pytest.param([], 100, 1, True, id="what fits stays"),
        pytest.param([], 101, 1000, False, id="what is larger than the capacity does not"),
        pytest.param([("a", 50, 9), ("b", 50, 9)], 50, 9, False, id="what is worth less than all does not"),
        pytest.param(
            [("a", 50, 9), ("b", 50, 9)], 50, 11, True, id="what is worth more does, by the visits it had before"
        ),
    ],
)
def test_what_would_stay_does(items, size, visits, stays):
    evictor = evictor_of(100, *items)
    assert evictor.would_stay(size, visits) == stays
    assert ("new" not in evictor.admit("new", size, visits)) == stays


def test_what_was_hot_long_ago_leaves_in_its_turn():
    evictor = evictor_of(100, ("old", 10, 5))
    numbers = iter(range(10_000))
    while "old" in evictor:
        evictor.admit(f"new {next(numbers)}", 10)
    assert next(numbers) > 9


def test_a_visited_item_outlives_a_flood_of_single_visits():
    evictor = evictor_of(100, ("hot", 10, 0))
    for number in range(1000):
        evictor.admit(str(number), 10)
        evictor.visit("hot")
    assert evictor.visits("hot") == 1001


def test_discarding_makes_room_and_is_not_an_error_twice():
    evictor = evictor_of(100, ("a", 100, 0))
    evictor.discard("a")
    evictor.discard("a")
    assert (evictor.used, evictor.visits("a"), evictor.admit("b", 100)) == (0, 0, [])


def test_what_is_held_is_counted_exactly():
    rng, evictor, held = random.Random(1), Evictor[int](1000), {}
    for _ in range(20_000):
        key, size = rng.randrange(300), rng.randrange(1, 200)
        if key in held and rng.random() < 0.5:
            evictor.visit(key)
        elif key in held and rng.random() < 0.5:
            evictor.discard(key)
            del held[key]
        else:
            held[key] = size
            for victim in evictor.admit(key, size):
                del held[victim]
        assert evictor.used == sum(held.values()) <= 1000
    assert all(key in evictor for key in held)


def test_items_that_come_and_go_leave_nothing_behind():
    evictor = evictor_of(100, ("kept", 10, 0))
    for number in range(1000):
        evictor.admit(str(number), 10)
        evictor.discard(str(number))
    assert (evictor.used, len(evictor._heap) < 200) == (10, True)
    assert evictor.admit("new", 90) == []


def test_it_is_full_once_little_room_is_left():
    evictor = Evictor(160)
    evictor.admit(b"a", 150)
    assert not evictor.is_full
    evictor.admit(b"b", 1)
    assert evictor.is_full
