"""Session tickets that every worker can open: their key is in a file that all share, and replaced twice a day.

Python's ssl has no way to set the key, so OpenSSL is asked itself.  Where that is not possible, each worker's tickets
are its own, and a client that comes to another one makes a full handshake.
"""

import _ssl
import ctypes
import fcntl
import hashlib
import logging
import os
import secrets
import ssl
import struct
import sys
from pathlib import Path

from edge.clock import Clock

log = logging.getLogger("edge.downstream")

#: Seconds that a key is used; a ticket of the key before it is as good as none (RFC 5077 §5.5).
LIFETIME = 12 * 3600
_SECRET = 32
_FILE = struct.Struct(f">d{_SECRET}s")
# <openssl/ssl.h>: SSL_CTX_set_tlsext_ticket_keys and SSL_CTX_set_session_cache_mode are macros of SSL_CTX_ctrl.
_SET_TICKET_KEYS, _SET_SESSION_CACHE_MODE = 59, 44
_KEY_SIZE = 80
# A context object begins with the pointer to its SSL_CTX, behind what every object begins with; so it has been up to
# this version of Python, and a test resumes a session across two contexts.
_KNOWN = sys.implementation.name == "cpython" and sys.version_info < (3, 15)


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


def set_ticket_key(context: ssl.SSLContext, key: bytes) -> None:
    """Encrypt the session tickets of `context` with `key` from now on."""
    if not _control(context, _SET_TICKET_KEYS, len(key), key):
        log.warning("session tickets cannot be shared between workers with this Python")


def without_session_cache(context: ssl.SSLContext) -> None:
    """Keep no sessions on the server: tickets hold all of them, and memory none."""
    _control(context, _SET_SESSION_CACHE_MODE, 0, None)


def _control(context: ssl.SSLContext, command: int, number: int, octets: bytes | None) -> bool:
    control = _ssl_ctx_ctrl()
    if control is None:
        return False
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    return bool(control(pointer, command, number, octets))


def _ssl_ctx_ctrl() -> "ctypes._NamedFuncPointer | None":
    """Return OpenSSL's function, None where it cannot be reached."""
    if not _KNOWN:
        return None
    try:
        # Through the extension module, so that it is the same library.
        control = ctypes.CDLL(_ssl.__file__).SSL_CTX_ctrl
    except (AttributeError, OSError):
        return None
    control.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
    control.restype = ctypes.c_long
    return control
