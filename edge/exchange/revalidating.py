"""Validated at once: what the origin says still holds is freshened and goes out without a task (RFC 9111 §4.3.4)."""

from edge.caching.freshness import current_age
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
from edge.ports import PromptResponder, UpstreamResponse
from edge.semantics.messages import Response


class Revalidating:
    """Takes the 304 to a plain request for all of a stored response."""

    def __init__(self, context: Context, asking: Asking, filling: Filling) -> None:
        self._context, self._asking, self._filling = context, asking, filling

    def answer(
        self,
        ex: Exchange,
        responder: PromptResponder,
        stored: StoredResponse,
        upstream: UpstreamResponse,
        flight: Flight | None,
        mark: int,
    ) -> bool:
        """Answer with `stored`, as `Asking.take` would; False, with nothing done, when that is more than a short answer."""
        received = upstream.head
        if received.status != 304 or b"transfer-encoding" in received.fields or upstream.whole() is None:
            return False
        forwarded = Forwarded(upstream, received_head(upstream), mark, ex.epoch)
        if not identifies(stored, forwarded.head, trust_mismatch=ex.site.profile.trust_mismatched_304):
            return False
        freshened = self._filling.freshened(ex, stored, forwarded)
        if not isinstance(Asking.decision(ex, ex.request, forwarded, freshened.response), Store):
            return False
        shown = self._context.variants.as_it_is(ex, freshened)
        content = None if shown is None else self._context.store.read_nowait(stored)
        if shown is None or content is None:
            return False
        ex.heard(upstream)
        ex.did("not-modified")
        ex.outcome = "REVALIDATED"
        ex.ttl = self._filling.ttl(ex, freshened)
        ex.did("freshen")
        ex.is_stored = self._asking.put(freshened, forwarded)
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
