import os
from pathlib import Path

import pytest

from edge.config.address import Address, OriginUrl
from edge.config.errors import ConfigError
from edge.config.load import load
from edge.config.show import show

ROOT = Path(__file__).parents[2]
GOOD = """\
[[listen]]
address = ":8080"
[origins.app]
urls = ["http://10.0.0.5:8000"]
[[site]]
hosts = ["*"]
origin = "app"
"""


def written(folder: Path, text: str, name: str = "edge.toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return path


def problems(path: Path | None, flags: dict[str, object] | None = None, environ: dict[str, str] | None = None):
    with pytest.raises(ConfigError) as caught:
        load(path, flags or {}, environ or {})
    return caught.value.problems


EXAMPLES = [path.name for path in sorted((ROOT / "config").glob("*.toml"))]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_valid(name):
    assert load(ROOT / "config" / name, {}, {}).sites


def test_the_complete_example_says_the_defaults(tmp_path):
    complete = load(ROOT / "config/edge.toml", {}, {})
    least = GOOD.replace(":8080", "127.0.0.1:8080").replace("10.0.0.5", "127.0.0.1")
    assert complete == load(written(tmp_path, least), {}, {})


def test_a_node_without_a_file_needs_only_an_origin():
    config = load(None, {"origins": ["http://127.0.0.1:8000"]}, {"HOME": "/home/ann"})
    assert config.origins["default"].urls == (OriginUrl("http", "127.0.0.1", 8000),)
    assert [site.hosts for site in config.sites] == [("*",)]
    assert config.listeners[0].address == Address("127.0.0.1", 8080)
    assert config.cache.path == Path("/home/ann/.cache/foreland")


def test_the_command_line_sets_what_it_names():
    flags = {
        "listen": ["127.0.0.1:0", "[::1]:0"], "origins": ["https://app.example"], "cache.path": "/c",
        "cache.max_size": "1GiB", "cache.memory": "1MiB", "admin.address": "off", "workers": 1, "profile": "strict-rfc",
    }  # fmt: skip
    config = load(None, flags, {})
    assert [str(listener.address) for listener in config.listeners] == ["127.0.0.1:0", "[::1]:0"]
    assert config.origins["default"].urls == (OriginUrl("https", "app.example", 443),)
    assert (config.cache.path, config.cache.max_size, config.cache.memory) == (Path("/c"), 2**30, 2**20)
    assert (config.admin.address, config.sites[0].profile) == (None, "strict-rfc")


def test_flags_that_were_not_given_change_nothing(tmp_path):
    path = written(tmp_path, GOOD)
    assert load(path, {"listen": (), "cache.path": None}, {}) == load(path, {}, {})


def test_flag_beats_environment_beats_file_beats_default(tmp_path):
    path = written(tmp_path, GOOD + '[cache]\nmemory = "2MiB"\n')
    environ = {"EDGE_CACHE__MEMORY": "3MiB"}
    assert load(None, {"origins": ["http://a:1"]}, {}).cache.memory == 512 * 2**20
    assert load(path, {}, {}).cache.memory == 2 * 2**20
    assert load(path, {}, environ).cache.memory == 3 * 2**20
    assert load(path, {"cache.memory": "4MiB"}, environ).cache.memory == 4 * 2**20


def test_the_environment_reaches_every_table(tmp_path):
    path = written(tmp_path, GOOD.replace("app", "My-App"))
    environ = {
        "EDGE_NODE": "n1", "EDGE_ORIGINS__MY_APP__VERIFY": "false", "EDGE_SITE__0__KEY__DROP": "a, b",
        "EDGE_LISTEN__1__ADDRESS": ":8081", "EDGE_SOMEBODY_ELSES": "x", "HOME": "/",
    }  # fmt: skip
    config = load(path, {}, environ)
    assert (config.node, config.origins["My-App"].verify) == ("n1", False)
    assert config.sites[0].key.drop == ("a", "b")
    assert [listener.address.port for listener in config.listeners] == [8080, 8081]


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        pytest.param("${NODE}", {"NODE": "a"}, "a", id="a set variable is its value"),
        pytest.param("${NODE:-b}", {"NODE": "a"}, "a", id="a set variable beats the default"),
        pytest.param("x-${NODE:-b}", {}, "x-b", id="an unset variable is its default"),
        pytest.param("${NODE:-b}", {"NODE": ""}, "b", id="an empty variable is its default"),
    ],
)
def test_variables_are_substituted_in_strings(tmp_path, text, environ, expected):
    assert load(written(tmp_path, f'node = "{text}"\n{GOOD}'), {}, environ).node == expected


