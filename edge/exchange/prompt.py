"""Prompt hits: what a plain request gets of a stored response that can be read without waiting, from the disk or memory.

What follows from the fields that decide is worked out once for all stored responses with the same ones, by the functions
of the full path; the rest are the dates of one response, and its content.  Whatever is not simple is left to that path, as
is what goes out in another coding than it is stored in.
"""

from collections.abc import Callable, Sequence

from edge.caching.coding import CompressionRules, offering
from edge.caching.derived import originals
from edge.caching.freshness import current_age, freshness
from edge.caching.status import hit_status
from edge.caching.stored import StoredResponse
from edge.caching.vary import normalised
from edge.errors import DownstreamClosed
from edge.exchange.context import Context
from edge.exchange.exchange import Exchange, with_own_fields
from edge.exchange.prepared import TRACE, PreparedAnswers
from edge.exchange.purged import is_unpurged
from edge.exchange.shapes import DATELESS, places
from edge.exchange.site import Site
from edge.exchange.variants import Shown
from edge.ports import PromptResponder, Record, Second
from edge.semantics.fields import FieldSection, Line
from edge.semantics.messages import Request, Response
from edge.semantics.target import Target

# So many shapes are remembered.
_SHAPES = 2048
# So many contents on the disk are known to have been asked for.
_ASKED = 8192
# The longest fields of a response whose answer is kept ready although it is not in memory, octets.
_LONGEST = 4096


class StoredShape:
    """Stored responses of one site that are shown to clients alike.

    Attributes:
        is_reusable: whether they are, as they are, while they are fresh.
    """

    __slots__ = ("_lifetime", "_node", "_own", "_said", "_shown", "_site", "_status", "is_reusable")

    def __init__(
        self,
        ex: Exchange,
        stored: StoredResponse,
        shown: Shown | None,
        *,
        outcome: str = "HIT",
        status: Callable[[bytes, int], bytes] = hit_status,
    ) -> None:
        """Learn from what is `shown` of one of them in an exchange.

        `status` returns what Cache-Status says for a node and the seconds left.
        """
        site = ex.site
        self._status = status
        facts = freshness(stored.status, stored.fields, stored.response_time, site.freshness)
        self._site, self._node = site, ex.node
        self.is_reusable = shown is not None and not facts.directives.unqualified(b"no-cache")
        self._lifetime = facts.lifetime if facts.source in DATELESS else None
        aged = (stored if shown is None else shown.stored).fields.replacing(b"age", b"")
        own = with_own_fields(aged, site, ex.target.scheme, ex.node, b"", outcome)
        self._shown = places(own, stored.fields)
        self._own = own.lines[len(self._shown) :]
        self._said: tuple[Second | None, bytes, tuple[Line, ...]] = None, b"", ()

    def lifetime(self, stored: StoredResponse) -> int:
        """Return how long one of them is fresh, in seconds."""
        if self._lifetime is not None:
            return self._lifetime
        return freshness(stored.status, stored.fields, stored.response_time, self._site.freshness).lifetime

    def shown(self, stored: StoredResponse, second: Second) -> Response:
        """Return one of them as a client gets it in a second of its age."""
        lines = stored.fields.lines
        return Response(
            stored.status,
            FieldSection([*[lines[place] for place in self._shown], *self._saying(second)[2]]),
            stored.reason,
        )

    def cache_status(self, second: Second) -> bytes:
        """Return the Cache-Status member of such an answer."""
        return self._saying(second)[1]

    def _saying(self, second: Second) -> tuple[Second | None, bytes, tuple[Line, ...]]:
        if self._said[0] != second:
            status = self._status(self._node, second[1])
            said = {b"age": b"%d" % second[0], b"cache-status": status}
            self._said = second, status, tuple((name, said.get(name, value)) for name, value in self._own)
        return self._said


