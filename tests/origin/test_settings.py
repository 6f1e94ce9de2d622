from pathlib import Path

import pytest

from origin.rules import API_RULES, SITE_RULES, Rule
from origin.settings import SITE, File, SettingError, Settings, parse_listen, parse_rule, read_file, settle


def test_defaults_serve_the_sample_site() -> None:
    assert settle(File()) == Settings(root=SITE.resolve(), rules=API_RULES + SITE_RULES)


def test_file_with_everything(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    path = tmp_path / "origin.toml"
    path.write_text(
        'root = "public"\nlisten = "[::1]:0"\ndelay = "300ms"\nbandwidth = "1MiB"\nknobs = false\nquiet = true\n'
        '[[rule]]\nmatch = "*.css"\ncache_control = "public, max-age=60"\n'
    )
    first = Rule("*.js", "no-cache")
    assert settle(read_file(path), (first,)) == Settings(
        root=(tmp_path / "public").resolve(),
        host="::1",
        port=0,
        delay=0.3,
        bandwidth=1 << 20,
        knobs=False,
        quiet=True,
        rules=(first, Rule("*.css", "public, max-age=60"), *API_RULES),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("speed = 1", "unknown field `speed`", id="a setting that does not exist"),
        pytest.param("delay = 3", "Expected `str", id="a number without its unit"),
        pytest.param('delay = "soon"', "'soon' is not a duration", id="not a duration"),
        pytest.param('bandwidth = "0"', "bandwidth must be at least 1", id="no bandwidth at all"),
        pytest.param('listen = "localhost"', "is not an address and a port", id="an address without a port"),
        pytest.param('root = "none"', "is not a directory", id="a root that is not there"),
        pytest.param('[[rule]]\nmatch = "*"', "missing required field `cache_control`", id="half a rule"),
        pytest.param('[[rule]]\nmatch = "*"\ncache_control = "a\\nb"', "needs a pattern", id="a line break in a value"),
        pytest.param("root =", "Invalid value", id="not TOML"),
    ],
)
def test_refused_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "origin.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=sentence):
        settle(read_file(path))


def test_missing_file() -> None:
    with pytest.raises(SettingError, match="No such file"):
        read_file(Path("/nonexistent/origin.toml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("127.0.0.1:9000", ("127.0.0.1", 9000), id="IPv4"),
        pytest.param("[::1]:80", ("::1", 80), id="IPv6"),
        pytest.param("localhost:0", ("localhost", 0), id="a name"),
        pytest.param(":80", ("0.0.0.0", 80), id="every address"),
    ],
)
def test_listen(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["", "1.2.3.4", "1.2.3.4:", "1.2.3.4:70000", "::1:80", "a:b:1", "x:٣"])
def test_refused_listen(text: str) -> None:
    with pytest.raises(SettingError):
        parse_listen(text)


def test_rule_is_split_at_its_first_equals_sign() -> None:
    assert parse_rule("*?v=public, max-age=60") == Rule("*?v", "public, max-age=60")


@pytest.mark.parametrize("text", ["*.css", "=max-age=1", "*.css=", "*.css=a\nb"])
def test_refused_rule(text: str) -> None:
    with pytest.raises(SettingError):
        parse_rule(text)
