"""What goes to the origin, and what comes back, as messages (RFC 9110 §7.6)."""

from dataclasses import dataclass, replace

from edge.exchange.exchange import Exchange
from edge.ports import UpstreamResponse
from edge.semantics.dates import format_date
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import end_to_end, with_hop, without_untrusted
from edge.semantics.messages import Request, Response
from edge.semantics.negotiation import normalised_encodings

#: Methods whose request content means nothing (RFC 9110 §9.3.1), so that it is not passed on.
WITHOUT_CONTENT = frozenset({b"GET", b"HEAD"})


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The origin's answer.

    Attributes:
        upstream: the answer as it came.
        head: its head as it may go on.
        mark: the moment it was asked for, as the fence counts.
    """

    upstream: UpstreamResponse
    head: Response
    mark: int


def forwarded_fields(ex: Exchange) -> FieldSection:
    """Return the client's fields as they may go on, with what this hop adds."""
    request = ex.request
    fields = without_untrusted(end_to_end(request.fields)).without(b"host", b"expect", b"content-length")
    if ex.site.strip_cookies:
        fields = fields.without(b"cookie")
    if b"accept-encoding" in fields:
        # One spelling for each meaning, and only codings this node can decode for a client that cannot.
        encodings = normalised_encodings(fields)
        fields = fields.replacing(b"accept-encoding", encodings) if encodings else fields.without(b"accept-encoding")
    fields = with_hop(fields, ex.node, request.version)
    if request.method == b"OPTIONS" and (hops := hops_left(request)):
        fields = fields.replacing(b"max-forwards", b"%d" % (hops - 1))
    loops = b", ".join([*fields.values(b"cdn-loop"), ex.node])
    return fields.replacing(b"cdn-loop", loops).with_lines(
        (b"x-forwarded-for", ex.client.encode("ascii", "replace")),
        (b"x-forwarded-proto", request.target.scheme),
        (b"x-forwarded-host", request.target.authority),
    )


def hops_left(request: Request) -> int | None:
    """Return how often a request may still be forwarded, None without a limit (RFC 9110 §7.6.2)."""
    limit = request.fields.get(b"max-forwards") or b""
    return int(limit) if limit.isdigit() and len(limit) < 10 else None


def forwarded_request(ex: Exchange, fields: FieldSection) -> Request:
    """Return the request to send with `fields`; content goes on only with methods that give it a meaning."""
    request = replace(ex.request, target=ex.target, fields=fields)
    if request.method in WITHOUT_CONTENT:
        return replace(request, has_content=False, content_length=None)
    return request


def received_head(upstream: UpstreamResponse) -> Response:
    """Return the origin's response with end-to-end fields only, and a Date (RFC 9110 §6.6.1)."""
    head = upstream.head
    fields = end_to_end(head.fields).without(b"content-length")
    if b"date" not in fields:
        fields = fields.with_lines((b"date", format_date(upstream.response_time)))
    return head.with_fields(fields)
