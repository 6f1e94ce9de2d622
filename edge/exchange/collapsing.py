"""Request collapsing: one request leads, those like it follow (RFC 9111 §4)."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from edge.caching import reuse, validation, vary
from edge.caching.stored import StoredResponse
from edge.errors import EdgeError, StoreError, UpstreamError
from edge.exchange.asking import Asking, Question
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange
from edge.exchange.fill import Fill
from edge.exchange.filling import Filling
from edge.exchange.flight import Flight, Flights, Outcome
from edge.exchange.forward import Forwarded, forwarded_fields
from edge.exchange.plan import Parts, plan
from edge.exchange.purged import is_flight_settled
from edge.exchange.ranging import Ranging
from edge.exchange.reusing import may_answer, may_serve_stale, reuse_stored, stale_or_raise
from edge.policy.learned import Learned
from edge.ports import UpstreamResponse
from edge.tasks import spawn

if TYPE_CHECKING:
    from edge.caching.vary import Nominated

# How many flights one request takes part in before it goes alone.
_TRIES = 3
# A range further ahead of a fill than so many octets is not waited for.
_NEAR = 1 << 20


class Collapsing:
    """The flights of a node."""

    def __init__(self, context: Context, asking: Asking, filling: Filling, learned: Learned, ranging: Ranging) -> None:
        self._context = context
        self._asking = asking
        self._filling = filling
        self._learned = learned
        self._ranging = ranging
        self._flights = Flights()
        #: Return whether a request for a key is in flight.
        self.is_asked: Callable[[bytes], bool] = self._flights.by_key.__contains__
        #: Return the flight of a request that now leads those for a key with the same nominated values.
        self.lead: Callable[[bytes, Nominated, int], Flight] = self._flights.begin

    def __len__(self) -> int:
        """Return how many flights there are."""
        return len(self._flights) + len(self._ranging)

    async def ask(self, ex: Exchange, question: Question) -> None:
        """Ask the origin, together with whoever asks the same at the same time if that is possible."""
        for _ in range(_TRIES if self._may_collapse(ex) else 0):
            flight = self._find(ex)
            if b"range" in ex.request.fields:
                if flight is None or not self._is_near(ex, flight.fill):
                    break
            elif flight is None or not self._may_join(ex, flight):
                await self._lead(ex, self._begin(ex, question.known), question)
                return
            try:
                if await self._follow(ex, flight, question):
                    return
            except StoreError as error:
                if ex.status:
                    raise
                # Damaged, as it turned out: its validator is of no use any more.
                ex.did(error.detail)
                question = question.for_whole(forwarded_fields(ex))
                continue
            is_other_variant = flight.fill is not None and vary.select(ex.selecting, [flight.fill.stored]) is None
            if flight.outcome is not Outcome.LOST and not is_other_variant:
                break
        if not await self._ranging.answer(ex, question):
            await self._alone(ex, question, Flight())

    def validate_in_background(self, ex: Exchange, stored: StoredResponse) -> None:
        """Ask whether `stored` still holds while it is being reused, once at a time (RFC 5861 §3)."""
        if self._find(ex) is not None:
            return
        shadow = ex.in_background(self._context.clock.now())
        shadow.forwards(reuse.Fwd.STALE)
        fields = validation.conditional_fields(forwarded_fields(shadow), stored)
        question = Question(fields, stale=stored, validated=stored)
        flight = self._begin(ex, stored)

        async def validate() -> None:
            try:
                await self._lead(shadow, flight, question)
            except EdgeError as error:
                self._context.telemetry.count(f"background-{error.detail}")

        # Should the task be cancelled before its first step.
        spawn(validate(), name="validate").add_done_callback(lambda _: flight.lost())

    async def go_on(
        self, ex: Exchange, question: Question, flight: Flight, outcome: UpstreamResponse | EdgeError, mark: int
    ) -> None:
        """Go on as the lead of `flight` with the origin's answer, or with why there is none."""

        async def forwarded() -> Forwarded:
            if isinstance(outcome, EdgeError):
                raise outcome
            return self._asking.received(ex, question.fields, outcome, mark, ex.epoch)

        await self._lead_by(ex, flight, question, forwarded())

    def invalidate(self, key: bytes) -> None:
        """Let nobody who comes from now on follow what is in flight for `key`."""
        self._flights.forget(key)
        self._ranging.invalidate(key)

    def _may_collapse(self, ex: Exchange) -> bool:
        request = ex.request
        return (
            ex.site.collapse
            and request.method == b"GET"
            and b"authorization" not in request.fields
            and not self._learned.is_uncacheable(ex.key, self._context.clock.now())
        )

    def _find(self, ex: Exchange) -> Flight | None:
        flight = self._flights.find(ex.key, ex.selecting.fields)
        return flight if flight is not None and is_flight_settled(self._context.purges, ex, flight) else None

    def _begin(self, ex: Exchange, known: StoredResponse | None) -> Flight:
        names = self._learned.nominated(ex.key) if known is None else (name for name, _ in known.nominated)
        return self.lead(ex.key, vary.nominate(names, ex.selecting.fields), ex.epoch)

    def _may_join(self, ex: Exchange, flight: Flight) -> bool:
        """Return whether a flight may still have an answer for this request."""
        return flight.fill is None or self._may_follow(ex, flight.fill)

    def _is_near(self, ex: Exchange, fill: Fill | None) -> bool:
        """Return whether the ranges asked for will soon be there."""
        if fill is None or fill.end is None or not self._may_follow(ex, fill):
            return False
        what = plan(ex.request, fill.stored, fill.end, self._context.clock.now())
        return not isinstance(what, Parts) or max(what.ranges)[0] <= fill.produced + _NEAR

    def _may_follow(self, ex: Exchange, fill: Fill) -> bool:
        return fill.takes_followers and may_answer(self._context, ex, fill.stored)

    async def _lead(self, ex: Exchange, flight: Flight, question: Question) -> None:
        await self._lead_by(ex, flight, question, self._asking.forward(ex, question.fields))

    async def _lead_by(self, ex: Exchange, flight: Flight, question: Question, forwarded: Awaitable[Forwarded]) -> None:
        try:
            await self._asking.take(ex, await forwarded, question, flight)
        except UpstreamError as error:
            flight.failed(error)
            await stale_or_raise(self._context, ex, question.stale, error)
        finally:
            flight.lost()

    async def _follow(self, ex: Exchange, flight: Flight, question: Question) -> bool:
        """Wait for an answer and use it if it may answer this request too; return whether it did.

        Raises:
            StoreError: the answer cannot be read back, and nothing has been sent.
        """
        ex.did("follow")
        while (outcome := await flight.wait(ex.site.collapse_wait)) is None:
            # Too long: a few at a time try for themselves, the others go on waiting for whoever succeeds.
            if not flight.alone.locked():
                await self._alone(ex, question, flight)
                return True
        if outcome is Outcome.FILLING and flight.fill is not None and self._may_follow(ex, flight.fill):
            ex.collapsed = True
            await self._filling.follow(ex, flight.fill)
            return True
        if await self._filling.share(ex, flight, question.stale):
            return True
        return outcome is Outcome.STALE and await self._reuse_stale(ex, question)

    async def _reuse_stale(self, ex: Exchange, question: Question) -> bool:
        """Answer as the lead did when the origin answered with a server error, if this request may be too."""
        stale = question.stale
        decision = None if stale is None else may_serve_stale(self._context, ex, stale, disconnected=False)
        if stale is None or decision is None:
            return False
        ex.collapsed = True
        await reuse_stored(self._context, ex, stale, decision)
        return True

    async def _alone(self, ex: Exchange, question: Question, flight: Flight) -> None:
        """Ask beside whoever leads `flight`; should this answer come first, the others follow it."""
        ex.did("alone")
        try:
            async with flight.alone:
                forwarded = await self._asking.forward(ex, question.fields)
                await self._asking.take(ex, forwarded, question, flight)
        except UpstreamError as error:
            await stale_or_raise(self._context, ex, question.stale, error)
