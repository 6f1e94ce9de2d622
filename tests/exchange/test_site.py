"""Sites."""

import pytest

from edge.caching.freshness import FreshnessRules
from edge.exchange.site import Site, Sites
from edge.policy.profile import SAFE, STRICT_RFC

NAMED = [
    Site("exact", (b"example.org", b"www.example.org"), "o"),
    Site("below", (b"*.example.org",), "o"),
    Site("deeper", (b"*.img.example.org",), "o"),
]
ANY = Site("any", (b"*",), "o")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param(b"example.org", "exact", id="an exact host"),
        pytest.param(b"www.example.org", "exact", id="an exact host before a wildcard"),
        pytest.param(b"a.example.org", "below", id="below a wildcard"),
        pytest.param(b"b.a.example.org", "below", id="further below"),
        pytest.param(b"a.img.example.org", "deeper", id="the longest wildcard"),
        pytest.param(b"img.example.org", "below", id="a wildcard is not its own host"),
        pytest.param(b"badexample.org", None, id="a host that only ends like it"),
        pytest.param(b"org", None, id="a host above it"),
        pytest.param(b"[::1]", None, id="an address"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_find(host, expected):
    found = Sites(NAMED).find(host)
    assert (found and found.name) == expected
    other = Sites([ANY, *NAMED]).find(host)
    assert other is not None
    assert other.name == (expected or "any")


def test_without_wildcards_only_names_are_found():
    sites = Sites(NAMED[:1])
    assert sites.find(b"example.org") is NAMED[0]
    assert sites.find(b"a.example.org") is None


@pytest.mark.parametrize("profile", [SAFE, STRICT_RFC])
def test_the_rules_are_the_profiles(profile):
    freshness = FreshnessRules(default=7)
    site = Site("s", (b"h",), "o", profile=profile, freshness=freshness, strip_cookies=True)
    storing, reuse = site.storing_rules, site.reuse_rules
    assert storing.freshness is reuse.freshness is freshness
    assert storing.strip_cookies
    for name in ("store_set_cookie", "cookie_needs_explicit", "store_server_errors", "store_post"):
        assert getattr(storing, name) is getattr(profile, name)
    for name in ("honour_reload", "stale_when_disconnected", "s_maxage_forbids_stale"):
        assert getattr(reuse, name) is getattr(profile, name)
