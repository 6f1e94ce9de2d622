"""The limits of what one client may send and hold; defaults are the safe ones."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in octets, times in seconds.

    Attributes:
        request_line: longest request line.
        field: longest field line.
        field_section: longest field section.
        fields: most fields in a request.
        header_timeout: from the first octet of a request head, or from connecting, to its end.
        keepalive_timeout: how long a connection may be idle between requests.
        body_timeout: longest pause within request content.
        body_rate: least octets a second of request content, after `body_grace`.
        body_grace: seconds before `body_rate` counts.
        send_timeout: longest time in which a client takes nothing of what is to be sent.
        send_rate: least octets a second of a response that a slow client takes.
        drain_octets: most unread request content that is read and dropped to keep a connection.
        drain_timeout: longest time for that, and for lingering before a close.
        requests_per_connection: after so many the connection is closed.
        streams: requests in progress on an HTTP/2 connection.
        streams_per_connection: after so many an HTTP/2 connection is closed.
        pipelined: requests read ahead on a connection.
        connections: most connections at a time.
        handshakes: most connections at a time that are not at HTTP yet; the oldest gives way to one more.
        handshake_timeout: longest time until they are.
        write_buffer: octets waiting for a slow client before its source is asked to wait.
        room: octets of an answer's content at most that are received, or read, for a client at once.
    """

    request_line: int = 8 << 10
    field: int = 8 << 10
    field_section: int = 32 << 10
    fields: int = 100
    header_timeout: float = 10.0
    keepalive_timeout: float = 60.0
    body_timeout: float = 20.0
    body_rate: int = 500
    body_grace: float = 10.0
    send_timeout: float = 30.0
    send_rate: int = 1 << 10
    drain_octets: int = 64 << 10
    drain_timeout: float = 5.0
    requests_per_connection: int = 1000
    streams: int = 100
    streams_per_connection: int = 10_000
    pipelined: int = 16
    connections: int = 10_000
    handshakes: int = 1000
    handshake_timeout: float = 10.0
    write_buffer: int = 256 << 10
    room: int = sys.maxsize
