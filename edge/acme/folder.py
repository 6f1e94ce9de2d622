"""What is on the disk: the account's key, the certificates, and the answers to challenges that are open."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge import private_file

_is_token = re.compile(rb"[A-Za-z0-9_-]{16,128}").fullmatch
_is_name = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*").fullmatch


class Folder:
    """One directory, written by the supervisor and read by the workers.

    Attributes:
        account_key: the file with the account's key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = path / "challenges"
        self.account_key = path / "account.key"

    def certificate(self, names: tuple[str, ...]) -> Path:
        """Return the file with key and certificate for `names`, each group of which begins with another."""
        return self._path / f"{names[0]}.pem"

    def is_issued(self, names: tuple[str, ...]) -> bool:
        """Return whether the authority's certificate is there, and not only what is shown until it is."""
        path = self.certificate(names)
        return path.exists() and not path.is_symlink()

    def stand_in(self, names: tuple[str, ...], shown: Path) -> Path:
        """Return the file for `names`; until there is one, it leads to the file `shown`.  OSError if that cannot be."""
        path = self.certificate(names)
        self.make()
        if not path.exists():
            if path.is_symlink():
                path.unlink(missing_ok=True)
            # Another worker may do so as well.
            with suppress(FileExistsError):
                path.symlink_to(shown.absolute())
        return path

    def make(self) -> None:
        """Make the directories; OSError if that cannot be."""
        self._open.mkdir(mode=0o700, parents=True, exist_ok=True)

    def clean(self) -> None:
        """Remove the answers that a process left behind which was killed; OSError if that cannot be."""
        self.make()
        for left in self._open.iterdir():
            left.unlink()

    @contextmanager
    def answering(self, name: str, content: bytes) -> Iterator[None]:
        """Have the answer `content` found under `name`, a token or a host with its suffix, for the time of the block."""
        path = self._open / name
        private_file.write(path, content)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def key_authorization(self, token: bytes) -> bytes | None:
        """Return what answers an HTTP-01 challenge, None when there is none with this token (RFC 8555 §8.3)."""
        if _is_token(token) is None:
            return None
        with suppress(OSError):
            return (self._open / token.decode("ascii")).read_bytes()
        return None

    def alpn_certificate(self, name: str) -> Path | None:
        """Return the file that answers a TLS-ALPN-01 challenge for a host, None when there is none (RFC 8737 §3)."""
        path = self._open / alpn_name(name.lower())
        return path if _is_name(name.lower()) is not None and path.exists() else None


def alpn_name(host: str) -> str:
    """Return the name of the answer to a TLS-ALPN-01 challenge; a token has no dot."""
    return f"{host}.alpn"
