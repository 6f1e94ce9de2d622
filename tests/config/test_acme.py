"""What has to be there for certificates from an authority, and what it is called when it is not."""

import importlib.util

import pytest

from edge.config.errors import ConfigError
from edge.config.load import load
from edge.config.show import show

FILE = """
[[listen]]
address = ":8443"
tls = "acme"
{listen}
[acme]
{acme}
[origins.app]
urls = ["http://127.0.0.1:8000"]
[[site]]
hosts = [{hosts}]
origin = "app"
"""
AGREED = "terms_agreed = true"


def read(tmp_path, *, acme=AGREED, hosts='"a.test"', listen=""):
    path = tmp_path / "edge.toml"
    path.write_text(FILE.format(acme=acme, hosts=hosts, listen=listen))
    return load(path, {}, {})


def refused(tmp_path, **choices) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, **choices)
    return [f"{problem.key} {problem.sentence}" for problem in raised.value.problems]


def test_it_takes_an_agreement_and_a_name(tmp_path):
    config = read(tmp_path)
    assert (config.listeners[0].tls, config.acme.terms_agreed) == ("acme", True)
    (tmp_path / "edge.toml").write_text(show(config))
    assert load(tmp_path / "edge.toml", {}, {}) == config


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        pytest.param(
            {"acme": ""}, "acme.terms_agreed has to be true: no authority issues certificates otherwise",
            id="terms that were not agreed to",
        ),
        pytest.param(
            {"hosts": '"*", "127.0.0.1", "[::1]"'},
            "listen[0].tls no site has a host name that a certificate could be for", id="no host name",
        ),
        pytest.param(
            {"hosts": '"a.test", "*.a.test"'},
            'site[0].hosts "*.a.test" needs a DNS-01 challenge, which this version does not have', id="a wildcard",
        ),
        pytest.param(
            {"acme": f'{AGREED}\nchallenges = ["http-01"]'},
            "acme.challenges http-01 needs a listener without tls, reached on port 80", id="nowhere to answer",
        ),
        pytest.param(
            {"acme": f'{AGREED}\ncontact = ["ops@a.test", "mailto:"]'},
            "acme.contact item 2 is not a mail address", id="an address that is none",
        ),
        pytest.param(
            {"acme": f'{AGREED}\ndirectory = "http://a.test/"'},
            'acme.directory is not a URL that begins with "https://"', id="an authority without TLS",
        ),
        pytest.param(
            {"acme": f'{AGREED}\nca_file = "/none/ca.pem"'}, "acme.ca_file /none/ca.pem cannot be read",
            id="a file that cannot be read",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(tmp_path, choices, expected):
    (problem,) = refused(tmp_path, **choices)
    assert problem.replace('"http://a.test/" ', "") == expected


def test_a_plain_listener_makes_http_01_possible(tmp_path):
    choices = {"acme": f'{AGREED}\nchallenges = ["http-01"]', "listen": '[[listen]]\naddress = ":8080"'}
    assert read(tmp_path, **choices).acme.challenges == ("http-01",)


def test_the_library_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert refused(tmp_path) == ["listen[0].tls needs the extra acme: pip install foreland[acme]"]
