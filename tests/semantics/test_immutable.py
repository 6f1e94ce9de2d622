"""Values that cost little are still values."""

from dataclasses import replace

from edge.semantics.immutable import immutable


@immutable(frozen=True, slots=True)
class Point:
    """Two numbers."""

    x: int
    y: int = 0


def test_they_are_equal_and_hashed_by_their_fields() -> None:
    assert Point(1) == Point(1, 0) != Point(1, 2)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2


def test_they_have_slots_and_can_be_replaced() -> None:
    assert not hasattr(Point(1), "__dict__")
    assert replace(Point(1), y=3) == Point(1, 3)
