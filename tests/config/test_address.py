import pytest

from edge.config.address import parse_address, parse_url


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(":80", "127.0.0.1:80", True, id="every interface holds each one"),
        pytest.param("0.0.0.0:80", "[::]:80", True, id="both wildcards share a port"),
        pytest.param("localhost:80", "[::1]:80", True, id="localhost is both loopback addresses"),
        pytest.param("127.0.0.1:80", "127.0.0.2:80", False, id="two addresses"),
        pytest.param("127.0.0.1:80", "127.0.0.1:81", False, id="two ports"),
        pytest.param(":0", ":0", False, id="ports the system chooses"),
        pytest.param("[0:0:0:0:0:0:0:1]:80", "[::1]:80", True, id="one address written in two ways"),
    ],
)
def test_addresses_that_cannot_both_be_listened_on(one, other, expected):
    assert parse_address(one).overlaps(parse_address(other)) is expected
    assert parse_address(other).overlaps(parse_address(one)) is expected


@pytest.mark.parametrize(
    ("address", "url", "expected"),
    [
        pytest.param(":80", "http://localhost", True, id="localhost reaches every interface"),
        pytest.param(":80", "http://127.9.9.9", True, id="all of 127.0.0.0/8 is this machine"),
        pytest.param(":443", "https://[::1]", True, id="the scheme's default port"),
        pytest.param("127.0.0.1:80", "http://LOCALHOST:80/", True, id="a name in capitals"),
        pytest.param("127.0.0.1:80", "http://0.0.0.0:80", True, id="the wildcard as a destination"),
        pytest.param(":80", "http://10.0.0.1", False, id="an address that may be another machine's"),
        pytest.param("127.0.0.1:80", "http://127.0.0.1:81", False, id="another port"),
        pytest.param("127.0.0.1:80", "http://127.0.0.2", False, id="another loopback address"),
    ],
)
def test_an_origin_that_is_this_node(address, url, expected):
    assert parse_address(address).is_reached_by(parse_url(url)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("127.0.0.1:0", True, id="127.0.0.1"),
        pytest.param("[::1]:1", True, id="::1"),
        pytest.param("localhost:1", True, id="localhost"),
        pytest.param(":1", False, id="every interface"),
        pytest.param("[::]:1", False, id="every IPv6 interface"),
        pytest.param("example.com:1", False, id="a name"),
    ],
)
def test_loopback(text, expected):
    assert parse_address(text).is_loopback is expected


@pytest.mark.parametrize("text", ["http://a", "https://a:80", "http://[::1]:8000", "https://a.b.c"])
def test_a_url_is_written_as_it_was(text):
    assert str(parse_url(text)) == text


@pytest.mark.parametrize("text", [":80", "[::1]:80", "a-b.c:0", "1.2.3.4:65535"])
def test_an_address_is_written_as_it_was(text):
    assert str(parse_address(text)) == text