class PromptHits:
    """Answers from the store without a task."""

    def __init__(self, context: Context, prepared: PreparedAnswers, ended: Callable[[Record], None]) -> None:
        """Answer from the store; `ended` is told of each exchange, and what is in memory becomes a ready answer."""
        self._context, self._prepared, self._ended = context, prepared, ended
        self._shapes: dict[tuple[object, ...], StoredShape] = {}
        self._asked: set[bytes] = set()

    def selected(
        self, request: Request, site: Site, found: Sequence[StoredResponse], epoch: int
    ) -> StoredResponse | None:
        """Return the one of what was `found` at `epoch` for a plain GET request.

        None unless it is clear which, all there, and unpurged.
        """
        stored, purges = _selected(request, found, site.compression), self._context.purges
        if stored is None or not stored.is_complete:
            return None
        for each in found:
            if each.epoch != epoch and not is_unpurged(purges, each):
                return None
        return stored

    def answer(  # noqa: PLR0913, PLR0917 - called for each request, where a record of these would cost
        self,
        request: Request,
        responder: PromptResponder,
        client: str,
        site: Site,
        target: Target,
        key: bytes,
        stored: StoredResponse,
        found: Sequence[StoredResponse],
        epoch: int,
    ) -> bool:
        """Answer a plain GET request for `key` with `stored`, selected from what was `found` at `epoch`; return whether it could."""
        context = self._context
        now = context.clock.now()

        def exchange() -> Exchange:
            ex = Exchange(
                request, None, responder, client=client, node=context.node, site=site, target=target, now=now
            )  # fmt: skip
            ex.key, ex.epoch = key, epoch
            return ex

        shape = self._shape(request, site, target.scheme, stored, exchange)
        age, lifetime = current_age(stored, now), shape.lifetime(stored)
        if age >= lifetime or not shape.is_reusable:
            return False
        content = context.store.read_nowait(stored)
        if content is None:
            return False
        second = int(age), int(lifetime - age)
        status, sent, is_complete = stored.status, len(content), True
        trace: tuple[str, ...] = TRACE
        try:
            responder.answer(shape.shown(stored, second), content)
        except DownstreamClosed as gone:
            status, sent, is_complete = 499, 0, False
            trace = (*trace, gone.detail)
        said = shape.cache_status(second)
        record = Record(
            request, status, trace, said, "HIT", "", client, site.name, sent, now, 0.0, 0.0, None, None, is_complete
        )  # fmt: skip
        self._ended(record)
        if is_complete and self._is_worth_it(stored):
            ex = exchange()
            ex.is_complete = True
            if (shown := context.variants.as_it_is(ex, stored)) is not None:
                self._prepared.install(ex, stored, shown, originals(found), context.store.watch(key, found))
        return True

    def _is_worth_it(self, stored: StoredResponse) -> bool:
        """Return whether to make a ready answer: at once in memory, for what lies on the disk when it is asked for again."""
        generation = stored.generation
        if self._context.store.at_hand(stored) is not None:
            return True
        if generation in self._asked:
            self._asked.discard(generation)
            # These are kept beside the bound of the memory tier, which is not for an origin to use up.
            return sum(len(name) + len(value) for name, value in stored.fields) <= _LONGEST
        if len(self._asked) >= _ASKED:
            self._asked.clear()
        self._asked.add(generation)
        return False

    def _shape(
        self,
        request: Request,
        site: Site,
        scheme: bytes,
        stored: StoredResponse,
        exchange: Callable[[], Exchange],
    ) -> StoredShape:
        lines, deciding, rules = stored.fields.lines, site.deciding, site.compression
        name = (
            id(site),
            scheme,
            stored.status,
            tuple([line[0] for line in lines]),
            tuple([line[1] for line in lines if line[0] in deciding]),
            # What a client takes, and whether a content is long enough to be coded.
            rules is not None
            and (
                *request.fields.values(b"accept-encoding"),
                *request.fields.values(b"connection"),
                (stored.complete_length or 0) < rules.min_size,
            ),
        )
        shape = self._shapes.get(name)
        if shape is None:
            ex = exchange()
            shape = StoredShape(ex, stored, self._context.variants.as_it_is(ex, stored))
            if len(self._shapes) >= _SHAPES:
                # Begun anew rather than kept in order: what is frequent is back at once.
                self._shapes.clear()
            self._shapes[name] = shape
        return shape


def _selected(
    request: Request, found: Sequence[StoredResponse], rules: CompressionRules | None
) -> StoredResponse | None:
    """Return the one of `found` that the nominated fields select, None unless they select exactly one."""
    if len(found) == 1 and not found[0].nominated:
        return found[0]
    fields = request.fields if rules is None or not rules.origin else offering(request.fields)
    matching = [
        stored
        for stored in originals(found)
        if all(normalised(name, fields) == value for name, value in stored.nominated)
    ]
    return matching[0] if len(matching) == 1 else None
