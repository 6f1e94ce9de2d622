"""The directory that supervisor and workers share."""

import pytest

from edge.acme.folder import Folder, alpn_name

TOKEN = b"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


@pytest.fixture
def folder(tmp_path) -> Folder:
    folder = Folder(tmp_path / "acme")
    folder.make()
    return folder


def test_an_answer_is_found_for_as_long_as_the_challenge_is_open(folder):
    with folder.answering(TOKEN.decode(), b"answer"):
        assert folder.key_authorization(TOKEN) == b"answer"
    assert folder.key_authorization(TOKEN) is None


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(b"short", id="shorter than any token"),
        pytest.param(b"..%2f..%2f..%2faccount.key", id="what is no token"),
        pytest.param(b"../account.key/../account.key", id="a path"),
        pytest.param(b"a" * 129, id="longer than any token"),
        pytest.param(b"a.test.alpn-and-more", id="the answer to another challenge"),
    ],
)
def test_nothing_else_is_read(folder, token):
    folder.account_key.write_bytes(b"secret")
    with folder.answering("a.test.alpn-and-more", b"answer"):
        assert folder.key_authorization(token) is None


def test_the_certificate_that_answers_is_found_by_its_host(folder):
    with folder.answering(alpn_name("a.test"), b"certificate"):
        path = folder.alpn_certificate("A.test")
        assert path is not None
        assert path.read_bytes() == b"certificate"
        assert [folder.alpn_certificate(name) for name in ("b.test", "../challenges/a.test", "", "a..test")] == [
            None
        ] * 4
    assert folder.alpn_certificate("a.test") is None


def test_what_a_killed_process_left_open_is_removed(folder):
    folder.answering(TOKEN.decode(), b"answer").__enter__()
    folder.clean()
    assert folder.key_authorization(TOKEN) is None


def test_another_certificate_stands_in_until_there_is_one(folder, tmp_path):
    names, shown = ("a.test", "b.test"), tmp_path / "internal.pem"
    shown.write_bytes(b"internal")
    for _ in range(2):
        assert folder.stand_in(names, shown).read_bytes() == b"internal"
    assert not folder.is_issued(names)
    folder.stand_in(names, shown).unlink()
    (tmp_path / "acme" / "a.test.pem").write_bytes(b"issued")
    assert folder.is_issued(names)
    assert folder.stand_in(names, shown).read_bytes() == b"issued"


def test_one_that_leads_nowhere_is_made_anew(folder, tmp_path):
    names, shown = ("a.test",), tmp_path / "internal.pem"
    folder.stand_in(names, tmp_path / "gone")
    shown.write_bytes(b"internal")
    assert folder.stand_in(names, shown).read_bytes() == b"internal"
