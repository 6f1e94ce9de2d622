"""What OpenSSL can be told of a context, and Python's ssl has no way to: it is asked itself, as far as it can be reached.

Without it, each worker's session tickets are its own, so that a client that comes to another one makes a full handshake,
and suites are preferred as OpenSSL likes them.
"""

import _ssl
import ctypes
import logging
import ssl
import sys

log = logging.getLogger("edge.downstream")

# <openssl/ssl.h>: SSL_CTX_set_tlsext_ticket_keys and SSL_CTX_set_session_cache_mode are macros of SSL_CTX_ctrl.
_SET_TICKET_KEYS, _SET_SESSION_CACHE_MODE = 59, 44
# A context object begins with the pointer to its SSL_CTX, behind what every object begins with; so it has been up to
# this version of Python, and a test resumes a session across two contexts.
_KNOWN = sys.implementation.name == "cpython" and sys.version_info < (3, 15)


def set_ticket_key(context: ssl.SSLContext, key: bytes) -> None:
    """Encrypt the session tickets of `context` with `key` from now on."""
    if not _control(context, _SET_TICKET_KEYS, len(key), key):
        log.warning("session tickets cannot be shared between workers with this Python")


def without_session_cache(context: ssl.SSLContext) -> None:
    """Keep no sessions on the server: tickets hold all of them, and memory none."""
    _control(context, _SET_SESSION_CACHE_MODE, 0, None)


def prefer_suites(context: ssl.SSLContext, suites: str) -> None:
    """Let `context` have these suites of TLS 1.3, which `set_ciphers` leaves alone, the preferred one first."""
    if (function := _function("SSL_CTX_set_ciphersuites", ctypes.c_char_p)) is not None:
        function(_pointer(context), suites.encode("ascii"))


def _control(context: ssl.SSLContext, command: int, number: int, octets: bytes | None) -> bool:
    function = _function("SSL_CTX_ctrl", ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
    return function is not None and bool(function(_pointer(context), command, number, octets))


def _pointer(context: ssl.SSLContext) -> ctypes.c_void_p:
    return ctypes.c_void_p.from_address(id(context) + object.__basicsize__)


def _function(name: str, *arguments: type) -> "ctypes._NamedFuncPointer | None":
    """Return a function of OpenSSL that takes a context first, None where it cannot be reached."""
    if not _KNOWN:
        return None
    try:
        # Through the extension module, so that it is the same library.
        function: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(_ssl.__file__), name)
    except (AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_void_p, *arguments]
    function.restype = ctypes.c_long
    return function
