"""Session tickets that every worker can open: their key is in a file that all share, and replaced twice a day."""

import fcntl
import hashlib
import os
import secrets
import struct
from pathlib import Path

from edge.clock import Clock

#: Seconds that a key is used; a ticket of the key before it is as good as none (RFC 5077 §5.5).
LIFETIME = 12 * 3600
_SECRET = 32
_FILE = struct.Struct(f">d{_SECRET}s")
_KEY_SIZE = 80


class TicketKeys:
    """The secret in one file, from which each kind of listener has its key."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Share the secret in the file `path`, which is made when it is needed."""
        self._path = path
        self._clock = clock

    def key(self, kind: bytes) -> bytes:
        """Return the key at present of listeners of one kind, which accept each other's tickets; OSError."""
        # SHAKE256 under a secret prefix is a pseudorandom function.
        return hashlib.shake_256(self._secret() + kind).digest(_KEY_SIZE)

    def _secret(self) -> bytes:
        """Return the secret, a new one if it is too old or in no state to be used."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            now = self._clock.now()
            raw = os.pread(descriptor, _FILE.size, 0)
            if len(raw) == _FILE.size:
                began, secret = _FILE.unpack(raw)
                if 0 <= now - began < LIFETIME:
                    return bytes(secret)
            # The old one is overwritten: what it protected stays protected.
            secret = secrets.token_bytes(_SECRET)
            os.pwrite(descriptor, _FILE.pack(now, secret), 0)
            return secret
        finally:
            os.close(descriptor)
