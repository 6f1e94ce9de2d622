"""Whether a stored response may answer."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caching.freshness import FreshnessRules
from edge.caching.reuse import Detail, Fwd, Reuse, ReuseRules, Validate, decide, is_only_if_cached, stale_on_error
from edge.caching.stored import StoredResponse
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Request
from edge.semantics.target import Target

T = 1_700_000_000
SAFE = ReuseRules(FreshnessRules())
STRICT = ReuseRules(FreshnessRules(), honour_reload=True, stale_when_disconnected=True, s_maxage_forbids_stale=True)
WINDOWS = FreshnessRules(stale_while_revalidate=30, stale_if_error=60)
WAITING = ReuseRules(WINDOWS)

BACKGROUND = {"validate_in_background": True}


def stored(control, *lines):
    fields = FieldSection([(b"cache-control", control), *lines])
    return StoredResponse(b"k", b"g", b"GET", (), 200, b"OK", fields, T, T, 0)


def asking(*controls):
    lines = [(b"cache-control", control) for control in controls]
    return Request(b"GET", Target(b"http", b"h", b"/"), FieldSection(lines))


@pytest.mark.parametrize(
    ("control", "age", "expected"),
    [
        pytest.param(b"max-age=60", 59.5, Reuse(0), id="an age below the lifetime is fresh"),
        pytest.param(b"max-age=60", 60, Validate(Fwd.STALE, Detail.LIFETIME_OVER, 0), id="an age equal to it is stale"),
        pytest.param(
            b"max-age=60", 60.5, Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1), id="the ttl of a stale one is negative"
        ),
        pytest.param(b"x", 0, Validate(Fwd.STALE, Detail.LIFETIME_OVER, 0), id="without a lifetime it is always stale"),
        pytest.param(
            b"max-age=60, no-cache",
            1,
            Validate(Fwd.STALE, Detail.RESPONSE_NO_CACHE, 59),
            id="no-cache wants validation though it is fresh",
        ),
        pytest.param(b'max-age=60, no-cache="set-cookie"', 1, Reuse(59), id="no-cache for one field does not"),
        pytest.param(b"max-age=60, must-revalidate", 1, Reuse(59), id="must-revalidate says nothing while it is fresh"),
        pytest.param(
            b"max-age=60, stale-while-revalidate=30",
            89,
            Reuse(-29, Detail.STALE_WHILE_REVALIDATE, **BACKGROUND),
            id="inside stale-while-revalidate",
        ),
        pytest.param(
            b"max-age=60, stale-while-revalidate=30",
            90,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -30),
            id="behind stale-while-revalidate",
        ),
        pytest.param(
            b"max-age=60, stale-while-revalidate=30, must-revalidate",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="must-revalidate beats stale-while-revalidate",
        ),
        pytest.param(
            b"max-age=60, stale-while-revalidate=30, proxy-revalidate",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="so does proxy-revalidate",
        ),
        pytest.param(
            b"max-age=60, stale-while-revalidate=30, no-cache",
            61,
            Validate(Fwd.STALE, Detail.RESPONSE_NO_CACHE, -1),
            id="so does no-cache",
        ),
        pytest.param(
            b"s-maxage=60, stale-while-revalidate=30",
            61,
            Reuse(-1, Detail.STALE_WHILE_REVALIDATE, **BACKGROUND),
            id="s-maxage does not when the origin states both",
        ),
        pytest.param(
            b"s-maxage=60, stale-if-error=30",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="stale-if-error opens no window for validation",
        ),
    ],
)
def test_decide(control, age, expected):
    assert decide(asking(), stored(control), now=T + age, rules=SAFE) == expected


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        pytest.param(b"max-age=60", Reuse(-1, Detail.STALE_WHILE_REVALIDATE, **BACKGROUND), id="where none is stated"),
        pytest.param(
            b"s-maxage=60", Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1), id="not against s-maxage (RFC 9111 5.2.2.10)"
        ),
        pytest.param(
            b"s-maxage=60, stale-if-error=9",
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="nor against s-maxage that is relaxed for errors only",
        ),
        pytest.param(
            b"max-age=60, must-revalidate", Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1), id="nor must-revalidate"
        ),
    ],
)
def test_the_operators_window(control, expected):
    assert decide(asking(), stored(control), now=T + 61, rules=WAITING) == expected


@pytest.mark.parametrize(
    ("control", "request_control", "age", "expected"),
    [
        pytest.param(b"max-age=60", b"no-cache", 1, Validate(Fwd.REQUEST, Detail.REQUEST_NO_CACHE, 59), id="no-cache"),
        pytest.param(
            b"max-age=60",
            b"no-cache",
            61,
            Validate(Fwd.STALE, Detail.REQUEST_NO_CACHE, -1),
            id="no-cache on what is stale anyway",
        ),
        pytest.param(b"max-age=60", b"max-age=5", 5, Reuse(55), id="an age up to max-age"),
        pytest.param(
            b"max-age=60", b"max-age=5", 6, Validate(Fwd.REQUEST, Detail.REQUEST_MAX_AGE, 54), id="an age above max-age"
        ),
        pytest.param(
            b"max-age=60",
            b"max-age=5, max-stale",
            6,
            Validate(Fwd.REQUEST, Detail.REQUEST_MAX_AGE, 54),
            id="max-stale is about staleness, not about age",
        ),
        pytest.param(
            b"max-age=60", b"max-age=x", 1, Validate(Fwd.REQUEST, Detail.REQUEST_MAX_AGE, 59), id="an invalid max-age"
        ),
        pytest.param(b"max-age=60", b"min-fresh=10", 50, Reuse(10), id="fresh for as long as min-fresh"),
        pytest.param(
            b"max-age=60",
            b"min-fresh=10",
            51,
            Validate(Fwd.REQUEST, Detail.REQUEST_MIN_FRESH, 9),
            id="not for as long as min-fresh",
        ),
        pytest.param(b"max-age=60, immutable", b"max-age=0", 59, Reuse(1), id="a reload of what is immutable"),
        pytest.param(
            b"max-age=60, immutable",
            b"max-age=0",
            61,
            Validate(Fwd.STALE, Detail.REQUEST_MAX_AGE, -1),
            id="immutable ends with the lifetime",
        ),
        pytest.param(
            b"max-age=60, immutable",
            b"no-cache",
            1,
            Validate(Fwd.REQUEST, Detail.REQUEST_NO_CACHE, 59),
            id="a forced reload of what is immutable",
        ),
        pytest.param(b"max-age=60", b"max-stale", 10**6, Reuse(60 - 10**6, Detail.MAX_STALE), id="any staleness"),
        pytest.param(b"max-age=60", b"max-stale=10", 70, Reuse(-10, Detail.MAX_STALE), id="as stale as max-stale"),
        pytest.param(
            b"max-age=60",
            b"max-stale=10",
            71,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -11),
            id="staler than max-stale",
        ),
        pytest.param(
            b"max-age=60",
            b"max-stale=x",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="an invalid max-stale allows none",
        ),
        pytest.param(
            b"max-age=60, must-revalidate",
            b"max-stale",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="must-revalidate beats max-stale",
        ),
        pytest.param(
            b"s-maxage=60",
            b"max-stale",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="s-maxage beats max-stale",
        ),
        pytest.param(
            b"max-age=60, stale-while-revalidate=30",
            b"max-age=99",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="who asks for max-age wants nothing stale",
        ),
        pytest.param(
            b"max-age=60, stale-while-revalidate=30",
            b"max-age=99, max-stale=1",
            61,
            Reuse(-1, Detail.STALE_WHILE_REVALIDATE, **BACKGROUND),
            id="unless max-stale stands beside it",
        ),
        pytest.param(
            b"s-maxage=60, stale-while-revalidate=30",
            b"x",
            61,
            Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1),
            id="s-maxage to the letter forbids what stands beside it",
        ),
    ],
)
def test_honouring_the_request(control, request_control, age, expected):
    assert decide(asking(request_control), stored(control), now=T + age, rules=STRICT) == expected


@pytest.mark.parametrize("control", [b"no-cache", b"max-age=0", b"min-fresh=99", b"no-store"])
def test_a_request_cannot_reload_in_the_safe_profile(control):
    assert decide(asking(control), stored(b"max-age=60"), now=T + 1, rules=SAFE) == Reuse(59)


def test_a_request_cannot_ask_for_stale_in_the_safe_profile():
    decision = decide(asking(b"max-stale"), stored(b"max-age=60"), now=T + 61, rules=SAFE)
    assert decision == Validate(Fwd.STALE, Detail.LIFETIME_OVER, -1)


@pytest.mark.parametrize(
    ("control", "age", "disconnected", "rules", "expected"),
    [
        pytest.param(b"max-age=60", 61, True, SAFE, None, id="nobody allows it"),
        pytest.param(
            b"max-age=60, stale-if-error=9", 68, False, SAFE, Reuse(-8, Detail.STALE_IF_ERROR), id="inside the window"
        ),
        pytest.param(b"max-age=60, stale-if-error=9", 69, False, SAFE, None, id="behind the window"),
        pytest.param(
            b"max-age=60, stale-while-revalidate=9",
            68,
            False,
            SAFE,
            Reuse(-8, Detail.STALE_IF_ERROR),
            id="what may be used while it is validated may be used when that fails",
        ),
        pytest.param(b"max-age=60", 119, False, WAITING, Reuse(-59, Detail.STALE_IF_ERROR), id="the operator's window"),
        pytest.param(b"s-maxage=60", 61, False, WAITING, None, id="not against s-maxage"),
        pytest.param(
            b"s-maxage=60, stale-while-revalidate=9",
            70,
            False,
            WAITING,
            None,
            id="beside s-maxage only what is stated counts",
        ),
        pytest.param(b"max-age=60, stale-if-error=9, must-revalidate", 61, True, STRICT, None, id="must-revalidate"),
        pytest.param(b"max-age=60, stale-if-error=9, proxy-revalidate", 61, True, STRICT, None, id="proxy-revalidate"),
        pytest.param(b"max-age=60, stale-if-error=9, no-cache", 61, True, STRICT, None, id="no-cache"),
        pytest.param(b"max-age=60, no-cache", 1, True, STRICT, None, id="no-cache though it is fresh"),
        pytest.param(b"s-maxage=60, stale-if-error=9", 61, True, STRICT, None, id="s-maxage to the letter"),
        pytest.param(
            b"max-age=60", 10**6, True, STRICT, Reuse(60 - 10**6, Detail.STALE_DISCONNECTED), id="disconnected"
        ),
        pytest.param(b"max-age=60", 61, False, STRICT, None, id="a server error is an answer"),
        pytest.param(
            b"max-age=60, must-revalidate", 1, False, STRICT, Reuse(59), id="must-revalidate while it is still fresh"
        ),
    ],
)
def test_stale_on_error(control, age, disconnected, rules, expected):
    assert stale_on_error(stored(control), now=T + age, rules=rules, disconnected=disconnected) == expected


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        pytest.param(b"only-if-cached", True, id="alone"),
        pytest.param(b"max-stale, Only-If-Cached", True, id="among others"),
        pytest.param(b"x", False, id="absent"),
    ],
)
def test_only_if_cached(control, expected):
    assert is_only_if_cached(asking(control)) is expected


_names = [b"max-age=60", b"s-maxage=60", b"no-cache", b"must-revalidate", b"stale-while-revalidate=9", b"immutable"]
_control = st.lists(st.sampled_from(_names)).map(b", ".join)


@given(_control, st.floats(0, 200), st.floats(0, 200), st.sampled_from([SAFE, STRICT, WAITING]))
def test_what_may_not_be_reused_may_not_be_later(control, one, other, rules):
    earlier, later = sorted((one, other))
    response = stored(control)
    if isinstance(decide(asking(), response, now=T + earlier, rules=rules), Validate):
        assert isinstance(decide(asking(), response, now=T + later, rules=rules), Validate)


@pytest.mark.parametrize(
    ("rules", "control", "purged", "age", "expected"),
    [
        pytest.param(
            SAFE, b"max-age=60", 10, 10, Validate(Fwd.STALE, Detail.SOFT_PURGED, 0), id="stale from that moment on"
        ),
        pytest.param(SAFE, b"max-age=60", 10, 30, Validate(Fwd.STALE, Detail.SOFT_PURGED, -20), id="and ever more so"),
        pytest.param(
            SAFE, b"max-age=60", 20, 10, Validate(Fwd.STALE, Detail.SOFT_PURGED, 0), id="even if the clock was put back"
        ),
        pytest.param(
            SAFE, b"max-age=60", 80, 90, Validate(Fwd.STALE, Detail.SOFT_PURGED, -30), id="it lengthens no lifetime"
        ),
        pytest.param(
            WAITING, b"max-age=60", 10, 39, Reuse(-29, Detail.STALE_WHILE_REVALIDATE, **BACKGROUND), id="inside the window"
        ),
        pytest.param(
            WAITING, b"max-age=60", 10, 40, Validate(Fwd.STALE, Detail.SOFT_PURGED, -30), id="behind the window"
        ),
        pytest.param(
            WAITING, b"max-age=60, must-revalidate", 10, 11, Validate(Fwd.STALE, Detail.SOFT_PURGED, -1),
            id="must-revalidate allows no window",
        ),
    ],
)  # fmt: skip
def test_what_was_purged_softly_is_stale(rules, control, purged, age, expected):
    response = replace(stored(control), purged_at=T + purged)
    assert decide(asking(), response, now=T + age, rules=rules) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(SAFE, None, id="not without a window"),
        pytest.param(WAITING, Reuse(-1, Detail.STALE_IF_ERROR), id="as far as the operator allows"),
    ],
)
def test_what_was_purged_softly_may_stand_in_for_an_origin_that_fails(rules, expected):
    response = replace(stored(b"max-age=60"), purged_at=T + 10)
    assert stale_on_error(response, now=T + 11, rules=rules, disconnected=True) == expected
