"""Asking the origin: sending a request and taking its answer, whatever it allows to be done with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.caching import partial, storing, validation, vary
from edge.caching.freshness import current_age, freshness
from edge.caching.partial import Part
from edge.caching.stored import StoredResponse
from edge.caching.storing import DoNotStore, NotStored, Store
from edge.errors import DownstreamClosed, StoreError, UpstreamProtocolError
from edge.exchange.context import Context
from edge.exchange.deliver import Body, deliver, pass_through
from edge.exchange.exchange import Exchange
from edge.exchange.fill import Fill
from edge.exchange.flight import Flight
from edge.exchange.forward import forwarded_fields, forwarded_request, received_head
from edge.exchange.joined import Joined
from edge.exchange.plan import Whole, plan
from edge.ports import Closable, Source, UpstreamResponse
from edge.exchange.reusing import deliver_stored, may_serve_stale, reuse_stored
from edge.policy.learned import Learned
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import connection_options
from edge.semantics.messages import Response
from edge.tasks import spawn

_CACHING_FIELDS = frozenset({
    b"cache-control", b"cdn-cache-control", b"foreland-cache-control", b"expires", b"set-cookie", b"vary", b"age", b"date",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The origin's answer: as it came, and its head as it may go on."""

    upstream: UpstreamResponse
    head: Response


