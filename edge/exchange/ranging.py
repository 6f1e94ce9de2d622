"""Ranges of large representations: fetched by chunks, shared by all who ask for them, never from two generations.

The first answer for a key of which nothing is stored decides.  Is it a part, an assembly begins with it; is it the
whole, that is stored; is it neither, or may it not be stored, the origin is asked just as the client asked.
"""

from edge.caching import partial, vary
from edge.caching.directives import request_directives
from edge.caching.freshness import current_age
from edge.caching.stored import Range, StoredResponse
from edge.errors import ParseError, StoreError, UpstreamChanged, UpstreamError
from edge.exchange.asking import Asking, Question
from edge.exchange.assembling import Assembling, may_grow
from edge.exchange.assembly import Assembly
from edge.exchange.context import Context
from edge.exchange.deliver import Body, deliver
from edge.exchange.exchange import Exchange
from edge.exchange.fence import Fence
from edge.exchange.filling import Filling
from edge.exchange.flight import Flight, Flights, Outcome
from edge.exchange.plan import CONDITIONAL, plan, wanted_ranges
from edge.exchange.purged import is_flight_settled, is_settled
from edge.exchange.reusing import may_answer, stale_or_raise
from edge.policy import chunking
from edge.policy.learned import Learned
from edge.semantics.messages import Response
from edge.semantics.ranges import parse_range

# How many assemblies and flights one request takes part in before the origin is asked as the client asked.
_TRIES = 3


