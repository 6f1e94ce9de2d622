import pytest

from edge.errors import UpstreamClosed
from edge.exchange.window import Window


def window() -> Window:
    made = Window(100)
    for piece in (b"abc", b"defg", b"hi"):
        made.append(piece)
    return made


@pytest.mark.parametrize(
    ("position", "stop", "piece"),
    [
        pytest.param(100, 109, b"abc", id="the first piece"),
        pytest.param(101, 102, b"b", id="not beyond the stop"),
        pytest.param(104, 109, b"efg", id="from within a piece to its end"),
        pytest.param(107, 109, b"hi", id="the last piece"),
    ],
)
def test_piece(position: int, stop: int, piece: bytes) -> None:
    assert window().piece(position, stop) == piece


@pytest.mark.parametrize("position", [99, 109], ids=["before what is kept", "behind what is kept"])
def test_what_is_not_kept(position: int) -> None:
    with pytest.raises(UpstreamClosed):
        window().piece(position, 200)


def test_drop_keeps_the_piece_that_is_being_read() -> None:
    made = window()
    made.drop(105)
    assert (made.start, made.piece(105, 200)) == (103, b"fg")
    with pytest.raises(UpstreamClosed):
        made.piece(102, 200)


def test_has_room() -> None:
    made = Window(0)
    made.append(bytes(4 << 20))
    assert made.has_room
    made.append(b"x")
    assert not made.has_room
    made.drop(4 << 20)
    assert made.has_room
