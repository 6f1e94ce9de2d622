"""The worker ring: a request whose key another worker owns is answered by that worker, and passed on as it is.

What the owner must know of the client stands in a field that only a ring listener heeds, which no client can reach:
`Foreland-Ring: answer SCHEME VERSION ADDRESS`, or `invalidate KEY`.  A relayed request is never relayed again.  The admin
plane speaks the same way to the owner of what is pushed: `push SCHEME`.
"""

from contextlib import suppress
from dataclasses import replace

from edge.caching.directives import request_directives
from edge.caching.storing import NotStored
from edge.errors import BadRequest, UpstreamError
from edge.exchange.asking import OF_THE_REQUEST, interim_to
from edge.exchange.context import Context
from edge.exchange.deliver import copy
from edge.exchange.exchange import RING, Exchange
from edge.ports import Upstream
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import end_to_end
from edge.semantics.messages import Request
from edge.semantics.target import Target

# What the owner's listener would act upon, and what framing is made of.
_NOT_RELAYED = (b"host", b"expect", b"content-length", RING)
_PASSED = frozenset(reason.value for reason in NotStored) - {
    *(reason.value for reason in OF_THE_REQUEST), NotStored.STORE_UNAVAILABLE.value, NotStored.USABLE_STORED.value,
}  # fmt: skip
_VERSIONS = {b"%d.%d" % version: version for version in ((1, 0), (1, 1), (2, 0), (3, 0))}


def may_relay(ex: Exchange) -> bool:
    """Return whether the owner of a key may have, or get, an answer to this request that can be stored."""
    return not ex.is_relayed and b"no-store" not in request_directives(ex.request.fields)


def relayed_request(ex: Exchange) -> Request:
    """Return the request as it goes to the owner: as it came, with the facts about the client beside it."""
    request = ex.request
    facts = b"answer %s %d.%d %s" % (request.target.scheme, *request.version, ex.client.encode("ascii", "replace"))
    fields = end_to_end(request.fields).without(*_NOT_RELAYED).with_lines((RING, facts))
    return Request(request.method, request.target, fields)


def invalidating_request(key: bytes) -> Request:
    """Return the request that has the owner of `key` forget it."""
    fields = FieldSection([(RING, b"invalidate " + key.hex().encode("ascii"))])
    return Request(b"DELETE", Target(b"ring", b"ring", b"/"), fields)


def arrived(request: Request) -> tuple[Request, str] | bytes | Request:
    """Return the client's request and address that another worker passes on, or the key that it invalidates.

    Of what is pushed, it is the request alone.

    Raises:
        BadRequest: no worker sends such a request.
    """
    match (request.fields.get(RING) or b"").split(b" "):
        case [b"answer", scheme, version, client] if version in _VERSIONS:
            fields = request.fields.without(RING)
            target = replace(request.target, scheme=scheme)
            return Request(request.method, target, fields, _VERSIONS[version]), client.decode("ascii")
        case [b"push", scheme] if request.method == b"PUT":
            return Request(
                b"PUT", replace(request.target, scheme=scheme), request.fields.without(RING), request.version,
                request.has_content, request.content_length,
            )  # fmt: skip
        case [b"invalidate", key]:
            with suppress(ValueError):
                return bytes.fromhex(key.decode("ascii"))
        case _:
            pass
    raise BadRequest


async def relay(context: Context, ex: Exchange, owner: Upstream) -> bool:
    """Answer with what the owner of the key answers; False, with nothing sent, when it cannot be reached."""
    try:
        upstream = await owner.send(relayed_request(ex), None, interim_to(ex), ex.responder.allowance)
    except UpstreamError as error:
        context.telemetry.count(f"ring-{error.detail}")
        return False
    try:
        fields = end_to_end(upstream.head.fields)
        outcome, _, detail = (fields.values(RING) or [b"-"])[-1].decode("ascii").partition(" ")
        ex.did("relay")
        ex.outcome, ex.detail = outcome, detail
        ex.relayed_status = (fields.values(b"cache-status") or [b""])[-1]
        stated = fields.get(b"content-length") or b""
        length = upstream.content_length
        if ex.request.method == b"HEAD":
            length = int(stated) if stated.isdigit() else None
        head = upstream.head.with_fields(fields.without(b"content-length", RING))
        ex.start_as_it_is(head, length, context.clock.now())
        await ex.responder.wait_room()
        await copy(ex, upstream)
    finally:
        upstream.close()
    return True


def is_passed(ex: Exchange) -> bool:
    """Return whether the owner said that what it was asked for cannot be stored, for whomever."""
    return ex.detail in _PASSED
