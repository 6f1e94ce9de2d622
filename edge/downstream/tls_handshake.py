"""How TLS handshakes go on, and the words for how they end."""

import ssl
import sys
from enum import StrEnum


class Handshake(StrEnum):
    """How a handshake ended, as it is counted."""

    FULL = "tls-full-handshake"
    RESUMED = "tls-resumed"
    TIMEOUT = "tls-timeout"
    GIVEN_UP = "tls-given-up"
    NOT_TLS = "tls-not-tls"
    UNKNOWN_NAME = "tls-unknown-name"
    NOTHING_SHARED = "tls-nothing-shared"
    CLIENT_CERTIFICATE = "tls-client-certificate"
    CLIENT_ALERT = "tls-client-alert"
    CLIENT_CLOSED = "tls-client-closed"
    MALFORMED = "tls-malformed"


#: OpenSSL's reasons that mean more than a malformed message.
_REASONS = {
    "CALLBACK_FAILED": Handshake.UNKNOWN_NAME,
    "UNSUPPORTED_PROTOCOL": Handshake.NOTHING_SHARED,
    "NO_SHARED_CIPHER": Handshake.NOTHING_SHARED,
    "NO_SUITABLE_KEY_SHARE": Handshake.NOTHING_SHARED,
    "NO_SHARED_SIGNATURE_ALGORITHMS": Handshake.NOTHING_SHARED,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": Handshake.NOTHING_SHARED,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Handshake.CLIENT_CERTIFICATE,
    "CERTIFICATE_VERIFY_FAILED": Handshake.CLIENT_CERTIFICATE,
}


def go_on(connection: ssl.SSLObject) -> None:
    """Take the next step of a handshake; SSLWantReadError while there is more to come, SSLError when it has failed."""
    default = sys.unraisablehook

    def unless_expected(unraisable: "sys.UnraisableHookArgs") -> None:
        # A server name that is not ASCII fails its handshake, which is enough said about it.
        if not isinstance(unraisable.exc_value, UnicodeDecodeError):
            default(unraisable)

    sys.unraisablehook = unless_expected
    try:
        connection.do_handshake()
    finally:
        sys.unraisablehook = default


def failure(error: ssl.SSLError) -> Handshake:
    """Return how the handshake ended that failed by `error`."""
    reason = error.reason or ""
    return _REASONS.get(reason) or (Handshake.CLIENT_ALERT if "_ALERT_" in reason else Handshake.MALFORMED)
