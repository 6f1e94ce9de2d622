"""What was purged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.key import KeyPolicy, cache_key, parse_key
from edge.policy.purging import EVERYTHING, Kind, Mode, Purge, PurgeTable, Selector, Verdict
from edge.semantics.target import Target

HARD, SOFT = Mode.HARD, Mode.SOFT


def key(path=b"/a/b", *, scheme=b"http", authority=b"h.example", query=None):
    return cache_key(Target(scheme, authority, path, query), KeyPolicy())


def url(*arguments, **parts):
    return Selector(Kind.URL, key(*arguments, **parts))


def prefix(value):
    return Selector(Kind.PREFIX, value)


def host(value):
    return Selector(Kind.HOST, value)


def tag(value):
    return Selector(Kind.TAG, value)


def table(*rules, **options):
    """Return a table of rules (mode, selectors...) with the ids 1, 2, ... at 10, 20, ... seconds."""
    made = PurgeTable(**options)
    for number, (mode, *selectors) in enumerate(rules, 1):
        made.apply(Purge(number, 10.0 * number, mode, tuple(selectors)))
    return made


@pytest.mark.parametrize(
    ("selector", "hits", "misses"),
    [
        pytest.param(url(), [key()], [key(b"/a"), key(query=b"x"), key(scheme=b"https")], id="a URL is one key"),
        pytest.param(
            prefix(b"//h.example/a"),
            [key(b"/a"), key(b"/a/"), key(b"/a/b"), key(b"/a", query=b"q"), key(b"/a", scheme=b"https")],
            [key(b"/"), key(b"/ab"), key(b"/b/a"), key(b"/a", authority=b"g.example")],
            id="a prefix ends where a segment ends",
        ),
        pytest.param(
            prefix(b"//h.example"),
            [key(b"/"), key(b"/a/b/c"), key(b"/", scheme=b"https")],
            [key(b"/", authority=b"h.example:81")],
            id="a prefix without a path is an authority",
        ),
        pytest.param(
            prefix(b"https://h.example/a"), [key(b"/a/b", scheme=b"https")], [key()], id="a prefix with a scheme"
        ),
        pytest.param(prefix(b"//h.example/a/"), [key(b"/a//b"), key(b"/a/")], [key(b"/a/b")], id="an empty segment"),
        pytest.param(
            host(b"h.example"),
            [key(), key(authority=b"h.example:81"), key(b"/x", scheme=b"https")],
            [key(authority=b"www.h.example")],
            id="a host on every port",
        ),
        pytest.param(
            host(b"h.example:81"), [key(authority=b"h.example:81")], [key()], id="a host on one port"
        ),
        pytest.param(EVERYTHING, [key(), b"not a key of a target"], [], id="everything"),
        pytest.param(host(b"h.example"), [], [b"not a key of a target"], id="a key that is none has no host"),
    ],
)  # fmt: skip
def test_what_a_selector_hits(selector, hits, misses):
    purged = table((HARD, selector))
    assert [purged.verdict(key, 0, tuple) for key in hits] == [Verdict(HARD, 10.0)] * len(hits)
    assert [purged.verdict(key, 0, tuple) for key in misses] == [None] * len(misses)


@pytest.mark.parametrize(
    ("rules", "epoch", "expected"),
    [
        pytest.param([], 0, None, id="nothing was purged"),
        pytest.param([(HARD, url())], 1, None, id="fetched since"),
        pytest.param([(HARD, url())], 0, Verdict(HARD, 10.0), id="fetched before"),
        pytest.param([(HARD, url()), (SOFT, url(b"/x"))], 1, None, id="a purge of something else since"),
        pytest.param(
            [(HARD, url()), (SOFT, url())], 0, Verdict(HARD, 10.0), id="a soft purge does not soften a hard one"
        ),
        pytest.param([(HARD, url()), (SOFT, url())], 1, Verdict(SOFT, 20.0), id="only the soft one is newer"),
        pytest.param([(SOFT, url()), (HARD, url())], 0, Verdict(HARD, 20.0), id="hard after soft"),
        pytest.param([(SOFT, url()), (SOFT, host(b"h.example"))], 0, Verdict(SOFT, 10.0), id="stale since the first"),
        pytest.param([(SOFT, tag(b"t"))], 0, Verdict(SOFT, 10.0), id="by a tag"),
        pytest.param([(SOFT, tag(b"u"))], 0, None, id="by another tag"),
        pytest.param([(SOFT, url(b"/x"))], 2, Verdict(HARD, 0.0), id="from a time that was lost"),
        pytest.param([(HARD, EVERYTHING), (SOFT, url())], 1, Verdict(SOFT, 20.0), id="purged since everything was"),
        pytest.param(
            [(HARD, url()), (SOFT, EVERYTHING)], 0, Verdict(HARD, 10.0), id="everything soft keeps a hard one"
        ),
        pytest.param([(SOFT, url(), url(b"/x"))], 0, Verdict(SOFT, 10.0), id="one of several selectors"),
    ],
)
def test_what_becomes_of_a_response(rules, epoch, expected):
    assert table(*rules).verdict(key(), epoch, lambda: [tag(b"t")]) == expected


def test_tags_are_not_asked_for_without_a_purge_of_tags_since():
    purged = table((SOFT, tag(b"t")), (SOFT, url(b"/x")))
    assert purged.verdict(key(), 1, lambda: pytest.fail("asked for the tags")) is None


@pytest.mark.parametrize(
    ("rules", "epoch", "expected"),
    [
        pytest.param([(SOFT, tag(b"t"))], 0, True, id="whatever its tags turn out to be"),
        pytest.param([(SOFT, tag(b"t")), (SOFT, url(b"/x"))], 1, False, id="no tag since"),
        pytest.param([(SOFT, url())], 0, True, id="its URL"),
    ],
)
def test_what_may_hit_a_response_that_is_not_known_yet(rules, epoch, expected):
    assert table(*rules).may_hit(key(), epoch) is expected


def test_a_purge_in_force_is_not_applied_again():
    purged = table((SOFT, url()), (HARD, EVERYTHING))
    purged.apply(Purge(1, 99.0, HARD, (host(b"h.example"),)))
    assert (purged.epoch, len(purged)) == (2, 1)


def test_newer_rules_take_the_place_of_those_they_cover():
    assert len(table((SOFT, url()), (SOFT, url()), (HARD, url()))) == 1
    assert len(table((SOFT, url()), (HARD, url(b"/x")), (SOFT, EVERYTHING))) == 2
    assert len(table((SOFT, url()), (HARD, url(b"/x")), (HARD, EVERYTHING))) == 1


def test_widening_loses_nothing_that_is_newer():
    purged = table((HARD, url(b"/x")), (SOFT, url(b"/y")), (SOFT, url(b"/z")))
    purged.widen(2)
    everything_soft = Purge(2, 20.0, SOFT, (EVERYTHING,))
    assert purged.purges() == [
        Purge(1, 10.0, HARD, (EVERYTHING,)),
        everything_soft,
        Purge(3, 30.0, SOFT, (url(b"/z"),)),
    ]
    assert purged.verdict(key(), 2, tuple) is None
    assert purged.verdict(key(), 0, tuple) == Verdict(HARD, 10.0)


def test_how_much_is_looked_at_does_not_depend_on_how_many_rules_there_are():
    # The names of a response: its key, host twice, each of three cuts with and without scheme, everything.
    for count in (10, 10_000):
        purged = table(
            *((SOFT, url(b"/%d" % n), prefix(b"//h.example/p/%d" % n), host(b"%d.h" % n)) for n in range(count))
        )
        assert len(list(purged._names(key(b"/a/b"), 0, tuple))) == 10


PATHS = [b"/", b"/a", b"/a/", b"/a/b", b"/a/b/c", b"/ab", b"/a//b"]
VALUES = [
    b"//h.example",
    b"//h.example/a",
    b"//h.example/a/b",
    b"https://h.example/a",
    b"//g.example/a",
    b"//h.example/a/",
]
KEYS = st.builds(
    key,
    st.sampled_from(PATHS),
    scheme=st.sampled_from([b"http", b"https"]),
    authority=st.sampled_from([b"h.example", b"h.example:81", b"g.example"]),
    query=st.sampled_from([None, b"", b"q"]),
)
LABELS = st.frozensets(st.builds(Selector, st.sampled_from([Kind.TAG, Kind.GROUP]), st.sampled_from([b"1", b"2"])))
SELECTORS = st.one_of(
    st.builds(Selector, st.just(Kind.URL), KEYS),
    st.builds(prefix, st.sampled_from(VALUES)),
    st.builds(host, st.sampled_from([b"h.example", b"h.example:81", b"g.example"])),
    st.builds(Selector, st.sampled_from([Kind.TAG, Kind.GROUP]), st.sampled_from([b"1", b"2"])),
    st.just(EVERYTHING),
)
RULES = st.lists(st.tuples(st.sampled_from(Mode), st.lists(SELECTORS, min_size=1, max_size=3).map(tuple)), max_size=12)


def is_hit(selector, key, labels):
    """Return whether a selector hits, by its definition."""
    kind, value = selector
    target = parse_key(key)
    match kind:
        case Kind.URL:
            return value == key
        case Kind.HOST:
            return value in (target.authority, target.host)
        case Kind.PREFIX:
            path = b"//" + target.authority + target.path
            return any(one == value or one.startswith(value + b"/") for one in (path, target.scheme + b":" + path))
        case Kind.EVERYTHING:
            return True
        case _:
            return selector in labels


@given(RULES, KEYS, LABELS, st.integers(0, 12), st.booleans())
def test_the_table_says_what_a_list_of_rules_says(rules, key, labels, epoch, is_narrow):
    epoch = min(epoch, len(rules))
    modes = [mode for mode, chosen in rules[epoch:] if any(is_hit(one, key, labels) for one in chosen)]
    expected = HARD if HARD in modes else SOFT if modes else None
    purged = table(*((mode, *chosen) for mode, chosen in rules), limit=3 if is_narrow else 1000)
    verdict = purged.verdict(key, epoch, lambda: labels)
    found = verdict.mode if verdict is not None else None
    if is_narrow:
        assert found in {expected, HARD} or (expected is None and found is SOFT)
    else:
        assert found == expected
    again = PurgeTable()
    for purge in purged.purges():
        again.apply(purge)
    assert again.verdict(key, min(epoch, again.epoch), lambda: labels) == (verdict if epoch <= again.epoch else None)
    assert purged.may_hit(key, epoch) or verdict is None