def test_variables_are_substituted_inside_lists_and_can_be_escaped(tmp_path):
    text = GOOD + 'key = { drop = ["$${A}", "${A}"] }\n'
    config = load(written(tmp_path, text), {}, {"A": "1"})
    assert config.sites[0].key.drop == ("${A}", "1")


def test_the_parts_beside_the_file_are_merged(tmp_path):
    path = written(tmp_path, GOOD)
    (tmp_path / "conf.d").mkdir()
    written(tmp_path / "conf.d", '[[site]]\nhosts = ["b.example"]\norigin = "other"\n', "b.toml")
    written(tmp_path / "conf.d", '[origins.other]\nurls = ["http://b:1"]\n[origins.app]\nkeepalive = 1\n', "a.toml")
    written(tmp_path / "conf.d", "not toml", "ignored.txt")
    config = load(path, {}, {})
    assert [site.origin for site in config.sites] == ["app", "other"]
    assert config.origins["app"].keepalive == 1


def test_a_key_in_two_files_names_both_places(tmp_path):
    path = written(tmp_path, f'node = "a"\n{GOOD}')
    (tmp_path / "conf.d").mkdir()
    part = written(tmp_path / "conf.d", '\nnode = "b"\n', "a.toml")
    [problem] = problems(path)
    assert str(problem) == f"{part}:2: node: is already set at {path}:1"


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        pytest.param("max_agee = 1", 8, "max_agee", id="an unknown key"),
        pytest.param('ttl = { defualt = "1s" }', 8, "did you mean default?", id="a misspelt key in an inline table"),
        pytest.param('ttl = { default = "-1s" }', 8, "is not a duration", id="a negative lifetime"),
        pytest.param("ttl = { default = 60 }", 8, "a bare number, not a duration", id="a duration without a unit"),
        pytest.param("collapse_wait = nan", 8, "a bare number, not a duration", id="not a number"),
        pytest.param('profile = "saef"', 8, 'did you mean "safe"?', id="a misspelt word"),
        pytest.param("collapse = 1", 8, "not a boolean", id="a number for a boolean"),
        pytest.param("hosts2 = []", 8, "did you mean hosts?", id="a key one character off"),
        pytest.param('max_size = "1GiB"', 8, "did you mean cache.max_size?", id="a key of another table"),
        pytest.param('key = { keep = ["a"], drop = ["b"] }', 8, "cannot be given with keep", id="keep and drop"),
        pytest.param('key = { query = "none", keep = ["a"] }', 8, "leaves nothing", id="none and keep"),
        pytest.param("ttl = 1", 8, "is a table: write [site[0].ttl]", id="a value for a table"),
        pytest.param('[cache]\nmax_size = "10gigs"', 9, '"10gigs" is not a size', id="an unknown unit"),
        pytest.param('[cache]\nmax_size = "1e999GB"', 9, "is not a size", id="an exponent"),
        pytest.param('[cache]\nmax_size = "15MiB"', 9, "is not 16MiB to 1024TiB", id="a cache that is too small"),
        pytest.param('[cache]\nmemory = "1023KiB"', 9, "is not 1MiB to", id="a memory tier that is too small"),
        pytest.param(
            '[cache]\nmax_size = "1GiB"\npinned = "513MiB"', 10, "more than half", id="more pinned than can be moved"
        ),
        pytest.param("[limits]\nfields = -1", 9, "is not 8 to 10000", id="a negative number"),
        pytest.param("[limits]\nfields = 1e999", 9, "a bare number, not an integer", id="infinity"),
        pytest.param("[limits]\nfields = true", 9, "a boolean, not an integer", id="a boolean for an integer"),
        pytest.param('[limits]\nfield = "64KiB"', 9, "larger than limits.field_section", id="a field over its section"),
        pytest.param('[[listen]]\naddress = ":70000"', 9, "between 0 and 65535", id="a port out of range"),
        pytest.param('[[listen]]\naddress = "8080"', 9, "is not an address", id="a port alone"),
        pytest.param('[[listen]]\naddress = "127.0.0.1:8080"', 9, "already taken", id="a listener twice"),
        pytest.param(
            '[admin]\naddress = ":8901"',
            9,
            "needs admin.cert_file and admin.key_file and admin.token_file",
            id="an admin plane on every interface",
        ),
        pytest.param(
            '[admin]\naddress = "10.0.0.5:8901"\ncert_file = "c"\nkey_file = "k"',
            9,
            "which needs admin.token_file",
            id="a public admin plane without tokens",
        ),
        pytest.param(
            '[admin]\naddress = "10.0.0.5:8901"\ntoken_file = "t"',
            9,
            "which needs admin.cert_file and admin.key_file",
            id="a public admin plane without TLS",
        ),
        pytest.param('[admin]\nkey_file = "k"', 9, "needs admin.cert_file", id="a key of the admin plane alone"),
        pytest.param(
            '[admin]\naddress = "unix:/run/a"\ncert_file = "c"\nkey_file = "k"',
            10,
            "has no effect",
            id="TLS on a Unix socket",
        ),
        pytest.param('[admin]\naddress = "unix:a.sock"', 9, "is not a Unix socket", id="a relative Unix socket"),
        pytest.param('[admin]\naddress = "unix:/run/"', 9, "is not a Unix socket", id="a directory as a Unix socket"),
        pytest.param('[admin]\naddress = "127.0.0.1:8080"', 9, "already taken by", id="admin on a listener's address"),
        pytest.param('[admin]\ncompatible = ["akamai"]', 9, "is not one of", id="an API in nobody's shape"),
        pytest.param(
            '[origins.x]\nurls = ["https://a"]\nca_file = "/nowhere/t"', 10, "cannot be read", id="a file not there"
        ),
        pytest.param('[[site]]\nhosts = ["*"]\norigin = "app"', 9, '"*" belongs to site[0] already', id="a host twice"),
        pytest.param('[[site]]\nhosts = ["A.b", "a.B"]\norigin = "app"', 9, "names a host twice", id="a host repeated"),
        pytest.param('[[site]]\nhosts = ["a b"]\norigin = "app"', 9, "is not a host name", id="a host with a space"),
        pytest.param(
            '[[site]]\nhosts = ["b"]\norigin = "app"\npurge_from = ["10.0.0.1/8"]',
            11,
            "is not a network",
            id="host bits",
        ),
        pytest.param('[[site]]\nhosts = ["b"]\norigin = "ap"', 10, 'did you mean "app"?', id="an origin unknown"),
        pytest.param('[[site]]\norigin = "app"', 8, "site[1].hosts: is missing", id="a site without hosts"),
        pytest.param("[origins.x]", 8, "origins.x.urls: is missing", id="an empty origin"),
        pytest.param("[origins.x]\nurls = []", 9, "has 0 items, not 1", id="an origin without URLs"),
        pytest.param('[origins."x y"]\nurls = []', 8, "is not a name", id="an origin's name with a space"),
        pytest.param('[origins.x]\nurls = ["http://localhost:8080"]', 9, "is this node itself", id="our own listener"),
        pytest.param('[origins.x]\nurls = ["http://[::1]:8080/"]', 9, "is this node itself", id="ourselves over IPv6"),
        pytest.param('[origins.x]\nurls = ["ftp://a"]', 9, "is not an origin", id="another scheme"),
        pytest.param('[origins.x]\nurls = ["http://a/path"]', 9, "is not an origin", id="an origin with a path"),
        pytest.param('[origins.x]\nurls = ["http://a:0"]', 9, "between 1 and 65535", id="an origin on port 0"),
        pytest.param(
            '[origins.x]\nurls = ["http://a"]\nkeepalive = 300', 10, "max_connections = 256", id="idle > most"
        ),
        pytest.param('[origins.x]\nurls = ["http://a"]\nserver_name = "b"', 10, "no effect", id="TLS without TLS"),
        pytest.param('[log]\nformat = "${NOWHERE}"', 9, "NOWHERE, which is not set", id="an unset variable"),
        pytest.param('[log]\nformat = "${"', 9, "is not ${NAME}", id="half a variable"),
        pytest.param("[log]\nformat = 2020-01-01", 9, "is a date or time, not", id="a date for a word"),
    ],
)
def test_a_problem_names_its_line_and_what_to_do(tmp_path, text, line, expected):
    path = written(tmp_path, f"{GOOD}{text}\n")
    [problem] = problems(path)
    assert expected in str(problem)
    assert str(problem).startswith(f"{path}:{line}: ")


