"""Certificates as files: what is read from them, and a sentence about each way to be of no use."""

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from edge.downstream.tls_files import CertificateFiles, read_authorities, read_certificate
from edge.errors import ParseError
from tests.downstream.certificates import issue


def test_a_certificate_says_what_it_is_for(tmp_path):
    certificate = read_certificate(issue(tmp_path, "A.test", "*.wild.test", "127.0.0.1"))
    assert certificate.names == ("a.test", "*.wild.test")
    assert certificate.addresses == ("127.0.0.1",)
    assert certificate.not_before < certificate.not_after


@pytest.mark.parametrize(
    ("host", "is_covered"),
    [
        pytest.param("a.test", True, id="the name itself"),
        pytest.param("x.wild.test", True, id="a name below the wildcard"),
        pytest.param("*.wild.test", True, id="the wildcard"),
        pytest.param("127.0.0.1", True, id="the address"),
        pytest.param("b.test", False, id="another name"),
        pytest.param("x.y.wild.test", False, id="two labels below the wildcard"),
        pytest.param("wild.test", False, id="the name above the wildcard"),
    ],
)
def test_names_are_covered_as_browsers_see_it(tmp_path, host, is_covered):
    assert read_certificate(issue(tmp_path, "a.test", "*.wild.test", "127.0.0.1")).covers(host) == is_covered


def test_the_time_it_is_good_for(tmp_path):
    certificate = read_certificate(issue(tmp_path, "a.test"))
    assert certificate.out_of_date(certificate.not_before) == ""
    assert "is not valid before" in certificate.out_of_date(certificate.not_before - 1)
    assert "expired at" in certificate.out_of_date(certificate.not_after)


def with_chain(tmp_path) -> tuple[CertificateFiles, list[bytes]]:
    root = trustme.CA()
    middle = root.create_child_ca()
    files = issue(tmp_path, "a.test", ca=middle)
    return files, [blob.bytes() for blob in middle.issue_cert("b.test").cert_chain_pems[1:]]


def test_a_chain_in_order_is_good(tmp_path):
    files, above = with_chain(tmp_path)
    assert len(above) == 1
    assert read_certificate(files).names == ("a.test",)


class TestWhatIsOfNoUse:
    def refused(self, files: CertificateFiles, match: str) -> None:
        with pytest.raises(ParseError, match=match):
            read_certificate(files)

    def test_the_key_of_another(self, tmp_path):
        one, other = issue(tmp_path, "a.test"), issue(tmp_path, "b.test")
        self.refused(CertificateFiles(one.cert, other.key), r"b\.test\.key is not the key of .*a\.test\.pem")

    def test_a_chain_with_a_stranger_in_it(self, tmp_path):
        files, _ = with_chain(tmp_path)
        leaf = files.cert.read_bytes().partition(b"-----END CERTIFICATE-----\n")
        files.cert.write_bytes(leaf[0] + leaf[1] + trustme.CA().cert_pem.bytes())
        self.refused(files, "certificate 1 is not issued by the one after it")

    def test_a_chain_that_begins_with_its_end(self, tmp_path):
        files, above = with_chain(tmp_path)
        files.cert.write_bytes(above[0] + files.cert.read_bytes())
        self.refused(files, "is not the key of")

    @pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nnothing\n"], ids=["empty", "damaged"])
    def test_no_certificate(self, tmp_path, content):
        files = issue(tmp_path, "a.test")
        files.cert.write_bytes(content)
        self.refused(files, "holds no certificate")

    @pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nx\n"], ids=["empty", "damaged"])
    def test_no_key(self, tmp_path, content):
        files = issue(tmp_path, "a.test")
        files.key.write_bytes(content)
        self.refused(files, "holds no private key")

    def test_a_key_behind_a_password(self, tmp_path):
        files = issue(tmp_path, "a.test")
        key = load_pem_private_key(files.key.read_bytes(), None)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
        files.key.write_bytes(locked)
        self.refused(files, "needs a password")

    def test_a_file_that_is_not_there(self, tmp_path):
        self.refused(CertificateFiles(tmp_path / "a.pem", tmp_path / "a.key"), "No such file")

    def test_one_without_names(self, tmp_path):
        files = issue(tmp_path, "me@a.test")
        self.refused(files, "is for no DNS name")


class TestAuthorities:
    def files(self, tmp_path, *held: list[trustme.CA]) -> list:
        paths = [tmp_path / f"{number}.pem" for number, _ in enumerate(held)]
        for path, authorities in zip(paths, held, strict=True):
            path.write_bytes(b"".join(authority.cert_pem.bytes() for authority in authorities))
        return paths

    def test_are_the_same_in_any_order_and_number(self, tmp_path):
        one, other = trustme.CA(), trustme.CA()
        first, second = self.files(tmp_path, [one, other], [other, one, one])
        assert read_authorities(first) == read_authorities(second)

    def test_of_several_files_are_those_that_are_in_all(self, tmp_path):
        one, both, other = trustme.CA(), trustme.CA(), trustme.CA()
        first, second, alone = self.files(tmp_path, [one, both], [both, other], [both])
        assert read_authorities(first, second) == read_authorities(alone)

    def test_that_no_two_files_share_are_of_no_use(self, tmp_path):
        first, second = self.files(tmp_path, [trustme.CA()], [trustme.CA()])
        with pytest.raises(ParseError, match=rf"^no authority is in {first} and in {second}: "):
            read_authorities(first, second)

    def test_that_are_none_are_of_no_use(self, tmp_path):
        (path,) = self.files(tmp_path, [])
        with pytest.raises(ParseError, match=r"0\.pem holds no certificate in PEM"):
            read_authorities(path)
