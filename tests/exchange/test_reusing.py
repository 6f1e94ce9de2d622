"""Whether a failed origin is hidden, by what the stored response allows and holds."""

import pytest

from edge.errors import UpstreamTimeout
from edge.policy.profile import SAFE, STRICT_RFC, Profile
from edge.testing.upstream import Answer
from tests.exchange.world import ETAG, World

SIE = (b"cache-control", b"max-age=1, stale-if-error=60")
PLAIN = (b"cache-control", b"max-age=1")
DOWN = Answer(error=UpstreamTimeout())
ERROR = Answer(500)


@pytest.mark.parametrize(
    ("profile", "directive", "failure", "fields", "status"),
    [
        pytest.param(SAFE, SIE, DOWN, [], 200, id="silence, and stale-if-error"),
        pytest.param(SAFE, SIE, ERROR, [], 200, id="a 5xx, and stale-if-error"),
        pytest.param(SAFE, PLAIN, DOWN, [], 504, id="silence"),
        pytest.param(STRICT_RFC, PLAIN, DOWN, [], 200, id="silence, in strict-rfc"),
        pytest.param(STRICT_RFC, PLAIN, ERROR, [], 500, id="a 5xx is not silence"),
        pytest.param(SAFE, SIE, DOWN, [(b"range", b"bytes=0-1")], 206, id="a part of it"),
        pytest.param(SAFE, SIE, DOWN, [(b"if-none-match", b'"v1"')], 304, id="its validator"),
        pytest.param(SAFE, SIE, DOWN, [(b"authorization", b"a")], 200, id="alone"),
    ],
)
async def test_stale(
    profile: Profile, directive: tuple[bytes, bytes], failure: Answer, fields: list, status: int
) -> None:
    world = World(profile=profile)
    await world.warm(Answer(fields=[directive, ETAG], content=[b"body"]))
    world.clock.advance(30)
    world.upstream.answers(failure)
    got = await world.get(*fields)
    assert (got.status, got.record.complete) == (status, True)
    assert got.trace.count("deliver") == (0 if status >= 500 else 1)
    await world.settle()
    world.assert_idle()
