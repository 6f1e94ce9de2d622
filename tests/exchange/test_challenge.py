"""Challenges of an authority are answered by the node; everything else is the origin's."""

import pytest

from edge.exchange.challenge import may_be_challenge
from edge.exchange.prepared import PreparedAnswers
from edge.exchange.site import Sites
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target
from edge.testing.upstream import Answer
from tests.exchange.world import Page, World

TOKEN = b"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"


class Open:
    """One challenge that is open."""

    def key_authorization(self, token: bytes) -> bytes | None:
        return b"answer" if token == TOKEN else None


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param(b"GET", b"/.well-known/acme-challenge/x", True, id="where they are answered"),
        pytest.param(b"POST", b"/.well-known/acme-challenge/x", False, id="by another method"),
        pytest.param(b"GET", b"/.well-known/other", False, id="elsewhere"),
    ],
)
def test_a_challenge_is_known_by_its_place(method, path, expected):
    assert may_be_challenge(Request(method, Target(b"http", b"a.test", path), FieldSection())) is expected


@pytest.mark.parametrize("site", [{"https_port": 443}, {"client_ca": "/ca.pem"}], ids=["redirected", "turned away"])
async def test_an_open_challenge_is_answered_even_where_all_else_is(site):
    world = World(challenges=Open(), **site)
    got = await world.get(path=b"/.well-known/acme-challenge/" + TOKEN)
    assert (got.status, got.content, got.trace) == (200, b"answer", ["challenge"])
    assert got.field(b"cache-control") == b"no-store"
    assert world.asked == []


@pytest.mark.parametrize("challenges", [None, Open()])
async def test_what_is_no_challenge_of_ours_may_be_one_of_the_origin(challenges):
    world = World(challenges=challenges)
    got = await world.get(path=b"/.well-known/acme-challenge/another")
    assert (got.status, len(world.asked)) == (200, 1)


async def test_what_is_published_in_the_place_of_a_challenge_is_never_ready():
    world = World()
    await world.warm(Answer(fields=[(b"cache-control", b"max-age=60")], content=[b"page"]))
    (stored,) = world.stored()

    class AtHand(Page):
        def at_hand(self, _) -> bytes:
            return b"page"

    context = world.driver._context
    answers = PreparedAnswers(
        Sites([world.site]), world.store, context.purges, b"edge", AtHand(world.store, stored)
    )  # fmt: skip
    for path, is_ready in ((b"/page", True), (b"/.well-known/acme-challenge/" + TOKEN, False)):
        found = answers.find(Request(b"GET", Target(b"http", b"a.test", path), FieldSection()))
        assert (found is not None) is is_ready
