import pytest

from origin.rules import API_RULES, SITE_RULES, Rule, cache_control


@pytest.mark.parametrize(
    ("match", "path", "parameters", "expected"),
    [
        pytest.param("*.css", "/a/b/x.css", (), True, id="without a slash the last segment decides"),
        pytest.param("/a/*.css", "/a/x.css", (), True, id="a star stands for part of a segment"),
        pytest.param("/a/*.css", "/a/b/x.css", (), False, id="a star does not reach over a slash"),
        pytest.param("/a/**", "/a/b/x.css", (), True, id="two stars reach over slashes"),
        pytest.param("*.html", "/a/", (), True, id="a directory is its index"),
        pytest.param("*?v", "/x.css", ("v",), True, id="a parameter that is there"),
        pytest.param("*?v", "/x.css", ("w",), False, id="a parameter that is not there"),
        pytest.param("/a[b].css", "/ab.css", (), False, id="brackets stand for themselves"),
        pytest.param("/a.css", "/axcss", (), False, id="a dot stands for itself"),
        pytest.param("/a", "/a/b", (), False, id="the whole path must match"),
    ],
)
def test_match(match: str, path: str, parameters: tuple[str, ...], expected: bool) -> None:
    assert cache_control([Rule(match, "yes")], path, parameters) == ("yes" if expected else None)


def test_first_match_decides() -> None:
    assert cache_control([Rule("*.js", "first"), Rule("**", "second")], "/x.js", ()) == "first"


@pytest.mark.parametrize(
    ("path", "parameters", "expected"),
    [
        pytest.param("/", (), "public, max-age=60, stale-while-revalidate=30", id="pages a minute"),
        pytest.param("/style.css", ("v",), "public, max-age=31536000, immutable", id="versioned targets a year"),
        pytest.param("/", ("v",), "public, max-age=60, stale-while-revalidate=30", id="pages are never immutable"),
        pytest.param("/assets/app.4f9c2e.js", (), "public, max-age=31536000, immutable", id="fingerprinted a year"),
        pytest.param("/images/dawn.png", (), "public, max-age=86400", id="images a day"),
        pytest.param("/api/private", (), "private, no-store", id="the private API is not stored"),
        pytest.param("/api/time", (), "public, max-age=5", id="the public API five seconds"),
        pytest.param("/large.bin", (), "public, max-age=3600", id="the large file an hour"),
    ],
)
def test_defaults(path: str, parameters: tuple[str, ...], expected: str) -> None:
    assert cache_control(API_RULES + SITE_RULES, path, parameters) == expected
