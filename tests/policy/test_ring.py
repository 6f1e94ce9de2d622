from collections import Counter

import pytest

from edge.policy.ring import STRIPES, owners, stripe_of


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_every_worker_owns_about_the_same(workers):
    shares = Counter(owners(workers))
    assert shares.keys() == set(range(workers))
    assert max(shares.values()) < 1.15 * STRIPES / workers


@pytest.mark.parametrize(("few", "many"), [(1, 2), (2, 4), (4, 5)])
def test_more_workers_take_keys_and_move_none_between_the_others(few, many):
    assert all(now == before or now >= few for before, now in zip(owners(few), owners(many), strict=True))


@pytest.mark.parametrize(
    ("key_hash", "stripe"),
    [
        pytest.param(b"\x00\x00rest", 0, id="the first"),
        pytest.param(b"\x0f\xffrest", STRIPES - 1, id="the last"),
        pytest.param(b"\xff\xff", STRIPES - 1, id="all bits of the stripe"),
        pytest.param(b"\x10\x01", 1, id="what is above the stripes does not count"),
    ],
)
def test_a_stripe_is_the_beginning_of_the_hash(key_hash, stripe):
    assert stripe_of(key_hash) == stripe
