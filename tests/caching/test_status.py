"""Cache-Status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caching.reuse import Detail, Fwd
from edge.caching.status import CacheStatus
from edge.caching.storing import NotStored
from edge.semantics.structured import Token, parse_list


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(CacheStatus(None, ttl=376), b"n; hit; ttl=376", id="a hit"),
        pytest.param(
            CacheStatus(None, ttl=-4, detail="stale-if-error"), b"n; hit; ttl=-4; detail=stale-if-error", id="stale"
        ),
        pytest.param(
            CacheStatus(Fwd.URI_MISS, fwd_status=200, ttl=60, stored=True, collapsed=True),
            b"n; fwd=uri-miss; fwd-status=200; ttl=60; stored; collapsed",
            id="a collapsed miss",
        ),
        pytest.param(
            CacheStatus(Fwd.METHOD, fwd_status=200, detail="private"),
            b"n; fwd=method; fwd-status=200; detail=private",
            id="written through",
        ),
    ],
)
def test_encoded(status, expected):
    assert status.encoded(b"n") == expected


_token = st.text("!#$%&'*+-.^_`|~019azAZ", min_size=1).map(str.encode)
_integer = st.none() | st.integers(-(10**15) + 1, 10**15 - 1)
_status = st.builds(
    CacheStatus,
    st.none() | st.sampled_from(Fwd),
    fwd_status=st.none() | st.integers(100, 599),
    ttl=_integer,
    stored=st.booleans(),
    collapsed=st.booleans(),
    detail=st.just("") | st.sampled_from([*Detail, *NotStored]).map(str),
)


@given(_token, _status)
def test_it_is_a_member_of_a_list(node, status):
    [member] = parse_list(status.encoded(node))
    name = member.value if isinstance(member.value, bytes) else member.value.encode()
    assert name == node
    told = {
        b"hit": status.fwd is None,
        b"fwd": status.fwd and Token(status.fwd.encode()),
        b"fwd-status": status.fwd_status,
        b"ttl": status.ttl,
        b"stored": status.stored,
        b"collapsed": status.collapsed,
        b"detail": Token(status.detail.encode()) if status.detail else None,
    }
    assert member.parameters == {key: value for key, value in told.items() if value is not None and value is not False}
