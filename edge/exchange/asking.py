"""Asking the origin: sending a request and taking its answer, whatever it allows to be done with it."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from edge.caching import partial, storing, validation
from edge.caching.stored import StoredResponse
from edge.caching.storing import DoNotStore, NotStored, Store
from edge.errors import DownstreamClosed, StoreError, UpstreamProtocolError
from edge.exchange.context import Context
from edge.exchange.deliver import pass_through
from edge.exchange.exchange import Exchange
from edge.exchange.fence import Fence
from edge.exchange.fill import Fill
from edge.exchange.filling import Filling
from edge.exchange.flight import Flight
from edge.exchange.forward import Forwarded, forwarded_fields, forwarded_request, received_head
from edge.exchange.reusing import deliver_stored, may_serve_stale, reuse_stored
from edge.policy.learned import Learned
from edge.ports import Source, UpstreamResponse
from edge.semantics.fields import FieldSection
from edge.semantics.forwarding import connection_options
from edge.semantics.messages import Request, Response

_CACHING_FIELDS = frozenset({
    b"cache-control", b"cdn-cache-control", b"foreland-cache-control", b"expires", b"set-cookie", b"vary", b"age", b"date",
})  # fmt: skip
#: Reasons that lie in the request: the next one for the same key may well be stored.
OF_THE_REQUEST = frozenset({
    NotStored.METHOD, NotStored.REQUEST_NO_STORE, NotStored.AUTHORIZATION, NotStored.COOKIE, NotStored.PARTIAL_UNCLEAR,
})  # fmt: skip
# Answers about the request or the moment, not about what the origin has.
_PASSING = frozenset({304, 412, 416, 429})


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the origin.

    Attributes:
        fields: the request fields to send.
        stale: the stored response that may stand in when the origin fails.
        validated: the stored response that is asked about, None when a whole one is wanted.
        completed: the stored beginning whose rest is asked for, None otherwise.
    """

    fields: FieldSection
    stale: StoredResponse | None = None
    validated: StoredResponse | None = None
    completed: StoredResponse | None = None

    @property
    def known(self) -> StoredResponse | None:
        """The stored response that the request selected."""
        return self.validated or self.completed or self.stale

    def for_whole(self, fields: FieldSection) -> "Question":
        """Return the question that asks for the whole instead, with the request fields of the exchange."""
        return Question(fields.without(*validation.PRECONDITIONS, b"range"), stale=self.stale)