class Ranging:
    """The assemblies of a node."""

    def __init__(self, context: Context, asking: Asking, filling: Filling, learned: Learned, fence: Fence) -> None:
        self._context = context
        self._asking = asking
        self._filling = filling
        self._learned = learned
        self._assembling = Assembling(context, asking, filling, learned, fence)
        self._runs = chunking.Runs()
        self._flights = Flights()
        self._assemblies: dict[bytes, list[Assembly]] = {}

    def __len__(self) -> int:
        """Return how many assemblies, and answers to begin one with, there are."""
        return len(self._flights) + sum(map(len, self._assemblies.values()))

    def invalidate(self, key: bytes) -> None:
        """Let nobody who comes from now on read what is being assembled for `key`."""
        self._flights.forget(key)
        self._assemblies.pop(key, None)

    async def answer(self, ex: Exchange, question: Question) -> bool:
        """Answer a range request by chunks; return False, with nothing sent, if it is to be asked as it is."""
        if (asked := self._first_chunk(ex, question)) is None:
            return False
        for _ in range(_TRIES):
            try:
                if (assembly := self._find(ex)) is not None:
                    return await self._answer(ex, assembly)
                flight = self._flights.find(ex.key, ex.selecting.fields)
                if flight is None or not is_flight_settled(self._context.purges, ex, flight):
                    return await self._lead(ex, question, asked)
                if await self._follow(ex, flight, question):
                    return True
                if flight.outcome not in {Outcome.ASSEMBLING, Outcome.LOST}:
                    return False
            except UpstreamChanged as error:
                ex.did(error.detail)
                ex.collapsed = False
        return False

    async def complete(self, ex: Exchange, stored: StoredResponse) -> bool:
        """Answer with a stored part and what is missing of it; return False, with nothing sent, if that cannot be."""
        if not self._may_fetch(ex) or not may_grow(stored):
            return False
        try:
            return await self._answer(ex, self._of(ex, stored))
        except UpstreamChanged as error:
            ex.did(error.detail)
            return False

    def read_on(self, ex: Exchange, stored: StoredResponse) -> None:
        """Fetch what a client, answered with a stored part, will ask for next if it goes on as it has begun."""
        length = stored.complete_length
        wanted = wanted_ranges(plan(ex.request, stored, length, self._context.clock.now()), length or 0)
        if len(wanted) != 1 or length is None:
            return
        before = self._runs.continued(ex.key, wanted[0])
        end = chunking.reach(ex.site.chunks, wanted[0], length, before)
        is_missing = chunking.first_missing(stored.ranges, wanted[0][1], end) is not None
        if is_missing and ex.is_complete and self._may_fetch(ex) and may_grow(stored):
            self._of(ex, stored).read_ahead(wanted[0][1], end)

    def _may_fetch(self, ex: Exchange) -> bool:
        """Return whether what this request brings in may be for others, and its key is one to be fetched by chunks."""
        request, now = ex.request, self._context.clock.now()
        return (
            ex.site.collapse
            and ex.site.chunks.parallel > 0
            and request.method == b"GET"
            and b"authorization" not in request.fields
            and b"no-store" not in request_directives(request.fields)
            and not self._learned.is_uncacheable(ex.key, now)
            and not self._learned.is_asked_as_is(ex.key, now)
        )

    def _first_chunk(self, ex: Exchange, question: Question) -> Range | None:
        known = question.validated
        is_whole_better = known is not None and (known.complete_length or 0) <= ex.site.chunks.unit
        if (known is None and b"range" not in question.fields) or is_whole_better or not self._may_fetch(ex):
            return None
        if any(name in ex.request.fields for name in CONDITIONAL):
            return None
        try:
            specs = parse_range(ex.request.fields.combined(b"range") or b"")
        except ParseError:
            return None
        return chunking.first_chunk(specs, ex.site.chunks.unit)

    def _find(self, ex: Exchange) -> Assembly | None:
        for assembly in self._assemblies.get(ex.key, ()):
            if assembly.takes_readers and may_answer(self._context, ex, assembly.stored):
                return assembly
        return None

    def _of(self, ex: Exchange, stored: StoredResponse) -> Assembly:
        """Return the assembly of the representation that `stored` is a part of, begun now if there is none."""
        for assembly in self._assemblies.get(ex.key, ()):
            is_selected = vary.select(ex.selecting, [assembly.stored]) is not None
            is_current = is_settled(self._context.purges, ex, assembly.stored)
            if assembly.takes_readers and is_selected and is_current and partial.is_same(stored, assembly.stored):
                return assembly
        return self._register(self._assembling.of(ex, stored, stored.complete_length or 0))

    def _register(self, assembly: Assembly) -> Assembly:
        key = assembly.stored.key
        self._assemblies.setdefault(key, []).append(assembly)

        def over() -> None:
            others = [each for each in self._assemblies.get(key, ()) if each is not assembly]
            if others:
                self._assemblies[key] = others
            else:
                self._assemblies.pop(key, None)

        assembly.call_when_over(over)
        return assembly

    async def _follow(self, ex: Exchange, flight: Flight, question: Question) -> bool:
        """Wait for the first answer, and use it if it is the whole, or none; return whether it was used."""
        ex.did("follow")
        outcome = await flight.wait(ex.site.collapse_wait)
        fill = flight.fill
        if outcome is Outcome.FILLING and fill is not None and fill.takes_followers:
            if not may_answer(self._context, ex, fill.stored):
                return False
            ex.collapsed = True
            await self._filling.follow(ex, fill)
            return True
        return await self._filling.share(ex, flight, question.stale)

    async def _lead(self, ex: Exchange, question: Question, asked: Range) -> bool:
        """Ask for the chunk `asked`, and answer; return False, with nothing sent, if that will not do.

        In a validation the chunk is what comes back instead of the whole, should there be another representation.
        """
        flight = self._flights.begin(
            ex.key, vary.nominate(self._learned.nominated(ex.key), ex.selecting.fields), ex.epoch
        )
        fields = question.fields.replacing(b"range", b"bytes=%d-%d" % (asked[0], asked[1] - 1))
        try:
            try:
                forwarded = await self._asking.forward(ex, fields)
                if forwarded.head.status != 206:
                    await self._asking.take(ex, forwarded, question, flight)
                    return True
            except UpstreamError as error:
                flight.failed(error)
                await stale_or_raise(self._context, ex, question.stale, error)
                return True
            assembly = await self._assembling.begun(ex, forwarded, question, asked)
            if assembly is None:
                ex.did("as-is")
                self._learned.asked_as_is(ex.key, self._context.clock.now())
                flight.released()
                return False
            if assembly.is_kept and assembly.is_growing:
                self._register(assembly)
            flight.assembling()
            return await self._answer(ex, assembly, forwarded.head)
        finally:
            flight.lost()

    async def _answer(self, ex: Exchange, assembly: Assembly, head: Response | None = None) -> bool:
        """Answer with what an assembly has and brings in; return False, with nothing sent, if it cannot.

        `head` is that of the response the assembly began with, which has the fields that are not stored too.
        """
        what = plan(ex.request, assembly.stored, assembly.length, self._context.clock.now())
        wanted = wanted_ranges(what, assembly.length)
        missing = (chunking.first_missing(assembly.stored.ranges, *each) for each in wanted)
        first = next((at for at in missing if at is not None), None)
        ex.collapsed = head is None
        # Held until the end, so that what was fetched first is still there when it is its turn.
        waiting = assembly.open(first or 0, 0 if first is None else first + 1)
        try:
            if first is None and head is None and not may_answer(self._context, ex, assembly.stored):
                return False
            if first is not None:
                await self._confirm(ex, assembly, first, is_first_hand=head is not None)
            before = self._runs.continued(ex.key, wanted[0]) if len(wanted) == 1 else 0
            now = self._context.clock.now()
            stored, length = assembly.stored, assembly.length
            if assembly.is_kept:
                ex.is_stored, ex.ttl = not ex.collapsed, self._filling.ttl(ex, stored)
            body = Body(
                lambda start, end: assembly.open(start, length if end is None else end, before), length, is_at_hand=True
            )
            if head is not None:
                stored = stored.with_fields(head.fields.without(b"content-range"))
            stored = self._context.variants.labelled(ex, stored)
            await deliver(ex, stored, what, body, age=None if head is not None else current_age(stored, now), now=now)
        except UpstreamChanged:
            raise
        except (StoreError, UpstreamError) as error:
            if ex.status:
                raise
            ex.did(error.detail)
            return False
        finally:
            waiting.close()
        return True

    async def _confirm(self, ex: Exchange, assembly: Assembly, position: int, *, is_first_hand: bool) -> None:
        """Wait until the origin says that it still has this representation, before anything of it is sent."""
        is_shared = assembly.is_fetching(position)
        if not is_first_hand:
            assembly.asker = ex.in_background(self._context.clock.now())
        stretch = await assembly.stretch_for(position)
        if not is_shared and stretch is not None and stretch.forwarded is not None:
            ex.collapsed = False
            ex.did("combine")
            ex.heard(stretch.forwarded.upstream)
