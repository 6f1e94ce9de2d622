"""Who may do what on the admin plane: bearer tokens with scopes, of which only hashes are kept."""

import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from edge.errors import EdgeError

_line = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}) (?P<scopes>[a-z]+(?:,[a-z]+)*) (?P<digest>[0-9a-f]{64})").fullmatch
_HEADING = "# One token a line: its name, its scopes, and the SHA-256 of it in hexadecimal.\n"


class Scope(StrEnum):
    """What a token allows."""

    READ = "read"
    PURGE = "purge"
    PUSH = "push"
    CONFIG = "config"


class TokenError(EdgeError):
    """The token file cannot be used."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was recognised: its name, for the log, and what it allows."""

    name: str
    scopes: frozenset[Scope]


class Tokens:
    """The tokens in a file, which may change at any time."""

    def __init__(self, path: Path) -> None:
        """Read the file; TokenError if it cannot be used."""
        self.path = path
        self._seen: tuple[int, ...] = ()
        self._by_digest: Mapping[str, Token] = {}
        self._read()

    def find(self, token: str) -> Token | None:
        """Return what `token` stands for, None if it is unknown; TokenError if the file cannot be used any more."""
        self._read()
        digest = sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        found = None
        for known, allowed in self._by_digest.items():
            if hmac.compare_digest(known, digest):
                found = allowed
        return found

    def _read(self) -> None:
        try:
            with self.path.open(encoding="utf-8") as file:
                facts = os.fstat(file.fileno())
                seen = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
                if seen == self._seen:
                    return
                if facts.st_mode & 0o022:
                    raise TokenError(f"{self.path} can be written by others: chmod 600 it")
                self._by_digest = _parsed(file.read(), self.path)
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"{self.path} cannot be read: {error}") from error


def reader(path: Path | None) -> Callable[[bytes], bool]:
    """Return what says whether something is a token, of those in the file at `path`, that may read."""
    opened: list[Tokens] = []

    def may_read(given: bytes) -> bool:
        if path is None:
            return False
        try:
            if not opened:
                # The file may be made after this was.
                opened.append(Tokens(path))
            token = opened[0].find(given.decode("latin-1"))
        except TokenError:
            return False
        return token is not None and Scope.READ in token.scopes

    return may_read


def make(path: Path) -> Path | None:
    """Make a token with all scopes if there is no file at `path`; return where the token is, None if none was made.

    The file gets its hash.  The token itself goes into another beside it, which is to be moved to who uses it, rather
    than into a terminal or a journal.

    Raises:
        TokenError: a file cannot be made.
    """
    if path.exists():
        return None
    token, given = f"foreland_{secrets.token_urlsafe(32)}", path.with_name(f"{path.name}.secret")
    line = f"admin {','.join(Scope)} {sha256(token.encode()).hexdigest()}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for place, text in ((given, f"{token}\n"), (path, _HEADING + line)):
            place.unlink(missing_ok=True)
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
    except OSError as error:
        raise TokenError(f"{path} cannot be made: {error.strerror}") from error
    return given


def _parsed(text: str, path: Path) -> Mapping[str, Token]:
    tokens: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _line(line.strip())
        words = set(match["scopes"].split(",")) if match is not None else set()
        if match is None or not words <= set(Scope):
            raise TokenError(f"{path}:{number} is not a name, scopes of {', '.join(Scope)}, and a SHA-256")
        tokens[match["digest"]] = Token(match["name"], frozenset(map(Scope, words)))
    return tokens
