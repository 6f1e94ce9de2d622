"""Following a log: what is asked for next, and when a node is taken for gone."""

import pytest

from edge.asking.follow import EVERY, PATIENCE, following
from edge.control.inquiries import Lines
from edge.supervisor.faults import NotAnswered


class Node:
    """A node that answers as it is told, and the time that passes meanwhile."""

    def __init__(self, *answers: Lines | None) -> None:
        self.answers, self.asked, self.seconds = list(answers), [], 0.0

    def ask(self, known: list[str]) -> Lines:
        self.asked.append(known)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            raise NotAnswered("nobody is there")
        return answer

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def follow(self, known: list[str]) -> list[Lines]:
        told: list[Lines] = []
        with pytest.raises(NotAnswered):
            told.extend(following(self.ask, known, sleep=self.sleep, now=lambda: self.seconds))
        return told


def test_what_is_known_is_given_along_the_newest_first_and_once():
    node = Node(Lines([], ["b"]), Lines([], ["c", "b"]))
    assert len(node.follow(["a"])) == 2
    assert node.asked[:3] == [["a"], ["b", "a"], ["c", "b", "a"]]


def test_a_node_that_is_silent_for_a_while_is_followed_on():
    silent = [None] * int(PATIENCE / EVERY - 1)
    node = Node(Lines([], ["a"]), *silent, Lines([], ["b"]), *silent, Lines([], ["c"]))
    assert [lines.newest for lines in node.follow([])] == [["a"], ["b"], ["c"]]


def test_a_node_that_is_silent_for_long_is_gone():
    node = Node()
    assert node.follow([]) == []
    assert PATIENCE < node.seconds <= PATIENCE + 2 * EVERY


def test_no_more_is_given_along_than_two_generations_of_workers_have():
    node = Node(*(Lines([], [f"{number}"]) for number in range(1000)))
    node.follow([])
    assert len(node.asked[-1]) == 512
    assert node.asked[-1][0] == "999"
