"""Beginning fills: what is kept of an origin's answer, and where its content goes."""

from collections.abc import Sequence
from dataclasses import replace

from edge.caching import partial, validation, vary
from edge.caching.freshness import current_age, freshness
from edge.caching.partial import Part
from edge.caching.stored import StoredResponse
from edge.caching.storing import NotStored, Store
from edge.errors import StoreError
from edge.exchange.context import Context
from edge.exchange.deliver import Body, deliver
from edge.exchange.exchange import Exchange
from edge.exchange.fence import Fence
from edge.exchange.fill import Fill
from edge.exchange.flight import Flight
from edge.exchange.forward import Forwarded
from edge.exchange.plan import Whole, plan
from edge.exchange.purged import is_unpurged, lookup
from edge.exchange.reusing import deliver_stored, may_answer, stale_or_raise
from edge.policy.learned import Learned
from edge.ports import Writer
from edge.semantics.messages import Response


class Filling:
    """The way of the origin's content into the store, and to those who asked for it."""

    def __init__(self, context: Context, learned: Learned, fence: Fence) -> None:
        self._context = context
        self._learned = learned
        self._fence = fence

    async def begin(self, ex: Exchange, forwarded: Forwarded, decision: Store) -> Fill | NotStored:
        """Begin to store a response, as decided; return why not when that cannot be."""
        upstream, head = forwarded.upstream, forwarded.head
        part: Part | None = None
        base: StoredResponse | None = None
        if head.status == 206:
            part = partial.described(head, upstream.content_length, trust_framing=ex.site.profile.trust_partial_framing)
            if part is None:
                return NotStored.PARTIAL_UNCLEAR
            base = await self.extended(ex, head)
        names = vary.nominated_names(head.fields) or ()
        self._learned.varies(ex.key, names)
        writer = await self._writer(ex, forwarded, base, 0 if part is None else part.start)
        if writer is None:
            return NotStored.STORE_UNAVAILABLE
        stored = StoredResponse(
            key=ex.key,
            generation=writer.generation,
            method=ex.request.method,
            nominated=vary.nominate(names, ex.selecting.fields),
            status=head.status if part is None else 200,
            reason=head.reason if part is None else b"",
            # RFC 9111 §3.4: a part may leave out what came with the one before.
            fields=decision.fields if base is None else self.freshened(ex, base, forwarded).fields,
            request_time=upstream.request_time,
            response_time=upstream.response_time,
            complete_length=upstream.content_length if part is None else part.complete,
            ranges=() if base is None else base.ranges,
            epoch=forwarded.epoch,
        )
        ex.did("store")
        return self._begun(ex, forwarded, writer, stored, part, is_new_part=part is not None and base is None)

    async def extend(self, ex: Exchange, forwarded: Forwarded, stored: StoredResponse, part: Part) -> Fill | None:
        """Begin to add `part` to `stored`; return None when that cannot be."""
        writer = await self._writer(ex, forwarded, stored, part.start)
        if writer is None:
            return None
        ex.did("combine")
        draft = replace(self.freshened(ex, stored, forwarded), complete_length=part.complete)
        return self._begun(ex, forwarded, writer, draft, part, is_new_part=False)

    def freshened(self, ex: Exchange, stored: StoredResponse, forwarded: Forwarded) -> StoredResponse:
        """Return `stored` updated by the origin's answer (RFC 9111 §3.2).

        It was found after the purges before `ex`, and the origin was asked after them: none of them is about it now.
        """
        upstream = forwarded.upstream
        updated = validation.freshen(
            stored,
            forwarded.head,
            upstream.request_time,
            upstream.response_time,
            ex.site.freshness,
            request=ex.selecting.fields,
            store_set_cookie=ex.site.profile.store_set_cookie,
        )
        return replace(updated, epoch=min(max(stored.epoch, ex.epoch), forwarded.epoch), purged_at=None)

    def ttl(self, ex: Exchange, stored: StoredResponse) -> int:
        """Return the freshness that `stored` has left, in seconds."""
        facts = freshness(stored.status, stored.fields, stored.response_time, ex.site.freshness)
        return int(facts.lifetime - current_age(stored, self._context.clock.now()))

    async def answer(self, ex: Exchange, fill: Fill, head: Response) -> None:
        """Answer, first-hand, with the content that a fill brings in; `head` has the fields that are not stored too."""
        if head.status == 206:
            await self._answer_with_part(ex, fill, head)
        else:
            await self._answer(ex, fill, fill.stored.with_fields(head.fields), None)

    async def follow(self, ex: Exchange, fill: Fill) -> None:
        """Answer with the content that a fill brings in because another request asked for it.

        Raises:
            StoreError: the store failed before anything was sent.
        """
        ex.ttl = self.ttl(ex, fill.stored)
        await self._answer(ex, fill, fill.stored, current_age(fill.stored, self._context.clock.now()))

    async def share(self, ex: Exchange, flight: Flight, stale: StoredResponse | None) -> bool:
        """Answer with the response that the lead of `flight` has freshened, or as its failure allows; False if neither.

        Raises:
            UpstreamError: the lead's, when nothing `stale` may stand in.
        """
        if flight.stored is not None and may_answer(self._context, ex, flight.stored):
            ex.collapsed, ex.outcome = True, "REVALIDATED"
            ex.ttl = self.ttl(ex, flight.stored)
            await deliver_stored(self._context, ex, flight.stored)
            return True
        if flight.error is not None:
            ex.collapsed = True
            # Many raise it: none of them may add to the others' traceback.
            await stale_or_raise(self._context, ex, stale, flight.error.with_traceback(None))
            return True
        return False

    async def extended(self, ex: Exchange, head: Response) -> StoredResponse | None:
        """Return the stored part that a 206 may be combined with."""
        stored = vary.select(ex.selecting, await lookup(self._context, ex.key))
        if stored is not None and not stored.is_complete and partial.may_combine(stored, head):
            return stored
        return None

    async def _writer(
        self, ex: Exchange, forwarded: Forwarded, extends: StoredResponse | None, start: int
    ) -> Writer | None:
        length = forwarded.upstream.content_length
        try:
            return await self._context.store.writer(ex.key, length=length, extends=extends, start=start)
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            return None

    def _begun(
        self,
        ex: Exchange,
        forwarded: Forwarded,
        writer: Writer,
        stored: StoredResponse,
        part: Part | None,
        *,
        is_new_part: bool,
    ) -> Fill:
        start, end = (0, forwarded.upstream.content_length) if part is None else (part.start, part.end)
        forwarded.upstream.hasten()
        fill = Fill(writer, stored, start=start, end=end, is_kept=not ex.wants_answer)

        async def commit(end: int) -> bool:
            is_let_through = self._fence.lets_through(stored.key, forwarded.mark)
            if not is_let_through or not is_unpurged(self._context.purges, stored):
                return False
            if is_new_part and _has_whole(ex, stored, await lookup(self._context, stored.key)):
                return False
            ranges = partial.merged(stored.ranges, (start, end))
            complete = end if part is None else stored.complete_length
            await writer.commit(replace(stored, ranges=ranges, complete_length=complete))
            if not self._fence.lets_through(stored.key, forwarded.mark):
                await self._context.store.remove(stored.key, stored.generation)
            return True

        def count_error() -> None:
            if fill.store_error is not None:
                self._context.telemetry.count(fill.store_error.detail)

        if writer.is_admitted:
            ex.is_stored = True
            ex.ttl = self.ttl(ex, stored)
        else:
            ex.detail = NotStored.NOT_ADMITTED.value
        fill.begin(forwarded.upstream, commit)
        fill.call_when_over(count_error)
        return fill

    async def _answer(self, ex: Exchange, fill: Fill, head: StoredResponse, age: float | None) -> None:
        now = self._context.clock.now()
        shown = await self._context.variants.of_fill(ex, fill, head, now, is_first_hand=age is None)
        # To a POST the origin applied the preconditions before it did what was asked.
        is_get = ex.request.method == b"GET"
        what = plan(shown.request, shown.stored, shown.body.length, now) if is_get else Whole()
        await deliver(ex, shown.stored, what, shown.body, age=age, now=now)

    async def _answer_with_part(self, ex: Exchange, fill: Fill, head: Response) -> None:
        """Answer with a 206 as the origin made it."""
        length = None if fill.end is None else fill.end - fill.start
        body = Body(
            lambda start, end: fill.open(fill.start + start, None if end is None else fill.start + end),
            length,
            is_at_hand=False,
        )
        labelled = self._context.variants.labelled(ex, fill.stored.with_fields(head.fields))
        shown = replace(labelled, status=206, reason=head.reason)
        await deliver(ex, shown, Whole(), body, age=None, now=self._context.clock.now())


def _has_whole(ex: Exchange, part: StoredResponse, candidates: Sequence[StoredResponse]) -> bool:
    """Return whether a whole response came in since the part was asked for, which the part must not replace."""
    current = vary.select(ex.selecting, candidates)
    return current is not None and current.is_complete and current.response_time >= part.request_time
