import pytest

from edge.exchange.fence import Fence


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        pytest.param([], [], True, id="no invalidation"),
        pytest.param([b"a"], [], True, id="an invalidation before the request"),
        pytest.param([], [b"a"], False, id="an invalidation after the request"),
        pytest.param([], [b"b"], True, id="an invalidation of another key"),
        pytest.param([b"a"], [b"b", b"c"], True, id="a key forgotten, invalidated before the request"),
        pytest.param([], [b"a", b"b", b"c"], False, id="a key forgotten, invalidated after the request"),
        pytest.param([], [b"b", b"c", b"d"], False, id="when in doubt, no"),
    ],
)
def test_lets_through(before: list[bytes], after: list[bytes], *, passes: bool) -> None:
    fence = Fence(limit=2)
    for key in before:
        fence.invalidate(key)
    mark = fence.mark
    for key in after:
        fence.invalidate(key)
    assert fence.lets_through(b"a", mark) is passes


def test_memory_is_bounded() -> None:
    fence = Fence(limit=3)
    for number in range(100):
        fence.invalidate(b"%d" % number)
    assert len(fence._last) == 3
