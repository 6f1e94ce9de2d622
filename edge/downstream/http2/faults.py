"""What a client does that ends a stream or the connection (RFC 9113 §5.4).

Each fault has a token, which is counted as the event `http2-TOKEN`, and sent along in GOAWAY.
"""

from edge.downstream.http2.frames import ErrorCode
from edge.errors import DownstreamError


class Fault(DownstreamError):
    """The client broke the protocol, or tires us out."""

    def __init__(self, code: ErrorCode, token: str = "") -> None:
        """Say `code` to the client; the token is made of it where none is given."""
        super().__init__()
        self.code = code
        self.token = token or code.name.lower().replace("_", "-")


class ConnectionFault(Fault):
    """The connection cannot go on: it ends with GOAWAY."""


class StreamFault(Fault):
    """The stream cannot go on: it ends with RST_STREAM."""


def protocol_error() -> ConnectionFault:
    """Return the connection error PROTOCOL_ERROR."""
    return ConnectionFault(ErrorCode.PROTOCOL_ERROR)


def frame_size_error() -> ConnectionFault:
    """Return the connection error FRAME_SIZE_ERROR."""
    return ConnectionFault(ErrorCode.FRAME_SIZE_ERROR)


def malformed() -> StreamFault:
    """Return the stream error of a malformed request (RFC 9113 §8.1.1)."""
    return StreamFault(ErrorCode.PROTOCOL_ERROR)
