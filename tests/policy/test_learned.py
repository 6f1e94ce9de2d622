"""What a node learns about keys."""

from edge.policy.learned import Learned


def test_a_key_varies_on_the_content_coding_until_more_is_known():
    learned = Learned()
    assert learned.nominated(b"k") == (b"accept-encoding",)
    learned.varies(b"k", ())
    assert learned.nominated(b"k") == ()
    learned.varies(b"k", (b"x",))
    assert learned.nominated(b"k") == (b"x",)


def test_a_key_is_uncacheable_for_a_while():
    learned = Learned(seconds=10)
    assert not learned.is_uncacheable(b"k", 0)
    learned.not_stored(b"k", 100)
    assert learned.is_uncacheable(b"k", 109)
    assert not learned.is_uncacheable(b"other", 109)
    assert not learned.is_uncacheable(b"k", 110)


def test_a_stored_response_ends_that():
    learned = Learned()
    learned.not_stored(b"k", 100)
    learned.varies(b"k", ())
    assert not learned.is_uncacheable(b"k", 100)


def test_a_key_is_asked_for_as_clients_ask_for_a_while():
    learned = Learned(seconds=10)
    learned.asked_as_is(b"k", 100)
    assert [learned.is_asked_as_is(b"k", now) for now in (109, 110)] == [True, False]


def test_only_so_many_keys_are_remembered():
    learned = Learned(limit=2)
    for key in (b"a", b"b", b"a", b"c"):
        learned.varies(key, ())
        learned.not_stored(key, 0)
    assert [learned.nominated(key) for key in (b"a", b"b", b"c")] == [(), (b"accept-encoding",), ()]
    assert [learned.is_uncacheable(key, 1) for key in (b"a", b"b", b"c")] == [True, False, True]
