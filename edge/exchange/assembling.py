"""Beginning assemblies: what is made of the first part of a representation that the origin sends."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from edge.caching import partial, validation, vary
from edge.caching.partial import Part
from edge.caching.stored import Range, StoredResponse
from edge.caching.storing import NotStored, Store
from edge.errors import StoreError
from edge.exchange.asking import Asking, Question
from edge.exchange.assembly import Assembly
from edge.exchange.bringing import Bringing
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange
from edge.exchange.fence import Fence
from edge.exchange.filling import Filling
from edge.exchange.forward import Forwarded
from edge.exchange.plan import plan, wanted_ranges
from edge.exchange.stretch import Stretch
from edge.policy.learned import Learned
from edge.ports import Writer


class Assembling:
    """Makes assemblies, of a first part or of what is stored."""

    def __init__(self, context: Context, asking: Asking, filling: Filling, learned: Learned, fence: Fence) -> None:
        self._context = context
        self._asking = asking
        self._filling = filling
        self._learned = learned
        self._bringing = Bringing(context, asking, filling, fence)

    def of(self, ex: Exchange, stored: StoredResponse, length: int) -> Assembly:
        """Return an assembly of the representation of `length` octets that `stored` is a part of."""
        asker = ex.in_background(self._context.clock.now())
        return Assembly(stored, length, asker, self._context.store, self._bringing)

    async def begun(self, ex: Exchange, forwarded: Forwarded, question: Question, asked: Range) -> Assembly | None:
        """Begin with the part that the origin has sent; None when it will not do for this request."""
        with ExitStack() as unless_taken:
            unless_taken.callback(forwarded.upstream.close)
            length = forwarded.upstream.content_length
            trust = ex.site.profile.trust_partial_framing
            part = partial.described(forwarded.head, length, trust_framing=trust)
            if part is None or part.complete is None or part.end - part.start > asked[1] - asked[0]:
                return None
            decision = self._asking.decision(ex, ex.request, forwarded, forwarded.head)
            stored = await self._draft(ex, forwarded, decision, part)
            wanted = wanted_ranges(plan(ex.request, stored, part.complete, self._context.clock.now()), part.complete)
            is_covered = len(wanted) < 2 and all(part.start <= start and end <= part.end for start, end in wanted)
            if not is_covered and not (may_grow(stored) and isinstance(decision, Store)):
                return None
            writer = await self._writer(stored, part, wanted) if isinstance(decision, Store) else None
            if writer is None and not is_covered:
                return None
            assembly = self.of(ex, stored, part.complete)
            assembly.is_growing = may_grow(stored)
            if writer is None:
                assembly.is_kept = False
                reason = decision if isinstance(decision, NotStored) else NotStored.STORE_UNAVAILABLE
                ex.did(reason.value)
                ex.detail = reason.value
                await self._asking.learn_refusal(ex, forwarded, question, reason)
            else:
                ex.did("store")
                assembly.stored = replace(stored, generation=writer.generation)
            assembly.begin(Stretch(part.start, part.end, forwarded=forwarded, writer=writer))
            unless_taken.pop_all()
            return assembly

    async def _draft(
        self, ex: Exchange, forwarded: Forwarded, decision: Store | NotStored, part: Part
    ) -> StoredResponse:
        """Return the head of the representation that `part` is of, with what is stored of it already."""
        base = await self._filling.extended(ex, forwarded.head)
        if base is not None:
            return self._filling.freshened(ex, base, forwarded)
        upstream, head = forwarded.upstream, forwarded.head
        names = vary.nominated_names(head.fields) or ()
        if isinstance(decision, Store):
            self._learned.varies(ex.key, names)
        return StoredResponse(
            key=ex.key,
            generation=b"",
            method=b"GET",
            nominated=vary.nominate(names, ex.selecting.fields),
            status=200,
            reason=b"",
            fields=decision.fields if isinstance(decision, Store) else head.fields.without(b"content-range"),
            request_time=upstream.request_time,
            response_time=upstream.response_time,
            complete_length=part.complete,
            epoch=forwarded.epoch,
        )

    async def _writer(self, stored: StoredResponse, part: Part, wanted: Sequence[Range]) -> Writer | None:
        """Begin to store, if the store can take what the client wants."""
        length = max(part.end - part.start, sum(end - start for start, end in wanted))
        extends = stored if stored.ranges else None
        try:
            return await self._context.store.writer(stored.key, length=length, extends=extends, start=part.start)
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            return None


def may_grow(stored: StoredResponse) -> bool:
    """Return whether more may be asked for: only a strong validator says that it is of the same representation."""
    etag = validation.entity_tag(stored.fields)
    return etag is not None and not etag.weak and bool(stored.complete_length)