class Asking:
    """The way from an exchange to the origin and back."""

    def __init__(self, context: Context, learned: Learned, filling: Filling, fence: Fence) -> None:
        self._context = context
        self._learned = learned
        self._filling = filling
        self._fence = fence

    async def forward(self, ex: Exchange, fields: FieldSection, content: Source | None = None) -> Forwarded:
        """Send the request with `fields` and return the final response's head; UpstreamError when there is none."""
        ex.did("forward")
        mark, epoch = self._fence.mark, self._context.purges.current()
        origin = self._context.origins[ex.site.origin]
        request, responder = forwarded_request(ex, fields), ex.responder
        if ex.wants_answer:
            upstream = await origin.send(request, content, interim_to(ex), responder.allowance)
        else:
            upstream = await origin.send(request, content, None)
        return self.received(ex, fields, upstream, mark, epoch)

    @staticmethod
    def received(ex: Exchange, fields: FieldSection, upstream: UpstreamResponse, mark: int, epoch: int) -> Forwarded:
        """Return the origin's answer to a request with `fields`; UpstreamError when it is none to that."""
        ex.heard(upstream)
        head = received_head(upstream.head, upstream.response_time)
        is_unasked_304 = head.status == 304 and b"if-none-match" not in fields and b"if-modified-since" not in fields
        # RFC 9112 §6.3: such content ends with the connection; what it is only the origin knows.
        coding = upstream.head.fields.get(b"transfer-encoding")
        is_coded = coding is not None and coding.lower() != b"chunked" and not ex.site.profile.trust_unknown_coding
        if is_unasked_304 or is_coded or (head.status == 206 and b"range" not in fields):
            upstream.close()
            raise UpstreamProtocolError
        return Forwarded(upstream, head, mark, epoch)

    async def take(self, ex: Exchange, forwarded: Forwarded, question: Question, flight: Flight) -> None:
        """Do with the origin's answer what it allows, and tell `flight` what it means for those who follow."""
        head, stale = forwarded.head, question.stale
        if head.status == 304 and question.validated is not None:
            await self._not_modified(ex, forwarded, question, question.validated, flight)
        elif head.status in {206, 416} and question.completed is not None:
            await self._complete(ex, forwarded, question, question.completed, flight)
        elif (
            head.status >= 500
            and stale is not None
            and (decision := may_serve_stale(self._context, ex, stale, disconnected=False)) is not None
        ):
            forwarded.upstream.close()
            flight.stands_in()
            await reuse_stored(self._context, ex, stale, decision)
        else:
            await self._take_new(ex, forwarded, question, flight)

    def put(self, freshened: StoredResponse, mark: int) -> bool:
        """Replace a stored head by its update, asked for at `mark`; return whether the store took it."""
        if not self._fence.lets_through(freshened.key, mark):
            return False
        try:
            self._context.store.put(freshened)
        except StoreError as error:
            self._context.telemetry.count(error.detail)
            return False
        return True

    async def _not_modified(
        self, ex: Exchange, forwarded: Forwarded, question: Question, stored: StoredResponse, flight: Flight
    ) -> None:
        """Freshen `stored` and answer with it (RFC 9111 §4.3.4)."""
        forwarded.upstream.close()
        if not validation.identifies(stored, forwarded.head, trust_mismatch=ex.site.profile.trust_mismatched_304):
            ex.did("mismatch")
            await self._ask_for_whole(ex, question, flight)
            return
        ex.did("not-modified")
        ex.outcome = "REVALIDATED"
        freshened = self._filling.freshened(ex, stored, forwarded)
        ex.ttl = self._filling.ttl(ex, freshened)
        decision = self.decision(ex, replace(ex.request, method=b"GET"), forwarded, freshened.response)
        if isinstance(decision, Store):
            ex.did("freshen")
            ex.is_stored = self.put(freshened, forwarded.mark)
            flight.freshened(freshened)
        else:
            _tell_refusal(flight, decision)
        try:
            await deliver_stored(self._context, ex, freshened)
        except StoreError as error:
            ex.did(error.detail)
            await self._ask_for_whole(ex, question, Flight())
        finally:
            if isinstance(decision, NotStored) and decision not in OF_THE_REQUEST:
                await self._context.store.remove(stored.key, stored.generation)

    async def _complete(
        self, ex: Exchange, forwarded: Forwarded, question: Question, stored: StoredResponse, flight: Flight
    ) -> None:
        """Answer with the beginning that is stored and the rest from the origin (RFC 9111 §3.3)."""
        with ExitStack() as unless_filled:
            unless_filled.callback(forwarded.upstream.close)
            part = partial.described(forwarded.head, forwarded.upstream.content_length, trust_framing=False)
            if (
                part is not None
                and part.start == partial.missing_tail(stored)
                and part.end == part.complete
                and partial.may_combine(stored, forwarded.head)
                and self.may_keep(ex, forwarded, stored)
                and (fill := await self._filling.extend(ex, forwarded, stored, part)) is not None
            ):
                unless_filled.pop_all()
                flight.filling(fill)
                await self._filling.answer(ex, fill, fill.stored.response)
                return
        ex.did("mismatch")
        await self._ask_for_whole(ex, question, flight)

    async def _ask_for_whole(self, ex: Exchange, question: Question, flight: Flight) -> None:
        whole = question.for_whole(forwarded_fields(ex))
        await self.take(ex, await self.forward(ex, whole.fields), whole, flight)

    async def _take_new(self, ex: Exchange, forwarded: Forwarded, question: Question, flight: Flight) -> None:
        """Store the response while answering with it, or only answer with it."""
        with ExitStack() as unless_filled:
            unless_filled.callback(forwarded.upstream.close)
            fill = await self._fill(ex, forwarded, question)
            if isinstance(fill, Fill):
                unless_filled.pop_all()
                flight.filling(fill)
                await self._filling.answer(ex, fill, forwarded.head)
                return
            ex.did(fill.value)
            ex.detail = fill.value
            _tell_refusal(flight, fill)
            await self.learn_refusal(ex, forwarded, question, fill)
            head, content = self._context.variants.of_passed(ex, forwarded.upstream, forwarded.head)
            await pass_through(ex, forwarded.upstream, head, self._context.clock.now(), content)

    async def _fill(self, ex: Exchange, forwarded: Forwarded, question: Question) -> Fill | NotStored:
        head = forwarded.head
        decision = self.decision(ex, ex.request, forwarded, head)
        if isinstance(decision, NotStored):
            return decision
        if head.status >= 500 and question.stale is not None:
            # A server error never takes the place of a response that can serve again once the origin is well.
            return NotStored.USABLE_STORED
        return await self._filling.begin(ex, forwarded, decision)

    def may_keep(self, ex: Exchange, forwarded: Forwarded, stored: StoredResponse) -> bool:
        """Return whether `stored` may still be stored once the origin's answer has updated it."""
        freshened = self._filling.freshened(ex, stored, forwarded)
        return isinstance(self.decision(ex, ex.request, forwarded, freshened.response), Store)

    @staticmethod
    def decision(ex: Exchange, request: Request, forwarded: Forwarded, response: Response) -> Store | NotStored:
        """Return whether, and with which fields, `response`, which the origin's answer makes, may be stored."""
        upstream = forwarded.upstream
        if connection_options(upstream.head.fields) & _CACHING_FIELDS:
            # Dropped for the next hop, but what they say must still be heeded here.
            return NotStored.CONNECTION_OPTION
        decision = storing.decide(request, response, upstream.response_time, ex.site.storing_rules)
        return decision.reason if isinstance(decision, DoNotStore) else decision

    async def learn_refusal(self, ex: Exchange, forwarded: Forwarded, question: Question, reason: NotStored) -> None:
        """Draw the conclusions for later requests from a response about what the origin now has."""
        if not teaches(reason, forwarded.head.status):
            return
        if reason is not NotStored.STORE_UNAVAILABLE:
            self._learned.not_stored(ex.key, self._context.clock.now())
        if question.validated is not None:
            await self._context.store.remove(question.validated.key, question.validated.generation)


def teaches(reason: NotStored, status: int) -> bool:
    """Return whether a response that is not stored says something of what the origin now has."""
    return reason not in OF_THE_REQUEST and status < 500 and status not in _PASSING


def _tell_refusal(flight: Flight, reason: NotStored) -> None:
    if reason in OF_THE_REQUEST:
        flight.lost()
    else:
        flight.released()


def interim_to(ex: Exchange) -> Callable[[Response], None]:
    """Return what passes 1xx responses on to the client."""

    def interim(response: Response) -> None:
        try:
            ex.responder.interim(response)
        except DownstreamClosed:
            ex.did(DownstreamClosed.detail)

    return interim
