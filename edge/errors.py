"""Every error the edge raises on purpose, by whose fault it is.

One root, four branches: the client (`DownstreamError`), the origin (`UpstreamError`), the disk (`StoreError`), a bug
(`InternalError`).  Each error carries the `status` a client is answered with, whether the same request may be sent
`again` to the origin, and a `detail` token that stands in `Cache-Status`, the log and the metrics.  A store error never
reaches a client: it is counted and the request goes forward.
"""

from typing import ClassVar


class EdgeError(Exception):
    """The root of every error raised on purpose."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    detail: ClassVar[str] = "internal"


class ParseError(EdgeError):
    """Bytes do not match the grammar they should: the only error that parsing functions raise."""

    status = 400
    detail = "parse"


class DownstreamError(EdgeError):
    """The client is at fault."""

    status = 400
    detail = "bad-request"


class BadRequest(DownstreamError):
    """The request is malformed or ambiguous; the connection is closed after the answer."""


class MethodRefused(DownstreamError):
    """The method is never served on a public listener."""

    status = 405
    detail = "method-refused"


class DownstreamTimeout(DownstreamError):
    """The client did not send its request in time."""

    status = 408
    detail = "request-timeout"


class ContentTooLarge(DownstreamError):
    """The request content is over the site's limit."""

    status = 413
    detail = "content-too-large"


class TargetTooLong(DownstreamError):
    """The request line is over its limit."""

    status = 414
    detail = "target-too-long"


class ExpectationFailed(DownstreamError):
    """An expectation other than `100-continue`."""

    status = 417
    detail = "expectation-failed"


class Misdirected(DownstreamError):
    """No site answers for the authority."""

    status = 421
    detail = "unknown-authority"


class CertificateWanted(DownstreamError):
    """The site wants a certificate that the connection was not made with."""

    status = 421
    detail = "client-certificate"


class FieldsTooLarge(DownstreamError):
    """A field, the field section or the number of fields is over its limit."""

    status = 431
    detail = "fields-too-large"


class MethodUnknown(DownstreamError):
    """The method is not one the edge knows."""

    status = 501
    detail = "method-unknown"


class VersionRefused(DownstreamError):
    """The protocol version is not HTTP/1.0 or HTTP/1.1."""

    status = 505
    detail = "version-refused"


class LoopDetected(DownstreamError):
    """The request has been through this node too often (RFC 8586)."""

    status = 508
    detail = "loop-detected"


class DownstreamClosed(DownstreamError):
    """The client is gone; nothing can be answered."""

    status = 499
    detail = "client-closed"


class UpstreamError(EdgeError):
    """The origin is at fault."""

    status = 502
    detail = "origin-error"


class UpstreamProtocolError(UpstreamError):
    """The origin's answer is not valid HTTP/1.1, or breaks a limit."""

    detail = "origin-protocol"


class UpstreamConnectError(UpstreamError):
    """No connection to the origin could be made; nothing was sent."""

    retryable = True
    detail = "origin-connect"


class UpstreamClosed(UpstreamError):
    """The origin closed the connection before the response was whole."""

    detail = "origin-closed"


class UpstreamClosedEarly(UpstreamClosed):
    """A reused connection died before the first byte of the response: the request may be sent again."""

    retryable = True


class UpstreamChanged(UpstreamError):
    """The origin has another representation now than the one that is being fetched in parts."""

    detail = "origin-changed"


class UpstreamUndecodable(UpstreamError):
    """The content is not in the coding that the origin states, or grows out of all proportion when it is decoded."""

    detail = "origin-undecodable"


class NoHealthyOrigin(UpstreamError):
    """Every connection to the origin is taken and the queue is full or its deadline passed."""

    status = 503
    detail = "origin-busy"


class TunnelsFull(UpstreamError):
    """There are as many tunnels as there may be."""

    status = 503
    detail = "tunnels-full"


class UpstreamTimeout(UpstreamError):
    """The origin did not answer, or stopped sending, in time."""

    status = 504
    detail = "origin-timeout"


class StoreError(EdgeError):
    """The disk or what is on it is at fault; never visible to a client."""

    detail = "store"


class StoreDamaged(StoreError):
    """A record fails its checksum, or is not the one that was looked for."""

    detail = "store-damaged"


class StoreFull(StoreError):
    """The content does not fit the quota, or the disk refuses to take it."""

    detail = "store-full"


class NotAdmitted(StoreFull):
    """The content is asked for once as far as is known, and the disk is written over too fast to keep such content."""

    detail = "not-admitted"


class PurgeNotWritten(StoreError):
    """The purge could not be made durable, so it did not happen."""

    status = 507
    detail = "purge-not-written"


class InternalError(EdgeError):
    """A bug."""
