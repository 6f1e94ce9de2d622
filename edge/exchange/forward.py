"""What goes to the origin, and what comes back, as messages (RFC 9110 §7.6)."""

from edge.exchange.exchange import Exchange
from edge.ports import UpstreamResponse
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import HOP_BY_HOP, UNTRUSTED, connection_options, end_to_end
from edge.semantics.immutable import immutable
from edge.semantics.messages import Request, Response
from edge.semantics.negotiation import normalised_encodings

# Fields that mean nothing further on, that no client may set, or that this hop makes itself.
_MADE_ANEW = HOP_BY_HOP | UNTRUSTED | {
    b"host", b"expect", b"content-length", b"accept-encoding", b"via", b"cdn-loop", b"edge-debug",
}  # fmt: skip
#: Methods whose request content means nothing (RFC 9110 §9.3.1), so that it is not passed on.
WITHOUT_CONTENT = frozenset({b"GET", b"HEAD"})


@immutable(frozen=True, slots=True)
class Forwarded:
    """The origin's answer.

    Attributes:
        upstream: the answer as it came.
        head: its head as it may go on.
        mark: the moment it was asked for, as the fence counts.
        epoch: the purge epoch of that moment.
    """

    upstream: UpstreamResponse
    head: Response
    mark: int
    epoch: int


def forwarded_fields(ex: Exchange, *, is_own: bool = False) -> FieldSection:
    """Return the client's fields as they may go on, with what this hop adds.

    With `is_own`, the origin is offered the codings that the client takes, whatever is offered for others.
    """
    request = ex.request
    fields = request.fields
    options = connection_options(fields)
    lines = [line for line in fields if line[0] not in _MADE_ANEW and line[0] not in options and b"_" not in line[0]]
    if ex.site.strip_cookies:
        lines = [line for line in lines if line[0] != b"cookie"]
    offering = fields if is_own else ex.selecting.fields
    if offering is not fields and b"range" in fields:
        # Only what is not coded has parts that every client can take.
        lines.append((b"accept-encoding", b"identity"))
    elif b"accept-encoding" not in options and (encodings := normalised_encodings(offering)):
        # One spelling for each meaning, and only codings this node can decode for a client that cannot.
        lines.append((b"accept-encoding", encodings))
    hop = b"%d.%d %s" % (*request.version, ex.node)
    lines += [
        (b"via", hop if b"via" in options else b", ".join([*fields.values(b"via"), hop])),
        (b"cdn-loop", b", ".join([*fields.values(b"cdn-loop"), ex.node])),
        (b"x-forwarded-for", ex.client.encode("ascii", "replace")),
        (b"x-forwarded-proto", request.target.scheme),
        (b"x-forwarded-host", request.target.authority),
    ]
    if request.method == b"OPTIONS" and (hops := hops_left(request)):
        lines = [line for line in lines if line[0] != b"max-forwards"]
        lines.append((b"max-forwards", b"%d" % (hops - 1)))
    return FieldSection(lines)


def hops_left(request: Request) -> int | None:
    """Return how often a request may still be forwarded, None without a limit (RFC 9110 §7.6.2)."""
    limit = request.fields.get(b"max-forwards") or b""
    return int(limit) if limit.isdigit() and len(limit) < 10 else None


def forwarded_request(ex: Exchange, fields: FieldSection) -> Request:
    """Return the request to send with `fields`; content goes on only with methods that give it a meaning."""
    request = ex.request
    if request.method in WITHOUT_CONTENT:
        return Request(request.method, ex.target, fields, request.version)
    return Request(request.method, ex.target, fields, request.version, request.has_content, request.content_length)


def received_head(head: Response, response_time: float) -> Response:
    """Return the origin's response with end-to-end fields only, and a Date (RFC 9110 §6.6.1)."""
    fields = end_to_end(head.fields).without(b"content-length")
    if b"date" not in fields:
        fields = fields.with_lines((b"date", format_date(response_time)))
    return head.with_fields(fields)