def test_sites_with_a_quota_leave_room_to_the_others(tmp_path):
    sites = [f'[[site]]\nhosts = ["{name}"]\norigin = "app"\nquota = "24MiB"\n' for name in "abc"]
    path = written(tmp_path, f'{GOOD}[cache]\nmax_size = "64MiB"\n{"".join(sites)}')
    [problem] = problems(path)
    assert "site[3].quota: leaves less than 16MiB of cache.max_size" in str(problem)
    assert load(path, {"cache.max_size": "88MiB"}, {}).sites[3].quota == 24 << 20


def test_a_site_with_a_quota_needs_a_single_worker(tmp_path):
    site = '[[site]]\nhosts = ["a"]\norigin = "app"\nquota = "24MiB"\n'
    path = written(tmp_path, f"workers = 2\n{GOOD}{site}")
    [problem] = problems(path)
    assert "site[1].quota: needs workers = 1: 2 workers cannot divide it yet" in str(problem)
    assert load(path, {"workers": 1}, {}).sites[1].quota == 24 << 20


def test_all_problems_are_told_at_once(tmp_path):
    text = '[[listen]]\naddress = ":1"\nport = 2\n[cache]\nmemory = "1KiB"\nsize = 1\n[site]\nhosts = []\n'
    found = problems(written(tmp_path, text), {"nonsense": 1}, {"EDGE_CACHE__PATHH": "x", "EDGE_SITE__4__ORIGIN": "a"})
    assert {problem.key for problem in found} == {
        "nonsense", "cache.pathh", "site[4].origin", "listen[0].port", "cache.memory", "cache.size", "site", "origins",
    }  # fmt: skip


