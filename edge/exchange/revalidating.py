"""Validated at once: what the origin says still holds is freshened and goes out without a task (RFC 9111 §4.3.4).

What becomes of it follows from the fields that decide, of what is stored and of the 304, and is worked out once for all that
have the same ones.
"""

from functools import partial

from edge.caching.freshness import Freshness, current_age
from edge.caching.reuse import Validate
from edge.caching.status import CacheStatus
from edge.caching.stored import StoredResponse
from edge.caching.storing import Store
from edge.caching.validation import identifies
from edge.errors import DownstreamClosed
from edge.exchange.asking import Asking
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange
from edge.exchange.filling import Filling
from edge.exchange.flight import Flight
from edge.exchange.forward import Forwarded, received_head
from edge.exchange.prompt import StoredShape
from edge.exchange.shapes import DATELESS, RequestShape, is_small, reduced
from edge.exchange.variants import Shown
from edge.ports import PromptResponder, UpstreamResponse
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import connection_options
from edge.semantics.messages import Response

# So many shapes are remembered.
_SHAPES = 2048
# What says nothing of the fields.
_OPTIONS = frozenset({b"close", b"keep-alive"})


class ValidatedShape:
    """Stored responses, and 304s about them, that are treated alike.

    Attributes:
        is_settled: whether that is so: what is done with them does not depend on dates.
    """

    __slots__ = ("_lifetime", "_lines", "_nominated", "_shown", "is_settled")

    def __init__(
        self,
        ex: Exchange,
        stored: StoredResponse,
        received: Response,
        freshened: StoredResponse,
        shown: Shown,
        lasting: Freshness,
        why: Validate,
    ) -> None:
        """Learn from what was made of one of them."""
        at = {id(line): place for place, line in enumerate([*stored.fields.lines, *received.fields.lines])}
        self._lines = tuple(at.get(id(line), -1) for line in freshened.fields)
        self._nominated, self._lifetime = freshened.nominated, lasting.lifetime
        self.is_settled = (
            lasting.source in DATELESS
            and -1 not in self._lines
            and b"date" in received.fields
            and connection_options(received.fields) <= _OPTIONS
        )
        self._shown = [
            StoredShape(ex, freshened, shown, outcome="REVALIDATED", status=partial(_status, why, is_stored))
            for is_stored in (False, True)
        ]

    def freshened(
        self, stored: StoredResponse, received: Response, epoch: int, request_time: float, response_time: float
    ) -> StoredResponse:
        """Return one of them updated by a 304 that came for a request of that purge epoch."""
        lines = [*stored.fields.lines, *received.fields.lines]
        return StoredResponse(
            stored.key,
            stored.generation,
            stored.method,
            self._nominated,
            stored.status,
            stored.reason,
            FieldSection([lines[place] for place in self._lines]),
            request_time,
            response_time,
            stored.complete_length,
            stored.ranges,
            epoch,
            stored.pinned,
        )

    def shown(self, freshened: StoredResponse, now: float, *, is_stored: bool) -> tuple[Response, bytes]:
        """Return the response as a client gets it, and its Cache-Status member."""
        shape, age = self._shown[is_stored], current_age(freshened, now)
        second = int(age), int(self._lifetime - age)
        return shape.shown(freshened, second), shape.cache_status(second)


def _status(why: Validate, is_stored: bool, node: bytes, ttl: int) -> bytes:  # noqa: FBT001 - bound by place
    return CacheStatus(why.fwd, fwd_status=304, ttl=ttl, stored=is_stored, detail=why.detail.value).encoded(node)


