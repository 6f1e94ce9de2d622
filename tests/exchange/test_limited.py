import pytest

from edge.errors import ContentTooLarge
from edge.exchange.limited import Limited
from tests.exchange.world import RequestContent


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a", b"bc"]])
async def test_content_within_the_limit_passes(pieces: list[bytes]) -> None:
    source = Limited(RequestContent(*pieces), 3)
    assert [await source.read() for _ in range(len(pieces) + 1)] == [*pieces, b""]


@pytest.mark.parametrize("pieces", [[b"abcd"], [b"abc", b"d"]])
async def test_content_over_the_limit_is_an_error_each_time(pieces: list[bytes]) -> None:
    source = Limited(RequestContent(*pieces), 3)
    for _ in pieces[1:]:
        await source.read()
    for _ in range(2):
        with pytest.raises(ContentTooLarge):
            await source.read()
