"""Buffers are handed out again only when nobody can see what is in them."""

import pytest

from edge.store.buffers import LARGE, Buffers


@pytest.mark.parametrize(
    "hold",
    [
        pytest.param(lambda view: view, id="the view itself"),
        pytest.param(lambda view: view[1:2], id="a slice"),
        pytest.param(lambda view: view[1:2].toreadonly(), id="a view of a slice"),
    ],
)
def test_what_is_held_is_not_written_over(hold):
    buffers = Buffers()
    view = buffers.take(LARGE)
    view[:] = b"a" * LARGE
    held = hold(view)
    del view
    buffers.take(LARGE)[:] = b"b" * LARGE
    assert set(bytes(held)) == {ord("a")}


def test_what_nobody_holds_is_used_again():
    buffers = Buffers()
    buffers.take(10)[:5] = b"first"
    assert buffers.take(10)[:5] == b"first"


def test_when_all_are_in_use_there_is_none():
    buffers = Buffers()
    held = []
    while (view := buffers.take(1)) is not None:
        held.append(view)
    assert 0 < len(held) * LARGE <= 64 << 20
    held.pop()
    assert buffers.take(1) is not None


def test_what_was_read_is_found_until_there_is_no_other_room():
    buffers = Buffers()
    names = [(b"a", number, 5) for number in range(3)]
    for number, name in enumerate(names):
        view = buffers.take(5)
        view[:] = b"read%d" % number
        buffers.keep(name, view)
    assert [bytes(buffers.find(name)) for name in names] == [b"read0", b"read1", b"read2"]
    assert buffers.find((b"b", 0, 5)) is None
    assert buffers.find(names[0]).readonly
    held = buffers.find(names[1])
    taken = []
    while (view := buffers.take(5)) is not None:
        view[:] = b"other"
        taken.append(view)
    assert bytes(held) == b"read1", "somebody holds it"
    assert [buffers.find(name) is None for name in names] == [True, False, True]


def test_what_was_asked_for_the_longest_ago_gives_way():
    buffers = Buffers()
    names = [(b"a", number, 1) for number in range(40)]
    for name in names:
        buffers.keep(name, buffers.take(1))
        buffers.find(names[0])
    assert buffers.find(names[0]) is not None
    assert buffers.find(names[1]) is None
    assert buffers.find(names[39]) is not None


def test_what_two_have_read_is_kept_once():
    buffers = Buffers()
    one, other = buffers.take(1), buffers.take(1)
    one[:], other[:] = b"1", b"2"
    buffers.keep((b"a", 0, 1), one)
    buffers.keep((b"a", 0, 1), other)
    assert bytes(buffers.find((b"a", 0, 1))) == b"1"
    del other
    assert bytes(buffers.take(1)) == b"2"
