"""A listener's `tls`, as it is written and as it is used."""

from pathlib import Path

import pytest

from edge.config.errors import ConfigError
from edge.config.kinds import CertificateFiles
from edge.config.load import load
from edge.config.model import Config
from edge.config.show import show

FILE = """
[[listen]]
address = ":8443"
{listen}
[origins.app]
urls = ["http://127.0.0.1:8000"]
[[site]]
hosts = ["a.test"]
origin = "app"
{site}
"""


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    (tmp_path / "a.pem").write_text("read by the listener, not here")
    return tmp_path / "a.pem"


def loaded(tmp_path: Path, listen: str = "", *, site: str = "", environ: dict[str, str] | None = None) -> Config:
    path = tmp_path / "edge.toml"
    path.write_text(FILE.format(listen=listen, site=site))
    return load(path, {}, environ or {})


def refused(tmp_path: Path, listen: str = "", *, site: str = "") -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, listen, site=site)
    return [f"{problem.key} {problem.sentence}" for problem in raised.value.problems]


def test_files_are_given_in_a_table(tmp_path, pem):
    config = loaded(tmp_path, f'tls = {{ cert = "{pem}", key = "{pem}" }}')
    assert config.listeners[0].tls == (CertificateFiles(pem, pem),)


def test_several_are_given_in_a_list(tmp_path, pem):
    table = f'{{ cert = "{pem}", key = "{pem}" }}'
    assert loaded(tmp_path, f"tls = [{table}, {table}]").listeners[0].tls == (CertificateFiles(pem, pem),) * 2


def test_paths_may_come_from_the_environment(tmp_path, pem):
    config = loaded(tmp_path, 'tls = { cert = "${PEM}", key = "${PEM}" }', environ={"PEM": str(pem)})
    assert config.listeners[0].tls == (CertificateFiles(pem, pem),)


@pytest.mark.parametrize("listen", ['tls = "internal"', "tls = {one}", "tls = [{one}, {one}]", ""])
def test_what_is_shown_says_the_same(tmp_path, pem, listen):
    config = loaded(tmp_path, listen.replace("{one}", f'{{ cert = "{pem}", key = "{pem}" }}'))
    (tmp_path / "edge.toml").write_text(show(config))
    assert load(tmp_path / "edge.toml", {}, {}) == config


@pytest.mark.parametrize(
    "written",
    [
        pytest.param('"external"', id="another word"),
        pytest.param("true", id="no word"),
        pytest.param("[]", id="nothing"),
        pytest.param("{}", id="an empty table"),
        pytest.param('{ cert = "a.pem" }', id="no key"),
        pytest.param('{ cert = "a.pem", key = "a.pem", ca = "a.pem" }', id="something else"),
        pytest.param('["internal"]', id="the word in a list"),
        pytest.param('{ cert = 1, key = "a.pem" }', id="a number for a path"),
    ],
)
def test_anything_else_is_refused(tmp_path, written):
    (problem,) = refused(tmp_path, f"tls = {written}")
    assert problem.startswith("listen[0].tls ")


@pytest.mark.parametrize(
    ("listen", "site", "expected"),
    [
        pytest.param(
            'tls = { cert = "/none/a.pem", key = "/none/a.key" }', "",
            ["listen[0].tls /none/a.pem cannot be read", "listen[0].tls /none/a.key cannot be read"],
            id="files that cannot be read",
        ),
        pytest.param(
            'tls = "internal"\nclient_ca = "/none/ca.pem"', "", ["listen[0].client_ca /none/ca.pem cannot be read"],
            id="authorities that cannot be read",
        ),
        pytest.param(
            'client_ca = "/dev/null"', "", ["listen[0].client_ca has no effect without tls"],
            id="client certificates without tls",
        ),
        pytest.param(
            'tls = "internal"', 'client_ca = "/none/ca.pem"', ["site[0].client_ca /none/ca.pem cannot be read"],
            id="authorities of a site that cannot be read",
        ),
        pytest.param(
            "", 'client_ca = "/dev/null"',
            ["site[0].client_ca needs a listener with tls: elsewhere, no client can show a certificate"],
            id="client certificates of a site without tls",
        ),
        pytest.param(
            'tls = "internal"\n[[listen]]\naddress = ":8080"', 'client_ca = "/dev/null"',
            [
                'site[0].client_ca needs https = "redirect": nobody can show a certificate at listen[1], which has no tls',
            ],
            id="client certificates of a site that is reached without tls as well",
        ),
        pytest.param(
            "", 'https = "redirect"', ["site[0].https needs a listener with tls to redirect to"],
            id="a redirection to nowhere",
        ),
        pytest.param(
            'proxy_protocol = ["10.0.0.1/8"]', "",
            [
                'listen[0].proxy_protocol ["10.0.0.1/8"] is not a network such as "10.0.0.0/8" or "2001:db8::/32"',
            ],
            id="a network with host bits",
        ),
    ],
)  # fmt: skip
def test_contradictions_are_named(tmp_path, listen, site, expected):
    assert refused(tmp_path, listen, site=site) == expected


def test_a_site_with_client_certificates_may_redirect_from_where_none_is_shown(tmp_path, pem):
    listen = 'tls = "internal"\n[[listen]]\naddress = ":8080"'
    config = loaded(tmp_path, listen, site=f'client_ca = "{pem}"\nhttps = "redirect"')
    assert [(site.client_ca, site.https) for site in config.sites] == [(pem, "redirect")]


def test_a_redirection_needs_a_port_that_is_known(tmp_path):
    flags = {"listen_tls": ["127.0.0.1:0"], "tls": "internal"}
    (tmp_path / "edge.toml").write_text(FILE.format(listen="", site='https = "redirect"'))
    with pytest.raises(ConfigError, match="whose port is not 0"):
        load(tmp_path / "edge.toml", flags, {})


class TestFlags:
    @pytest.mark.parametrize(
        ("flags", "expected"),
        [
            pytest.param(
                {"listen": [":80"], "listen_tls": [":443"], "tls": "internal"},
                [(80, None), (443, "internal")],
                id="both kinds of listener",
            ),
            pytest.param({"listen_tls": [":443"], "tls": "internal"}, [(443, "internal")], id="TLS alone"),
            pytest.param({"listen": [":80"], "listen_tls": []}, [(80, None)], id="plain alone"),
        ],
    )
    def test_listeners_on_the_command_line_are_all_there_are(self, tmp_path, flags, expected):
        (tmp_path / "edge.toml").write_text(FILE.format(listen="", site=""))
        config = load(tmp_path / "edge.toml", flags, {})
        assert [(listener.address.port, listener.tls) for listener in config.listeners] == expected

    def test_without_a_file_tls_alone_is_enough(self, pem):
        files = {"cert": str(pem), "key": str(pem)}
        config = load(None, {"origins": ["http://127.0.0.1:1"], "listen_tls": [":8443"], "tls": files}, {})
        assert [listener.tls for listener in config.listeners] == [(CertificateFiles(pem, pem),)]
