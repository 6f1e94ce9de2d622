"""Request collapsing: one request leads, those like it follow (RFC 9111 §4)."""

from dataclasses import dataclass

from edge.caching import reuse, validation, vary
from edge.caching.reuse import Reuse
from edge.caching.stored import StoredResponse
from edge.errors import UpstreamError
from edge.exchange.asking import Asking
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange
from edge.exchange.flight import Flight, Outcome
from edge.exchange.forward import forwarded_fields
from edge.exchange.reusing import deliver_stored, stale_or_raise
from edge.policy.learned import Learned
from edge.semantics.fields import FieldSection
from edge.tasks import spawn


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the origin.

    Attributes:
        fields: the request fields to send.
        stale: the stored response that may stand in when the origin fails.
        validated: the stored response that is asked about, None when a whole one is wanted.
    """

    fields: FieldSection
    stale: StoredResponse | None = None
    validated: StoredResponse | None = None


class Collapsing:
    """The flights of a node."""

    def __init__(self, context: Context, asking: Asking, learned: Learned) -> None:
        self._context = context
        self._asking = asking
        self._learned = learned
        self._flights: dict[tuple[bytes, vary.Nominated], Flight] = {}

    async def ask(self, ex: Exchange, question: Question) -> None:
        """Ask the origin, together with whoever asks the same at the same time if that is possible."""
        if not self._may_collapse(ex):
            await self._alone(ex, question)
            return
        known = question.stale or question.validated
        names = tuple(name for name, _ in known.nominated) if known is not None else self._learned.nominated(ex.key)
        place = (ex.key, vary.nominate(names, ex.request.fields))
        flight = self._flights.get(place)
        if flight is not None:
            await self._follow(ex, flight, question)
        else:
            await self._lead(ex, self._begin(place), question)

    def validate_in_background(self, ex: Exchange, stored: StoredResponse) -> None:
        """Ask whether `stored` still holds while it is being reused, once at a time (RFC 5861 §3)."""
        place = (ex.key, stored.nominated)
        if place in self._flights:
            return
        shadow = ex.in_background(self._context.clock.now())
        shadow.forwards(reuse.Fwd.STALE)
        fields = validation.conditional_fields(forwarded_fields(shadow), stored)
        question = Question(fields, stale=stored, validated=stored)
        flight = self._begin(place)

        async def validate() -> None:
            try:
                await self._lead(shadow, flight, question)
            except UpstreamError as error:
                self._context.telemetry.count(f"background-{error.detail}")

        self._background = spawn(validate(), name="validate")

    def supersede(self, key: bytes) -> None:
        """Keep what is in flight for `key` from being stored."""
        for place, flight in self._flights.items():
            if place[0] == key:
                flight.supersede()

    def _may_collapse(self, ex: Exchange) -> bool:
        request = ex.request
        return (
            ex.site.collapse
            and request.method == b"GET"
            and b"authorization" not in request.fields
            and b"range" not in request.fields
            and not self._learned.is_uncacheable(ex.key, self._context.clock.now())
        )

    def _begin(self, place: tuple[bytes, vary.Nominated]) -> Flight:
        flight = Flight(lambda: self._land(place, flight))
        self._flights[place] = flight
        return flight

    async def _lead(self, ex: Exchange, flight: Flight, question: Question) -> None:
        try:
            forwarded = await self._asking.forward(ex, question.fields)
            await self._asking.take(ex, forwarded, stale=question.stale, validated=question.validated, flight=flight)
        except UpstreamError as error:
            if flight.outcome is not None:
                raise
            flight.failed(error)
            await stale_or_raise(self._context, ex, question.stale, error)
        finally:
            flight.released()

    def _land(self, place: tuple[bytes, vary.Nominated], flight: Flight) -> None:
        if self._flights.get(place) is flight:
            del self._flights[place]

    async def _follow(self, ex: Exchange, flight: Flight, question: Question) -> None:
        """Wait for the lead's response and use it if it may answer this request too."""
        ex.did("follow")
        outcome = await flight.wait(ex.site.collapse_wait)
        while outcome is None:
            # Too long: a few at a time try for themselves, the others go on waiting.
            if not flight.alone.locked():
                async with flight.alone:
                    await self._alone(ex, question)
                return
            outcome = await flight.wait(ex.site.collapse_wait)
        if outcome is Outcome.FAILED and flight.error is not None:
            ex.collapsed = True
            await stale_or_raise(self._context, ex, question.stale, flight.error)
        elif outcome is Outcome.FILLING and flight.fill is not None and self._may_answer(ex, flight.fill.stored):
            ex.collapsed = True
            await self._asking.follow_fill(ex, flight.fill)
        elif outcome is Outcome.FRESHENED and flight.stored is not None and self._may_answer(ex, flight.stored):
            ex.collapsed, ex.outcome = True, "REVALIDATED"
            await deliver_stored(self._context, ex, flight.stored)
        else:
            await self._alone(ex, question)

    def _may_answer(self, ex: Exchange, stored: StoredResponse) -> bool:
        if vary.select(ex.request, [stored]) is None:
            return False
        now = self._context.clock.now()
        return isinstance(reuse.decide(ex.request, stored, now=now, rules=ex.site.reuse_rules), Reuse)

    async def _alone(self, ex: Exchange, question: Question) -> None:
        ex.did("alone")
        try:
            forwarded = await self._asking.forward(ex, question.fields)
        except UpstreamError as error:
            await stale_or_raise(self._context, ex, question.stale, error)
            return
        await self._asking.take(ex, forwarded, stale=question.stale, validated=question.validated)
