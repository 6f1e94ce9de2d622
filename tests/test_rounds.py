"""Rounds over a table that changes meanwhile."""

from edge.rounds import Rounds


def test_all_of_a_table_is_looked_at_round_after_round():
    table, rounds = dict.fromkeys(range(2500)), Rounds[int]()
    assert [len(rounds.next(table)) for _ in range(3)] == [1024, 1024, 452]
    del table[0]
    again = [each for _ in range(3) for each in rounds.next(table)]
    assert again == list(table)


def test_an_empty_table_has_nothing_to_look_at():
    rounds = Rounds[int]()
    assert rounds.next([]) == []
    assert rounds.next([1]) == [1]