def test_a_file_with_nothing_in_it_is_told_what_is_missing(tmp_path):
    assert [problem.key for problem in problems(written(tmp_path, ""))] == ["listen", "origins"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b'node = "a"\nzone = \n', ":2:8: invalid value", id="a syntax error has line and column"),
        pytest.param(b'node = "a', "at the end of the file", id="a string without an end"),
        pytest.param(b"node = '\xff'", "is not UTF-8 at octet 8", id="octets that are not UTF-8"),
        pytest.param(b"a = " + b"[" * 5000, "nested too deeply", id="a tower of brackets"),
        pytest.param(b"node = 1\nnode = 2", "cannot overwrite a value", id="a key twice in one file"),
    ],
)
def test_a_file_that_is_not_toml(tmp_path, content, expected):
    path = tmp_path / "edge.toml"
    path.write_bytes(content)
    path.chmod(0o644)
    [problem] = problems(path)
    assert expected in str(problem).lower() or expected in str(problem)


def test_files_that_cannot_be_trusted_are_refused(tmp_path):
    path = written(tmp_path, GOOD)
    assert "cannot be read" in str(problems(tmp_path / "none.toml")[0])
    assert "not a regular file" in str(problems(tmp_path)[0])
    path.chmod(0o666)
    assert "every user" in str(problems(path)[0])
    path.chmod(0o644)
    (tmp_path / "conf.d").mkdir()
    elsewhere = written(tmp_path, "", "elsewhere.toml")
    (tmp_path / "conf.d/link.toml").symlink_to(elsewhere)
    assert "out of conf.d" in str(problems(path)[0])


def test_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "edge.toml")
    assert "not a regular file" in str(problems(tmp_path / "edge.toml")[0])


def test_an_origin_flag_does_not_silently_lose_against_sites_of_a_file(tmp_path):
    [problem] = problems(written(tmp_path, GOOD), {"origins": ["http://a:1"]})
    assert str(problem) == "command line: origins.default: cannot be given beside a file with sites"


def test_a_problem_tells_no_secret(tmp_path):
    text = GOOD.replace("http://10.0.0.5:8000", "http://ann:hunter2@10.0.0.5") + '[log]\nquery = "${SECRET}"\n'
    shown = "\n".join(str(problem) for problem in problems(written(tmp_path, text), {}, {"SECRET": "hunter2"}))
    assert "hunter2" not in shown
    assert "${SECRET}" in shown


def test_many_sites_have_their_places(tmp_path):
    sites = "".join(f'[[site]]\nhosts = ["h{n}.example"]\norigin = "app"\n' for n in range(1000))
    assert len(load(written(tmp_path, GOOD + sites), {}, {}).sites) == 1001


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_shown_can_be_loaded(tmp_path, name):
    config = load(ROOT / "config" / name, {"cache.path": '/a ${b} \\ " é 🦀'}, {})
    assert load(written(tmp_path, show(config)), {}, {}) == config