class Asking:
    """The way from an exchange to the origin and back."""

    def __init__(self, context: Context, learned: Learned) -> None:
        self._context = context
        self._learned = learned

    async def forward(self, ex: Exchange, fields: FieldSection, content: Source | None = None) -> Forwarded:
        """Send the request with `fields` and return the final response's head; UpstreamError when there is none."""
        ex.did("forward")
        origin = self._context.origins[ex.site.origin]
        upstream = await origin.send(
            forwarded_request(ex, fields), content, _interim_to(ex) if ex.wants_answer else None
        )
        ex.heard(upstream)
        head = received_head(upstream)
        is_unasked_304 = head.status == 304 and b"if-none-match" not in fields and b"if-modified-since" not in fields
        if is_unasked_304 or (head.status == 206 and b"range" not in fields):
            upstream.close()
            raise UpstreamProtocolError
        return Forwarded(upstream, head)

    async def take(
        self,
        ex: Exchange,
        forwarded: Forwarded,
        *,
        stale: StoredResponse | None = None,
        validated: StoredResponse | None = None,
        flight: Flight | None = None,
    ) -> None:
        """Do with the origin's answer what it allows.

        Args:
            ex: the exchange to answer.
            forwarded: the origin's answer.
            stale: a stored response that may stand in for a server error.
            validated: the stored response that was asked about.
            flight: tells those who follow.
        """
        head = forwarded.head
        if head.status == 304 and validated is not None:
            await self._not_modified(ex, forwarded, validated, flight)
            return
        if head.status >= 500 and stale is not None:
            decision = may_serve_stale(self._context, ex, stale, disconnected=False)
            if decision is not None:
                forwarded.upstream.close()
                await reuse_stored(self._context, ex, stale, decision)
                return
        reason = await self._store(ex, forwarded, stale, flight)
        if reason is not None:
            ex.did(reason.value)
            ex.detail = reason.value
            self._learned.not_stored(ex.key, self._context.clock.now())
            if flight is not None:
                flight.released()
            if validated is not None and head.status < 500:
                # It is no longer what the origin has.
                await self._context.store.remove(validated.key, validated.generation)
            await pass_through(ex, forwarded.upstream, head, self._context.clock.now())

    async def complete(self, ex: Exchange, stored: StoredResponse, tail: int) -> None:
        """Answer with the beginning that is stored and the rest from the origin (RFC 9111 §3.3)."""
        asked = forwarded_fields(ex).without(*validation.PRECONDITIONS, b"range")
        ranged = asked.with_lines((b"range", b"bytes=%d-" % tail))
        etag = stored.fields.get(b"etag")
        if etag is not None:
            ranged = ranged.with_lines((b"if-range", etag))
        forwarded = await self.forward(ex, ranged)
        if forwarded.head.status in {206, 416}:
            part = partial.described(forwarded.head, forwarded.upstream.content_length, trust_framing=False)
            if (
                part is not None
                and part.start == tail
                and part.end == part.complete
                and partial.may_combine(stored, forwarded.head)
                and await self._join(ex, forwarded, stored, part)
            ):
                return
            forwarded.upstream.close()
            ex.did("mismatch")
            forwarded = await self.forward(ex, asked)
        await self.take(ex, forwarded)

    async def put(self, stored: StoredResponse) -> bool:
        """Replace a stored head; return whether the store took it."""
        try:
            await self._context.store.put(stored)
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            return False
        return True

    def freshened(self, ex: Exchange, stored: StoredResponse, forwarded: Forwarded) -> StoredResponse:
        """Return `stored` updated by the origin's answer (RFC 9111 §3.2)."""
        upstream = forwarded.upstream
        return validation.freshen(
            stored, forwarded.head, upstream.request_time, upstream.response_time, ex.site.freshness
        )

    async def follow_fill(self, ex: Exchange, fill: Fill) -> None:
        """Answer with content that another request's fill brings in."""
        now = self._context.clock.now()
        await self._deliver_fill(ex, fill, fill.stored, current_age(fill.stored, now))

    async def _not_modified(
        self, ex: Exchange, forwarded: Forwarded, stored: StoredResponse, flight: Flight | None
    ) -> None:
        """Freshen `stored` and answer with it (RFC 9111 §4.3.4)."""
        forwarded.upstream.close()
        if not validation.identifies(stored, forwarded.head, trust_mismatch=ex.site.profile.trust_mismatched_304):
            ex.did("mismatch")
            await self._fetch_whole(ex, flight)
            return
        ex.did("not-modified")
        freshened = self.freshened(ex, stored, forwarded)
        as_get = replace(ex.request, method=b"GET")
        if isinstance(
            storing.decide(as_get, freshened.response, freshened.response_time, ex.site.storing_rules), DoNotStore
        ):
            await self._context.store.remove(stored.key, stored.generation)
        else:
            ex.did("freshen")
            ex.is_stored = await self.put(freshened)
        if flight is not None:
            flight.freshened(freshened)
        ex.outcome = "REVALIDATED"
        facts = freshness(freshened.status, freshened.fields, freshened.response_time, ex.site.freshness)
        ex.ttl = int(facts.lifetime - current_age(freshened, self._context.clock.now()))
        try:
            await deliver_stored(self._context, ex, freshened)
        except StoreError as error:
            if ex.status:
                raise
            ex.did(error.detail)
            await self._fetch_whole(ex, None)

    async def _fetch_whole(self, ex: Exchange, flight: Flight | None) -> None:
        fields = forwarded_fields(ex).without(*validation.PRECONDITIONS, b"range")
        await self.take(ex, await self.forward(ex, fields), flight=flight)

    async def _store(
        self, ex: Exchange, forwarded: Forwarded, stale: StoredResponse | None, flight: Flight | None
    ) -> NotStored | None:
        """Store the response while answering with it; return the reason when it is not to be stored."""
        upstream, head = forwarded.upstream, forwarded.head
        if connection_options(upstream.head.fields) & _CACHING_FIELDS:
            # Dropped for the next hop, but what they say must still be heeded here.
            return NotStored.CONNECTION_OPTION
        decision = storing.decide(ex.request, head, upstream.response_time, ex.site.storing_rules)
        if isinstance(decision, DoNotStore):
            return decision.reason
        if head.status >= 500 and stale is not None:
            # A server error never takes the place of a response that can serve again once the origin is well.
            return NotStored.USABLE_STORED
        part: Part | None = None
        base: StoredResponse | None = None
        if head.status == 206:
            trust = ex.site.profile.trust_partial_framing
            part = partial.described(head, upstream.content_length, trust_framing=trust)
            if part is None:
                return NotStored.PARTIAL_UNCLEAR
            base = await self._extended(ex, head)
        fill = await self._begin_fill(ex, forwarded, decision, part, base)
        if fill is None:
            return NotStored.STORE_UNAVAILABLE
        if flight is not None:
            flight.filling(fill)
        self._pump(fill, is_part=part is not None, flight=flight)
        if part is None:
            # First-hand, the client gets the fields that are not stored as well.
            await self._deliver_fill(ex, fill, fill.stored.with_fields(head.fields), None)
        else:
            await self._deliver_part(ex, fill, head)
        return None

    async def _begin_fill(
        self, ex: Exchange, forwarded: Forwarded, decision: Store, part: Part | None, base: StoredResponse | None
    ) -> Fill | None:
        upstream, head = forwarded.upstream, forwarded.head
        names = vary.nominated_names(head.fields) or ()
        self._learned.varies(ex.key, names)
        start = 0 if part is None else part.start
        try:
            writer = await self._context.store.writer(ex.key, length=upstream.content_length, extends=base, start=start)
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            return None
        stored = StoredResponse(
            key=ex.key,
            generation=writer.generation,
            method=ex.request.method,
            nominated=vary.nominate(names, ex.request.fields),
            status=head.status if part is None else 200,
            reason=head.reason if part is None else b"",
            fields=decision.fields,
            request_time=upstream.request_time,
            response_time=upstream.response_time,
            complete_length=upstream.content_length if part is None else part.complete,
            ranges=() if base is None else base.ranges,
        )
        ex.did("store")
        ex.is_stored = True
        ex.ttl = int(decision.freshness.lifetime - current_age(stored, self._context.clock.now()))
        return Fill(upstream, writer, stored, start, is_kept=not ex.wants_answer)

    async def _extended(self, ex: Exchange, head: Response) -> StoredResponse | None:
        """Return the stored part that a 206 may be combined with."""
        stored = vary.select(ex.request, await self._context.store.lookup(ex.key))
        if stored is not None and not stored.is_complete and partial.may_combine(stored, head):
            return stored
        return None

    async def _join(self, ex: Exchange, forwarded: Forwarded, stored: StoredResponse, part: Part) -> bool:
        """Fill the missing rest of `stored` while answering with all of it; return False when that cannot be."""
        upstream = forwarded.upstream
        freshened = self.freshened(ex, stored, forwarded)
        try:
            writer = await self._context.store.writer(
                ex.key, length=upstream.content_length, extends=stored, start=part.start
            )
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            return False
        ex.did("combine")
        ex.is_stored = True
        draft = replace(freshened, generation=writer.generation, complete_length=part.complete)
        fill = Fill(upstream, writer, draft, part.start, is_kept=not ex.wants_answer)
        self._pump(fill, is_part=True, flight=None)

        def opened(start: int, end: int | None) -> Closable:
            held = self._context.store.open(stored, min(start, part.start), part.start)
            return Joined(held, fill.open(max(start, part.start), end))

        now = self._context.clock.now()
        body = Body(opened, part.complete, is_at_hand=False)
        await deliver(ex, draft, plan(ex.request, draft, part.complete, now), body, age=None, now=now)
        return True

    def _pump(self, fill: Fill, *, is_part: bool, flight: Flight | None) -> None:
        def finished(stored: StoredResponse, end: int) -> StoredResponse:
            ranges = partial.merged(stored.ranges, (fill.start, end))
            return replace(stored, ranges=ranges, complete_length=stored.complete_length if is_part else end)

        async def pump() -> None:
            try:
                await fill.pump(finished)
            finally:
                if flight is not None:
                    flight.ended()

        fill.task = spawn(pump(), name="fill")

    async def _deliver_fill(self, ex: Exchange, fill: Fill, shown: StoredResponse, age: float | None) -> None:
        now = self._context.clock.now()
        body = Body(fill.open, fill.end, is_at_hand=False)
        await deliver(ex, shown, plan(ex.request, shown, fill.end, now), body, age=age, now=now)

    async def _deliver_part(self, ex: Exchange, fill: Fill, head: Response) -> None:
        """Answer with a 206 as the origin made it."""
        length = None if fill.end is None else fill.end - fill.start
        body = Body(lambda _start, _end: fill.open(fill.start, None), length, is_at_hand=False)
        shown = replace(fill.stored, status=206, reason=head.reason, fields=head.fields)
        await deliver(ex, shown, Whole(), body, age=None, now=self._context.clock.now())


def _interim_to(ex: Exchange) -> Callable[[Response], None]:
    def interim(response: Response) -> None:
        try:
            ex.responder.interim(response)
        except DownstreamClosed:
            ex.did(DownstreamClosed.detail)

    return interim
