"""Message heads: what is left of a request or a response when framing is taken away (RFC 9110 §6)."""

from edge.semantics.fields import FieldSection
from edge.semantics.immutable import immutable
from edge.semantics.target import Target

#: RFC 9110 §9.2.1.
SAFE_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PROPFIND", b"REPORT", b"SEARCH", b"QUERY"})
#: RFC 9110 §9.2.2.
IDEMPOTENT_METHODS = SAFE_METHODS | {b"PUT", b"DELETE"}
#: Responses that never have content, whatever their fields say (RFC 9110 §6.4.1).
STATUSES_WITHOUT_CONTENT = frozenset({204, 304})

#: RFC 9110 §15, RFC 6585, RFC 7725, RFC 8297, RFC 4918, RFC 5842: reason phrases for responses the edge makes.
REASONS: dict[int, bytes] = {
    100: b"Continue", 102: b"Processing", 103: b"Early Hints",
    200: b"OK", 201: b"Created", 202: b"Accepted", 203: b"Non-Authoritative Information", 204: b"No Content",
    205: b"Reset Content", 206: b"Partial Content", 300: b"Multiple Choices", 301: b"Moved Permanently",
    302: b"Found", 303: b"See Other", 304: b"Not Modified", 307: b"Temporary Redirect", 308: b"Permanent Redirect",
    400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found", 405: b"Method Not Allowed",
    406: b"Not Acceptable", 408: b"Request Timeout", 409: b"Conflict", 410: b"Gone", 411: b"Length Required",
    412: b"Precondition Failed", 413: b"Content Too Large", 414: b"URI Too Long", 415: b"Unsupported Media Type",
    416: b"Range Not Satisfiable", 417: b"Expectation Failed", 421: b"Misdirected Request", 425: b"Too Early",
    428: b"Precondition Required", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
    451: b"Unavailable For Legal Reasons", 500: b"Internal Server Error", 501: b"Not Implemented",
    502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout", 505: b"HTTP Version Not Supported",
    508: b"Loop Detected",
}  # fmt: skip


@immutable(frozen=True, slots=True)
class Request:
    """A request head.

    `content_length` is None when the content is chunked (then `has_content` is true) or when there is none.
    """

    method: bytes
    target: Target
    fields: FieldSection
    version: tuple[int, int] = (1, 1)
    has_content: bool = False
    content_length: int | None = None

    def with_fields(self, fields: FieldSection) -> "Request":
        """Return the same request with another field section."""
        return Request(self.method, self.target, fields, self.version, self.has_content, self.content_length)


@immutable(frozen=True, slots=True)
class Response:
    """A response head; `reason` may be empty."""

    status: int
    fields: FieldSection
    reason: bytes = b""

    def with_fields(self, fields: FieldSection) -> "Response":
        """Return the same response with another field section."""
        return Response(self.status, fields, self.reason)


def may_have_content(method: bytes, status: int) -> bool:
    """Return whether a final response with `status` to `method` can carry content (RFC 9110 §6.4.1)."""
    return method != b"HEAD" and status >= 200 and status not in STATUSES_WITHOUT_CONTENT
