"""The authority of a node: made once, kept to itself, and its certificate renewed in time."""

import ssl
import stat
import threading
import time

import pytest

from edge.downstream.tls_contexts import TlsContexts
from edge.downstream.tls_files import read_certificate
from edge.downstream.tls_internal import LIFETIME, InternalAuthority
from edge.errors import ParseError
from tests.downstream.talking import hearing

NOW = 1_790_000_000.0
DAY = 86_400.0
NAMES = ["a.test", "*.b.test", "127.0.0.1", "::1"]


@pytest.fixture
def authority(tmp_path):
    return InternalAuthority(tmp_path / "tls")


def test_the_certificate_is_for_all_names(authority):
    certificate = read_certificate(authority.certificate(NAMES, NOW))
    assert (certificate.names, certificate.addresses) == (("a.test", "*.b.test"), ("127.0.0.1", "::1"))
    assert certificate.out_of_date(NOW) == ""


@pytest.mark.parametrize(
    ("names", "days", "is_new"),
    [
        pytest.param(NAMES, 19, False, id="the same names, and time enough"),
        pytest.param(NAMES, 21, True, id="the same names, and little time left"),
        pytest.param(NAMES, -1, True, id="a clock that went back"),
        pytest.param(["a.test"], 0, True, id="other names"),
        pytest.param(["a.test", "*.b.test", "127.0.0.1", "0:0::1"], 0, False, id="an address spelled otherwise"),
    ],
)
def test_it_is_renewed_in_time(authority, names, days, is_new):
    before = authority.certificate(NAMES, NOW).cert.read_bytes()
    ca = authority.ca.read_bytes()
    after = authority.certificate(names, NOW + days * DAY).cert.read_bytes()
    assert (after != before) == is_new
    assert authority.ca.read_bytes() == ca
    assert LIFETIME.days == 30


def test_a_damaged_certificate_is_replaced(authority):
    files = authority.certificate(NAMES, NOW)
    files.cert.write_bytes(b"damaged")
    assert read_certificate(authority.certificate(NAMES, NOW)).names


def test_one_of_an_authority_that_is_gone_is_replaced(authority):
    before = authority.certificate(NAMES, NOW).cert.read_bytes()
    authority.ca.unlink()
    assert authority.certificate(NAMES, NOW).cert.read_bytes() != before


def test_a_damaged_authority_is_not_replaced_behind_the_operators_back(authority):
    authority.ensure(NOW)
    authority.ca.write_bytes(b"damaged")
    with pytest.raises(ParseError, match="is damaged: remove both for a new authority"):
        authority.certificate(NAMES, NOW)


def test_nobody_else_can_read_the_keys(authority):
    files = authority.certificate(NAMES, NOW)
    paths = [authority.ca.parent, authority.ca.with_name("ca.key"), files.key]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o600, 0o600]


def test_several_who_come_at_once_have_one_authority(authority):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(authority.certificate(NAMES, NOW).cert.read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1


@pytest.mark.parametrize("name", ["a.test", "x.b.test", "127.0.0.1"])
async def test_a_client_that_trusts_the_authority_is_content(authority, talking, name):
    contexts = TlsContexts([authority.certificate(NAMES, time.time())], protocols=["http/1.1"])
    _, port = await talking.listener(hearing(), tls=contexts)
    context = ssl.create_default_context(cafile=authority.ca)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    client = await talking.client(port, ssl=context, server_hostname=name)
    await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert (await client.answer()).status == 200