class Revalidating:
    """Takes the 304 to a plain request for all of a stored response."""

    def __init__(self, context: Context, asking: Asking, filling: Filling) -> None:
        self._context, self._asking, self._filling = context, asking, filling
        self._shapes: dict[tuple[object, ...], ValidatedShape] = {}

    def at_once(
        self,
        shape: RequestShape,
        validates: tuple[StoredResponse, Validate],
        upstream: UpstreamResponse,
        flight: Flight | None,
        mark: int,
        epoch: int,
    ) -> tuple[Response, bytes, bytes] | None:
        """Freshen what a 304 is about, and return what the client gets of it: head, content, and what Cache-Status says.

        None, with nothing done, if what becomes of it is not known.
        """
        stored, why = validates
        received = upstream.head
        if received.status != 304:
            return None
        known = self._shapes.get(_name(shape, stored, why, received))
        if known is None or not known.is_settled or upstream.whole() is None:
            return None
        if not identifies(stored, received, trust_mismatch=shape.site.profile.trust_mismatched_304):
            return None
        content = self._context.store.read_nowait(stored)
        if content is None:
            return None
        freshened = known.freshened(stored, received, epoch, upstream.request_time, upstream.response_time)
        is_stored = self._asking.put(freshened, mark)
        if flight is not None:
            flight.freshened(freshened)
        head, said = known.shown(freshened, self._context.clock.now(), is_stored=is_stored)
        return head, content, said

    def answer(
        self,
        ex: Exchange,
        responder: PromptResponder,
        shape: RequestShape,
        validates: tuple[StoredResponse, Validate],
        upstream: UpstreamResponse,
        flight: Flight | None,
        mark: int,
    ) -> bool:
        """Answer with what is stored, as `Asking.take` would; False, with nothing done, when that is more than a short answer."""
        if upstream.head.status != 304 or b"transfer-encoding" in upstream.head.fields or upstream.whole() is None:
            return False
        # Lines of their own, so that what becomes of each can be told.
        stored, why = validates[0].with_fields(_copied(validates[0].fields)), validates[1]
        received = upstream.head.with_fields(_copied(upstream.head.fields))
        forwarded = Forwarded(upstream, received_head(received, upstream.response_time), mark, ex.epoch)
        if not identifies(stored, forwarded.head, trust_mismatch=ex.site.profile.trust_mismatched_304):
            return False
        freshened = self._filling.freshened(ex, stored, forwarded)
        decision = Asking.decision(ex, ex.request, forwarded, freshened.response)
        if not isinstance(decision, Store):
            return False
        shown = self._context.variants.as_it_is(ex, freshened)
        content = None if shown is None else self._context.store.read_nowait(stored)
        if shown is None or content is None:
            return False
        name = _name(shape, stored, why, received)
        if name not in self._shapes and is_small(stored.fields) and is_small(received.fields):
            if len(self._shapes) >= _SHAPES:
                # Begun anew rather than kept in order: what is frequent is back at once.
                self._shapes.clear()
            self._shapes[name] = ValidatedShape(ex, stored, received, freshened, shown, decision.freshness, why)
        ex.heard(upstream)
        ex.did("not-modified")
        ex.outcome = "REVALIDATED"
        ex.ttl = self._filling.ttl(ex, freshened)
        ex.did("freshen")
        ex.is_stored = self._asking.put(freshened, mark)
        if flight is not None:
            flight.freshened(freshened)
        ex.did("deliver")
        now = self._context.clock.now()
        fields = shown.stored.fields.replacing(b"age", b"%d" % int(current_age(freshened, now)))
        try:
            responder.answer(ex.dressed(Response(freshened.status, fields, freshened.reason)), content)
        except DownstreamClosed as gone:
            ex.did(gone.detail)
        else:
            ex.status, ex.first_byte, ex.sent, ex.is_complete = freshened.status, now, len(content), True
        return True


def _name(shape: RequestShape, stored: StoredResponse, why: Validate, received: Response) -> tuple[object, ...]:
    rules, deciding = shape.site.compression, shape.site.deciding
    return (
        shape,
        why.fwd,
        why.detail,
        stored.status,
        stored.nominated,
        # Whether a content is long enough to be coded.
        rules is not None and (stored.complete_length or 0) < rules.min_size,
        reduced(stored.fields, deciding),
        reduced(received.fields, deciding),
    )


def _copied(fields: FieldSection) -> FieldSection:
    return FieldSection([(name, value) for name, value in fields])
