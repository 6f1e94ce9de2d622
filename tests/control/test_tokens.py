"""Tokens and the file with their hashes."""

from hashlib import sha256

import pytest

from edge.control.tokens import Scope, Token, TokenError, Tokens, make


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# a comment\n\nci purge,read {digest('t1')}\nops read {digest('t2')}\n")
    path.chmod(0o600)
    return path


def test_a_token_is_known_by_its_hash(path):
    tokens = Tokens(path)
    assert tokens.find("t1") == Token("ci", frozenset({Scope.PURGE, Scope.READ}))
    assert tokens.find("t2") == Token("ops", frozenset({Scope.READ}))
    assert [tokens.find(other) for other in ("", "t3", digest("t1"), "\udc80")] == [None] * 4


def test_a_token_that_is_taken_out_is_unknown_at_once(path):
    tokens = Tokens(path)
    path.write_text(f"ops read {digest('t2')}\n")
    assert (tokens.find("t1"), tokens.find("t2").name) == (None, "ops")


def test_a_file_that_is_gone_lets_nobody_in(path):
    tokens = Tokens(path)
    path.unlink()
    with pytest.raises(TokenError, match="cannot be read"):
        tokens.find("t1")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("ci purge t1\n", id="a token instead of its hash"),
        pytest.param(f"ci burn {digest('t')}\n", id="an unknown scope"),
        pytest.param(f"{digest('t')}\n", id="a hash alone"),
        pytest.param("\xff\n", id="a name that is none"),
    ],
)
def test_a_malformed_file_is_refused(path, text):
    path.write_text(text, encoding="latin-1")
    with pytest.raises(TokenError, match=str(path)):
        Tokens(path)


def test_a_file_that_others_can_write_is_refused(path):
    path.chmod(0o620)
    with pytest.raises(TokenError, match="chmod"):
        Tokens(path)


def test_the_first_token_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "tokens"
    secret = make(path)
    token = secret.read_text().strip()
    assert Tokens(path).find(token) == Token("admin", frozenset(Scope))
    assert token not in path.read_text()
    assert [file.stat().st_mode & 0o777 for file in (path, secret)] == [0o600, 0o600]
    assert make(path) is None
    assert secret.read_text().strip() == token


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenError, match="cannot be made"):
        make(tmp_path / "file" / "tokens")
