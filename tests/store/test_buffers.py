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
