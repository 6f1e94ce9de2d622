"""Answering the client: from a stored response, from a fill, or straight from the origin."""

from dataclasses import dataclass

from edge.caching.stored import Range, StoredResponse
from edge.errors import DownstreamClosed, DownstreamError, EdgeError
from edge.exchange.exchange import Exchange
from edge.exchange.multipart import Multipart
from edge.exchange.plan import Failed, NotModified, Parts, Plan, Unsatisfied, Whole, condition
from edge.exchange.reading import Opener, Reading
from edge.ports import Closable, Incoming, UpstreamResponse
from edge.semantics.fields import FieldSection
from edge.semantics.messages import Response
from edge.semantics.ranges import format_content_range, format_unsatisfied

_REPRESENTATION_METADATA = frozenset({
    b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-range",
})  # fmt: skip
_NO_STORE = (b"cache-control", b"no-store")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_ALLOW = (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


@dataclass(frozen=True, slots=True)
class Body:
    """Content to answer with.

    Attributes:
        open: returns the octets [start, end); an end of None reads to the end of the content.
        length: of the whole content in octets, None while that is not known.
        is_at_hand: whether it lies in the store, so that its first piece is looked at before the head is sent.
        is_passing: whether it can be opened only once, and only all of it.
    """

    open: Opener
    length: int | None
    is_at_hand: bool
    is_passing: bool = False


async def deliver(
    ex: Exchange, stored: StoredResponse, what: Plan, body: Body, *, age: float | None, now: float
) -> None:
    """Answer with `stored` as planned; `age` is None for a response that comes first-hand from the origin.

    Raises:
        StoreError: the store failed before anything was sent, so that another answer can be given.
    """
    if not ex.wants_answer:
        return
    fields = stored.fields if age is None else stored.fields.replacing(b"age", b"%d" % int(age))
    match what:
        case NotModified():
            _answer_without_content(ex, not_modified(fields), now)
        case Failed():
            _answer_failed(ex, now)
        case Unsatisfied():
            unsatisfied = (b"content-range", format_unsatisfied(body.length or 0))
            _answer_without_content(ex, Response(416, FieldSection([unsatisfied, _NO_STORE])), now)
        case Whole():
            await _send(ex, Response(stored.status, fields, stored.reason), body, (0, body.length), now)
        case Parts(ranges) if len(ranges) == 1:
            start, end = ranges[0]
            ranged = fields.with_lines((b"content-range", format_content_range(start, end, body.length)))
            await _send(ex, Response(206, ranged), body, (start, end), now)
        case Parts(ranges):
            await _send_multipart(ex, stored, fields, body, ranges, now)


async def pass_through(
    ex: Exchange, upstream: UpstreamResponse, head: Response, now: float, content: Incoming | None = None
) -> None:
    """Answer with the origin's response as it comes, at the client's pace, and close it; `content` is its in another form."""
    ex.did("pass")
    try:
        if not ex.wants_answer:
            return
        met = condition(ex.request, head, upstream.response_time, now) if ex.request.method == b"GET" else None
        # The origin was asked for the whole, in case it could be stored.
        match met:
            case NotModified():
                _answer_without_content(ex, not_modified(head.fields), now)
            case Failed():
                _answer_failed(ex, now)
            case None:
                ex.start(head, upstream.content_length if content is None else None, now)
                await ex.responder.wait_room()
                await copy(ex, upstream if content is None else content)
    finally:
        upstream.close()


async def refuse(ex: Exchange, error: EdgeError, now: float) -> None:
    """Answer with an error of our own, or break off the answer that has begun."""
    ex.did(error.detail)
    if isinstance(error, DownstreamClosed):
        return
    if ex.status:
        ex.responder.abort()
        return
    ex.detail = error.detail
    response, content = error_response(error)
    ex.start(response, len(content), now)
    await ex.send(content)
    ex.finish()


def error_response(error: EdgeError) -> tuple[Response, bytes]:
    """Return head and content for an error, the one place where errors become responses; never stored, no details."""
    fields = FieldSection([_TEXT, _NO_STORE])
    if error.status == 405:
        fields = fields.with_lines(_ALLOW)
    return Response(error.status, fields), b"%d %s\n" % (error.status, error.detail.encode("ascii"))


def not_modified(fields: FieldSection) -> Response:
    """Return the 304 that goes with a response of these fields (RFC 9110 §15.4.5)."""
    return Response(304, fields.filtered(lambda name: name not in _REPRESENTATION_METADATA))


def _answer_failed(ex: Exchange, now: float) -> None:
    _answer_without_content(ex, Response(412, FieldSection([_NO_STORE])), now)


def _answer_without_content(ex: Exchange, response: Response, now: float) -> None:
    ex.did("deliver")
    ex.start(response, 0, now)
    ex.finish()


async def _send(ex: Exchange, head: Response, body: Body, part: tuple[int, int | None], now: float) -> None:
    start, end = part
    length = None if end is None else end - start
    if ex.request.method == b"HEAD":
        ex.did("deliver")
        ex.start(head, length, now)
        ex.finish()
        return
    source = Reading(ex.responder, body.open, start, end, is_passing=body.is_passing)
    try:
        if body.is_at_hand:
            await source.look()
        ex.did("deliver")
        ex.start(head, length, now)
        await copy(ex, source)
    finally:
        source.close()


async def _send_multipart(
    ex: Exchange, stored: StoredResponse, fields: FieldSection, body: Body, ranges: tuple[Range, ...], now: float
) -> None:
    boundary = stored.generation.hex().encode("ascii")
    content = Multipart(ranges, body.length or 0, fields.get(b"content-type"), boundary, body.open)
    fields = fields.replacing(b"content-type", b"multipart/byteranges; boundary=" + boundary)
    opened = Body(content.open, content.length, is_at_hand=False)
    await _send(ex, Response(206, fields), opened, (0, content.length), now)


async def copy(ex: Exchange, source: Closable) -> None:
    """Send what `source` gives; once the answer has begun, any failure breaks the transfer."""
    try:
        while piece := await source.read():
            # Whoever waits for room is not to hold what was sent.
            sending, piece = ex.send(piece), b""
            await sending
    except DownstreamError:
        ex.responder.abort()
        raise
    except EdgeError as error:
        ex.did(error.detail)
        ex.detail = error.detail
        ex.responder.abort()
        return
    ex.finish()
